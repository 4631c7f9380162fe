"""Address use of each node and subnet: used, cooling, leaked, free. Pure, facts of the ledger.

Cooling: given back less than `COOLING_SECONDS` ago, and spared while others are free. Leaked: held
for nobody, as `cni.leaks` proves it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network

from podwire.cni import leaks
from podwire.cni.settings import COOLING_SECONDS
from podwire.lens.doctor.ledger import survey
from podwire.lens.kube_values import Cluster
from podwire.lens.snapshot import Node, Snapshot, VirtualNetwork
from podwire.model.vnet import Subnet


@dataclass(frozen=True, slots=True)
class Use:
    """Counts of addresses for pods. kind: "node" or "subnet"; object: its data-object.

    own: of a subnet, the nodes' own addresses; unassigned: those on no NIC. total: all of them.
    """

    kind: str
    name: str
    object: str
    range: str
    total: int
    used: int = 0
    cooling: int = 0
    leaked: int = 0
    free: int = 0
    own: int = 0
    unassigned: int = 0


def use(snapshot: Snapshot) -> tuple[Use, ...]:
    """Nodes in order, then the subnets that have NICs."""
    nodes = [one for node in snapshot.nodes if (one := _of_node(snapshot, node)) is not None]
    by_name = {one.name: one for one in nodes}
    return (*nodes, *_of_subnets(snapshot, by_name))


def _of_node(snapshot: Snapshot, node: Node) -> Use | None:
    held = node.attachments
    cluster = next((one for one in snapshot.clusters if one.name == node.cluster), None)
    if not held.addresses:
        return _kubenet(node, cluster)
    pods = [one for one in held.addresses if one.address not in {p.primary for p in held.pools}]
    lost = set(_leaked(snapshot, node))
    used = sum(one.held and one.address not in lost for one in pods)
    leaked = sum(one.held and one.address in lost for one in pods)
    cooling = sum(not one.held and _cools(one.freed) for one in pods)
    ranges = ", ".join(dict.fromkeys(one.subnet for one in held.pools))
    total = len(pods)
    free = total - used - leaked - cooling
    return Use("node", node.name, f"node {node.name}", ranges, total, used, cooling, leaked, free)


def _kubenet(node: Node, cluster: Cluster | None) -> Use | None:
    """Its range is the node's own, and host-local keeps no ledger of ours."""
    known = next((one for one in cluster.nodes if one.name == node.name), None) if cluster else None
    if known is None or not known.pod_cidr:
        return None
    total = IPv4Network(known.pod_cidr).num_addresses - 3  # network, bridge, broadcast
    used = len(node.pods)
    return Use("node", node.name, f"node {node.name}", known.pod_cidr, total, used,
               free=total - used)  # fmt: skip


def _cools(freed: float | None) -> bool:
    return freed is not None and freed < COOLING_SECONDS


def _leaked(snapshot: Snapshot, node: Node) -> Iterator[str]:
    """What `podwire ipam gc` would free."""
    space = snapshot.space(node.space)
    if space is None or not node.attachments.has_ledger:
        return
    for one in leaks.findings(survey(snapshot, node, space, None), now=snapshot.taken):
        if one.gc == leaks.FREE:
            yield one.address


def _of_subnets(snapshot: Snapshot, nodes: dict[str, Use]) -> Iterator[Use]:
    for vnet in snapshot.vnets:
        for subnet in vnet.vnet.subnets:
            here = [one for one in vnet.nics if one.nic.subnet.name == subnet.name]
            if here:
                mine = [nodes[one.node] for one in here if one.node in nodes]
                yield _subnet(vnet, subnet, here_addresses(vnet, subnet), len(here), mine)


def here_addresses(vnet: VirtualNetwork, subnet: Subnet) -> int:
    """How many of the subnet's addresses its NICs have."""
    mine = (one.nic for one in vnet.nics if one.nic.subnet.name == subnet.name)
    return sum(len(one.addresses) for one in mine)


def _subnet(
    vnet: VirtualNetwork, subnet: Subnet, assigned: int, cards: int, nodes: Iterable[Use]
) -> Use:
    """Pods of a node in kubenet mode have no address of the subnet."""
    inside = [one for one in nodes if _within(one.range, subnet)]
    used, cooling, leaked = (
        sum(getattr(one, part) for one in inside) for part in ("used", "cooling", "leaked")
    )
    free = max(0, assigned - cards - used - cooling - leaked)
    return Use(
        kind="subnet",
        name=subnet.name,
        object=f"subnet {vnet.vnet.key} {subnet.name}",
        range=subnet.prefix,
        total=subnet.usable,
        used=used,
        cooling=cooling,
        leaked=leaked,
        free=free,
        own=cards,
        unassigned=max(0, subnet.usable - assigned),
    )


def _within(range_: str, subnet: Subnet) -> bool:
    return any(part == subnet.prefix for part in range_.split(", "))
