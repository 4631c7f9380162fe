"""Every variant of conflist that Azure's tools write (tests/conflists), unchanged, as a runtime
gives it to the plugins: served, or refused in words that say what to do."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from podwire.cni.networklist import NetworkList
from podwire.cni.runtime import Attachment, Runtime
from podwire.model.cni_error import CniError

from .node import CONFIG, WIRE_SERVER, Node, Pod, deliver_by_table, reach

VARIANTS = Path(__file__).parents[2] / "conflists"
CNS = """#!/bin/sh
[ "$CNI_COMMAND" != ADD ] ||
echo '{"cniVersion": "0.3.0", "ips": [{"version": "4", "address": "10.220.2.30/24",
"gateway": "10.220.2.1"}], "dns": {}}'
"""


@pytest.fixture
def chained(node: Node, reference_plugins: Path) -> Node:
    """With the second plugin of all the lists."""
    (node.bin / "portmap").symlink_to(reference_plugins / "portmap")
    deliver_by_table(node)
    return node


def network(node: Node, variant: str) -> Runtime:
    listed = NetworkList.load(str(VARIANTS / f"{variant}.conflist"))
    return Runtime(listed, bin_dirs=str(node.bin), cache_dir=str(node.directory / "cache"))


def attachment(pod: Pod) -> Attachment:
    args = f"K8S_POD_NAMESPACE=default;K8S_POD_NAME={pod.name}"
    ports = {"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]}
    return Attachment(pod.id, pod.netns.path, "eth0", args, ports)


def assert_served(node: Node, variant: str, address: str) -> dict[str, Any]:
    pod, runtime = node.pod("a" * 64), network(node, variant)
    with node.netns.entered():
        result = runtime.add(attachment(pod))
        assert [one["address"].partition("/")[0] for one in result["ips"]] == [address]
        assert reach(pod.netns, WIRE_SERVER) == b"HTTP/1.0 200 OK"
        runtime.delete(attachment(pod))
    assert (node.azv_links(), node.ledger().leases()) == ([], [])
    return dict(result)


@pytest.mark.parametrize("variant", ["bridge", "transparent", "every-field", "unknown-fields"])
def test_served(chained: Node, variant: str) -> None:
    assert_served(chained, variant, "10.220.2.5")


def test_the_lists_dns_is_the_results(chained: Node) -> None:
    assert assert_served(chained, "every-field", "10.220.2.5")["dns"] == {
        "nameservers": ["10.0.0.10"],
        "domain": "cluster.local",
        "search": ["default.svc.cluster.local"],
        "options": ["ndots:5"],
    }


@pytest.mark.parametrize("variant", ["swift", "overlay"])
def test_served_with_the_ipam_plugin_that_the_list_names(chained: Node, variant: str) -> None:
    runtime, pod = network(chained, variant), chained.pod("b" * 64)
    with chained.netns.entered(), pytest.raises(CniError) as refused:
        runtime.add(attachment(pod))
    assert refused.value.code == 105
    assert "ipam.type is 'azure-cns'" in refused.value.msg
    assert f"CNI_PATH '{chained.bin}'" in refused.value.msg
    (chained.bin / "azure-cns").write_text(CNS)
    (chained.bin / "azure-cns").chmod(0o755)
    assert_served(chained, variant, "10.220.2.30")


@pytest.mark.parametrize(
    ("variant", "said"),
    [
        ("multitenancy", "multiTenancy is true; this version has no CNS to ask: set it to false"),
        ("multitenancy-transparent-vlan", "mode is 'transparent-vlan'; this version wires pods in"),
    ],
)
def test_refused_before_anything(chained: Node, variant: str, said: str) -> None:
    before = chained.run("ip", "-4", "addr")
    runtime, pod = network(chained, variant), chained.pod("a" * 64)
    with chained.netns.entered():
        with pytest.raises(CniError) as refused:
            runtime.add(attachment(pod))
        runtime.delete(attachment(pod))  # as a runtime ends a failed ADD
    assert refused.value.code == 7
    assert said in refused.value.msg
    assert chained.run("ip", "-4", "addr") == before


def test_a_pods_identity_in_any_order_of_its_arguments(node: Node) -> None:
    pairs = ("IgnoreUnknown=1", "K8S_POD_NAMESPACE=prod", "K8S_POD_NAME=web-0", "OTHER=x")
    pod = node.pod("a" * 64)
    for order in itertools.islice(itertools.permutations(pairs), 0, 24, 5):
        assert node.call("ADD", pod, CNI_ARGS=";".join(order)).status == 0
        (lease,) = node.ledger().leases()
        assert (lease.pod_namespace, lease.pod_name) == ("prod", "web-0")
        assert node.call("DEL", pod, CNI_ARGS=";".join(reversed(order))).status == 0


@pytest.mark.parametrize("mode", ["bridge", "transparent"])
def test_without_a_pods_identity(node: Node, mode: str) -> None:
    """As cnitool and podman's older releases call it; two containers are told apart."""
    config = {**CONFIG, "mode": mode}
    pods = [node.pod(letter * 64) for letter in "ab"]
    for pod in pods:
        assert node.call("ADD", pod, config=config, CNI_ARGS="").status == 0
    for pod in pods:
        assert node.call("CHECK", pod, config=config, CNI_ARGS="").status == 0
        assert node.call("DEL", pod, config=config, CNI_ARGS="").status == 0
    assert (node.azv_links(), node.ledger().leases()) == ([], [])


def test_every_variant_is_tried() -> None:
    tried = {"bridge", "transparent", "every-field", "unknown-fields", "swift", "overlay"}
    tried |= {"multitenancy", "multitenancy-transparent-vlan"}
    assert {one.stem for one in VARIANTS.iterdir()} == tried
    assert all(json.loads(one.read_text())["name"] == "azure" for one in VARIANTS.iterdir())
