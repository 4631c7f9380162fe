"""What makes a node one of kubenet's, as values."""

from __future__ import annotations

import json
import tomllib

from podwire.cluster.containerd import containerd_config
from podwire.cluster.kubenet import TEMPLATE, cni_template, kubenet_steps
from podwire.cluster.node_root import File


def test_the_template_is_for_the_bridge_cbr0_with_the_nodes_own_range() -> None:
    document = json.loads(cni_template(1400).replace("{{.PodCIDR}}", "10.100.3.0/24"))
    assert (document["name"], document["cniVersion"]) == ("kubenet", "0.3.1")
    bridge, ports = document["plugins"]
    assert bridge == {
        "type": "bridge",
        "bridge": "cbr0",
        "mtu": 1400,
        "addIf": "eth0",
        "isGateway": True,
        "ipMasq": False,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "subnet": "10.100.3.0/24",
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    assert ports["type"] == "portmap"


def test_containerd_is_told_of_it() -> None:
    cni = tomllib.loads(containerd_config(cni_template=TEMPLATE))["plugins"]
    assert cni["io.containerd.grpc.v1.cri"]["cni"]["conf_template"] == TEMPLATE
    without = tomllib.loads(containerd_config())["plugins"]
    assert "conf_template" not in without["io.containerd.grpc.v1.cri"]["cni"]


def test_a_node_gets_template_and_keeper() -> None:
    template, keeper = kubenet_steps(1400)
    assert template == File(TEMPLATE, cni_template(1400))
    assert isinstance(keeper, File)
    assert (keeper.path, keeper.mode) == ("/usr/local/sbin/kubenet-keeper", 0o755)
    assert keeper.text.startswith("#!/bin/sh\n")
