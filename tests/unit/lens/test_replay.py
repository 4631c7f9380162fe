"""A pod's birth told from its log: each line that the plugin writes is explained, with the command
that shows what came to be."""

from __future__ import annotations

import pytest

from podwire.cni import modes, pods
from podwire.cni.loglines import json_line, text_lines
from podwire.cni.narrate import Narrator
from podwire.lens.replay import birth, find
from podwire.lens.snapshot import Node
from podwire.model.bridge_mode import Uplink
from podwire.model.errors import InvalidInputError
from tests.unit.lens.saved import saved

NOW = 1700000000.0
CARD = Uplink("eth0", "00:0d:3a:75:a1:30", 1500, ("10.220.2.4/24",), "10.220.2.1")


def told(node: Node, lease) -> list[str]:
    """The lines of the lease's ADD, those of its wiring by the plugin's own narrator."""
    network = pods.network(lease)
    wiring = modes.of_lease(lease).pod_wiring(CARD, lease.bridge, network)
    narrator = Narrator(wiring, netns=lease.netns, endpoint="e")
    pod = f"{lease.pod_namespace}/{lease.pod_name}"
    return [
        (
            f"[cni-net] Processing ADD command with args {{ContainerID:{lease.container_id} "
            f"Netns:{lease.netns} IfName:eth0 Args:K8S_POD_NAMESPACE={lease.pod_namespace};"
            f"K8S_POD_NAME={lease.pod_name} Path:/opt/cni/bin StdinData:{{}}}}."
        ),
        "[cni-net] Read network configuration &{CNIVersion:0.3.0 Name:azure}.",
        f"[cni-net] Found network azure with subnet {lease.subnet}.",
        "[cni] Calling plugin azure-vnet-ipam ADD nwCfg:&{}.",
        (
            f"[cni] Plugin azure-vnet-ipam returned result:IP:[{{Version:4 Interface:<nil> "
            f"Address:{{IP:{lease.address} Mask:ffffff00}} Gateway:{lease.gateway}}}], err:<nil>."
        ),
        modes.of_lease(lease).client,
        *(line for one in wiring for line in narrator.making(one)),
        *narrator.made(),
        f"[cni-net] ADD command completed with result:IP err:<nil>. Pod:{pod} Duration:41.5ms",
    ]


@pytest.mark.parametrize("mode", ["bridge", "transparent"])
def test_every_line_of_a_birth_is_explained(mode: str) -> None:
    snapshot = saved(mode)
    for node in snapshot.nodes:
        for lease in node.attachments.leases:
            lines = told(node, lease)
            log = text_lines((one, NOW) for one in lines)
            one = birth(node, lease, log)
            assert len(one.steps) == len(lines)
            assert [step.line for step in one.steps if not step.meaning] == []
            assert (one.took, one.failed, one.address) == (41.5, False, lease.address)
            for step in one.steps:
                assert "{" not in step.meaning + step.thing, step


def test_a_nodes_first_pod_is_explained_with_the_node() -> None:
    """As the plugin told it on a real node."""
    snapshot = saved("bridge")
    node, lease = find(snapshot, "default/nginx-5b656dcb8-jnh77")
    lines = told(node, lease)
    wiring = modes.of_lease(lease).node_wiring(CARD, "azure0", ())
    narrator = Narrator(wiring)
    first = [
        "[ipam] Wireserver call http://168.63.129.16/machine/plugins to retrieve IP List",
        "[ipam] merging address space",
        "[cni-net] Creating network azure.",
        "[cni-net] Found master interface eth0.",
        "[net] Added ExternalInterface eth0 for subnet 10.220.2.0/24.",
        "[net] Connecting interface eth0.",
        *(line for one in wiring for line in narrator.making(one)),
        "[net] Connected interface eth0 to bridge azure0.",
        "[cni-net] Created network azure on interface eth0.",
    ]
    log = text_lines((one, NOW) for one in [*lines[:2], *first, *lines[2:]])
    steps = birth(node, lease, log).steps
    assert [one.line for one in steps if not one.meaning] == []
    up = next(one for one in steps if one.line == "Setting link azure0 state up.")
    assert up.thing == f"link {node.space} azure0"
    card = next(one for one in steps if one.line == "Setting link eth0 master azure0.")
    assert card.thing == f"link {node.space} eth0"
    own = next(one for one in steps if one.line == "Setting link eth0 state up.")
    assert own.thing == f"link pod/default/{lease.pod_name} eth0"


def test_things_are_of_the_snapshot_and_commands_name_them() -> None:
    snapshot = saved("bridge")
    node, lease = find(snapshot, "default/nginx-5b656dcb8-jnh77")
    log = text_lines((one, NOW) for one in told(node, lease))
    by_line = {step.line: step for step in birth(node, lease, log).steps}
    made = next(step for line, step in by_line.items() if line.startswith("Creating veth pair"))
    assert made.thing == f"link {node.space} {lease.host_link}"
    assert made.show == f"ip -d link show {lease.host_link}"
    port = by_line[f"Setting link {lease.host_link} master azure0."]
    assert port.meaning.startswith("The node's end is plugged into azure0")
    address = next(one for line, one in by_line.items() if line.startswith("Adding IP address"))
    assert address.thing == f"address pod/default/{lease.pod_name} eth0 10.220.2.6/24"
    assert address.show == f"nsenter --net={lease.netns} ip address show eth0"
    for step in by_line.values():
        kind, _, rest = step.thing.partition(" ")
        if kind in ("link", "space", "address"):
            space = snapshot.space(rest.split(" ")[0])
            assert space is not None, step
            assert kind != "link" or space.link(rest.split(" ")[1]) is not None, step


def test_stamps_with_a_fraction_tell_how_long_each_step_took() -> None:
    snapshot = saved("bridge")
    node, lease = find(snapshot, "nginx-5b656dcb8-jnh77")
    lines = told(node, lease)
    texts = [json_line(one, NOW + at / 8) for at, one in enumerate(lines)]
    steps = birth(node, lease, "".join(texts)).steps
    assert [one.at for one in steps][:3] == [0.0, 0.125, 0.25]
    whole = birth(node, lease, text_lines((one, NOW) for one in lines)).steps
    assert {one.at for one in whole} == {None}


def test_who_is_not_there_is_told_who_is() -> None:
    with pytest.raises(InvalidInputError, match=r"no address .*default/nginx-5b656dcb8-jnh77"):
        find(saved("bridge"), "default/nobody")
    node, lease = find(saved("bridge"), "nginx-5b656dcb8-jnh77")
    with pytest.raises(InvalidInputError, match="does not go back"):
        birth(node, lease, "")
