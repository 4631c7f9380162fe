"""How many addresses are left, for how long, and whether kubelet may ask for more than there are.

Pure. The pace is what the ages of the leases tell: how many of those that are held now were taken
in the last hour. Whoever ends meanwhile is not seen, so a full node is foretold too soon rather
than too late; it is a finding only when little is left.
Source of the five addresses that Azure keeps of each subnet: Azure Virtual Network FAQ.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_network

from podwire.lens.doctor import remedies
from podwire.lens.doctor.catalog import found
from podwire.lens.doctor.values import Finding, Room
from podwire.lens.kube_values import KubeNode
from podwire.lens.snapshot import Node, Snapshot, VirtualNetwork
from podwire.model.vnet import Subnet

WINDOW = 3600.0
"""Seconds."""
LITTLE = 0.2
"""Of all addresses: with more left nobody is told of a pace."""
SOON = 24.0
"""Hours."""
_BRIDGE_ITSELF = 3
"""Of a node's pod range: the network's address, the bridge's, the broadcast."""


def rooms(snapshot: Snapshot) -> tuple[Room, ...]:
    nodes = (_of_node(one, snapshot) for one in snapshot.nodes)
    subnets = (_of_subnet(vnet, one) for vnet in snapshot.vnets for one in vnet.vnet.subnets)
    return tuple(one for one in (*nodes, *subnets) if one is not None)


def findings(snapshot: Snapshot) -> Iterator[Finding]:
    for node in snapshot.nodes:
        room = _of_node(node, snapshot)
        if room is not None:
            yield from _node_findings(node, room)
            yield from _over(node, room, snapshot)
    for vnet in snapshot.vnets:
        for subnet in vnet.vnet.subnets:
            yield from _subnet_findings(vnet, subnet)


def kube_node(node: Node, snapshot: Snapshot) -> KubeNode | None:
    mine = (one for each in snapshot.clusters if each.name == node.cluster for one in each.nodes)
    return next((one for one in mine if one.name == node.name), None)


def _of_node(node: Node, snapshot: Snapshot) -> Room | None:
    """None: nobody tells how many there are."""
    have = node.attachments
    total = sum(1 for one in have.addresses if one.listed and ":" not in one.address)
    if total:
        used = sum(1 for one in have.addresses if one.held and ":" not in one.address)
        per_hour = _per_hour(node, snapshot.taken)
        return _room(f"node {node.name}", total, used, per_hour)
    known = kube_node(node, snapshot)
    if known is None or not known.pod_cidr:
        return None
    total = ip_network(known.pod_cidr, strict=False).num_addresses - _BRIDGE_ITSELF
    return _room(f"node {node.name}", total, len(node.pods), None)


def _per_hour(node: Node, now: float) -> float | None:
    """None without leases: nothing can be told then."""
    ages = [now - one.since for one in node.attachments.leases]
    if not ages:
        return None
    return float(sum(1 for age in ages if age <= WINDOW)) * 3600 / WINDOW


def _room(thing: str, total: int, used: int, per_hour: float | None) -> Room:
    free = max(0, total - used)
    return Room(thing, total, used, per_hour, free / per_hour if per_hour else None)


def _of_subnet(vnet: VirtualNetwork, subnet: Subnet) -> Room:
    net = ip_network(subnet.prefix)
    used = sum(ip_address(one) in net for each in vnet.nics for one in each.nic.addresses)
    return Room(f"subnet {vnet.vnet.key} {subnet.name}", net.num_addresses - 5, used)


def _node_findings(node: Node, room: Room) -> Iterator[Finding]:
    counts = f"{room.used} of {room.total} addresses are held"
    if room.free == 0:
        yield found(
            "addresses-exhausted", room.thing, counts, remedies.own("ipam check", node.name),
            node=node.name,
        )  # fmt: skip
    elif room.free <= LITTLE * room.total and room.full_in is not None and room.full_in <= SOON:
        yield found(
            "addresses-run-out",
            room.thing,
            f"{counts}, {room.per_hour:g} more in the last hour: "
            f"none is free in {room.full_in:.1f} hours",
            "az aks nodepool scale, or move pods away before: kubectl cordon " + node.name,
            node=node.name,
        )


def _over(node: Node, room: Room, snapshot: Snapshot) -> Iterator[Finding]:
    """Pods of the host's network count for kubelet, and need no address of their own."""
    known = kube_node(node, snapshot)
    if known is None or not node.attachments.addresses:
        return
    mine = [one for each in snapshot.clusters if each.name == node.cluster for one in each.pods]
    hosts = sum(1 for one in mine if one.host_network and one.node == node.name)
    if known.max_pods - hosts > room.total:
        yield found(
            "max-pods-over",
            room.thing,
            f"kubelet admits {known.max_pods} pods, {hosts} of the host's network, and the NIC has "
            f"{room.total} addresses for the others",
            "give the NIC more addresses (az network nic ip-config create), or make a node pool "
            f"with --max-pods {room.total}",
            node=node.name,
        )


def _subnet_findings(vnet: VirtualNetwork, subnet: Subnet) -> Iterator[Finding]:
    """Whether one more node like those that are there would fit."""
    net, room = ip_network(subnet.prefix), _of_subnet(vnet, subnet)
    nodes = [
        sum(ip_address(one) in net for one in each.nic.addresses) for each in vnet.nics if each.node
    ]
    next_node = max(nodes, default=0)
    if room.free < next_node:
        yield found(
            "subnet-full",
            room.thing,
            f"{room.used} of {room.total} addresses of {subnet.prefix} are taken, {room.free} are "
            f"free, and one more node takes {next_node}",
            "add a node pool in another subnet: az aks nodepool add --vnet-subnet-id",
        )
