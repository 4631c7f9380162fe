"""Kubenet: what the kubelet's built-in plugin of that name did, without it.

A kubelet with a remote runtime has no kubenet, so AKS does it with containerd, and so do we: the
kubelet hands its node's pod CIDR to containerd, which writes the CNI configuration from a template
for the reference plugins `bridge` and `host-local`; kubenet_keeper.sh keeps what those leave out.
Must not know Azure's side of it (that is `kubenet_routes`).
Sources: kubernetes 1.20, pkg/kubelet/dockershim/network/kubenet/kubenet_linux.go; containerd 1.6,
docs/cri/config.md (conf_template); AKS's kubenet_template.conf.
"""

from __future__ import annotations

import json
from pathlib import Path

from podwire.cluster.node import Node
from podwire.cluster.node_root import File, Step
from podwire.kernel.process import Program

TEMPLATE = "/etc/containerd/kubenet_template.conf"
CONFLIST = "/etc/cni/net.d/10-containerd-net.conflist"
"""Where containerd writes what the template gives."""
_KEEPER = "/usr/local/sbin/kubenet-keeper"


def cni_template(mtu: int = 1500) -> str:
    """The conflist with a hole for the node's pod CIDR. mtu: of the node's eth0.

    Version 0.3.1, since kubenet's own 0.1.0 knows no lists and host ports need a second plugin.
    Ports are in hairpin mode: since Linux 6.9 a promiscuous bridge alone no longer lets a pod reach
    itself through its service (br_netfilter forgets the connection of what such a bridge takes up:
    commit 751de2012eaf). The plugin refuses both at once, so the keeper makes it promiscuous.
    """
    bridge = {
        "type": "bridge",
        "bridge": "cbr0",
        "mtu": mtu,
        "addIf": "eth0",
        "isGateway": True,
        "ipMasq": False,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "subnet": "{{.PodCIDR}}",
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    ports = {
        "type": "portmap",
        "capabilities": {"portMappings": True},
        "externalSetMarkChain": "KUBE-MARK-MASQ",
    }
    document = {"cniVersion": "0.3.1", "name": "kubenet", "plugins": [bridge, ports]}
    return json.dumps(document, indent=2) + "\n"


def kubenet_steps(mtu: int = 1500) -> tuple[Step, ...]:
    """What a kubenet node has beside containerd's and the kubelet's steps, for `Node.steps`.

    mtu: of its eth0. `containerd_steps` must be told of TEMPLATE.
    """
    script = Path(__file__).with_name("kubenet_keeper.sh").read_text()
    return File(TEMPLATE, cni_template(mtu)), File(_KEEPER, script, 0o755)


def keeper_program(node: Node, pod_cidr: str) -> Program:
    """What keeps the SNAT rule, and of cbr0 the MAC, promiscuity and KUBE-DEDUP, for a Supervisor.

    pod_cidr: the cluster's; `node` is up and has the steps.
    """
    return node.program("kubenet-keeper", (_KEEPER, pod_cidr))
