"""Which addresses there are, and who has each: subnets, cards, pods. What the figure `vnet` shows.

From the VNet's objects where there is a lab, else from what each node's own ledger knows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from podwire.lens.draw.views import NodeView, by_number
from podwire.lens.snapshot import Snapshot, VirtualNetwork
from podwire.model.vnet import RESERVED_FIRST, Subnet


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has an address. name: NAMESPACE/NAME, or in words; object: "address SPACE LINK CIDR",
    "" for none. real: some pod has it, and not a lease alone."""

    name: str
    object: str = ""
    real: bool = True


@dataclass(frozen=True, slots=True)
class Card:
    """A NIC. node: its node's name, "" for another machine; addresses: the primary one first."""

    name: str
    node: str
    addresses: tuple[str, ...]
    holders: dict[str, Holder]

    @property
    def secondaries(self) -> tuple[str, ...]:
        return self.addresses[1:]

    @property
    def used(self) -> int:
        return sum(one in self.holders for one in self.secondaries)


@dataclass(frozen=True, slots=True)
class Range:
    """A subnet with its cards. vnet: the VNet's key, "" without one."""

    subnet: Subnet
    cards: tuple[Card, ...]
    vnet: str = ""
    others: dict[str, str] | None = None
    """Addresses of no card: those of load balancers, address -> name."""

    @property
    def free(self) -> int:
        """Addresses that no card has."""
        taken = sum(len(one.addresses) for one in self.cards) + len(self.others or ())
        return max(0, self.subnet.usable - taken)

    def runs(self) -> list[tuple[str, int]]:
        """Who has the subnet's addresses, in order: (owner, how many in a row). Owner: name of a
        card, "reserved" or "free"."""
        network = self.subnet.network
        owner = {one: card.name for card in self.cards for one in card.addresses}
        owner |= dict.fromkeys(self.others or (), "balancer")
        marks = {int(IPv4Address(one)): name for one, name in owner.items()}
        first, last = int(network.network_address), int(network.broadcast_address)
        marks |= {first + at: "reserved" for at in range(RESERVED_FIRST)} | {last: "reserved"}
        return _runs(marks, first, last)


def _runs(marks: dict[int, str], first: int, last: int) -> list[tuple[str, int]]:
    """Walks the marked addresses only: a subnet may have millions."""
    found: list[tuple[str, int]] = []

    def add(owner: str, count: int) -> None:
        if found and found[-1][0] == owner:
            count += found.pop()[1]
        found.append((owner, count))

    at = first
    for number in sorted(one for one in marks if first <= one <= last):
        if number > at:
            add("free", number - at)
        add(marks[number], 1)
        at = number + 1
    if at <= last:
        add("free", last + 1 - at)
    return found


def of_vnet(vnet: VirtualNetwork, views: Iterable[NodeView]) -> list[Range]:
    """Its subnets in order of address, with the cards of these nodes and of other machines."""
    by_node = {one.node.name: one for one in views}
    fronts = {
        front.address: one.balancer.name
        for one in vnet.balancers
        for front in one.balancer.frontends
        if not front.public
    }
    found = []
    for subnet in sorted(vnet.vnet.subnets, key=lambda one: int(one.network.network_address)):
        cards = [
            Card(one.nic.name, one.node, one.nic.addresses, _holders(by_node.get(one.node)))
            for one in vnet.nics
            if one.nic.subnet.name == subnet.name and (not one.node or one.node in by_node)
        ]
        inside = {k: v for k, v in fronts.items() if IPv4Address(k) in subnet.network}
        cards.sort(key=lambda one: int(IPv4Address(one.addresses[0])))
        found.append(Range(subnet, tuple(cards), vnet.vnet.key, inside))
    return found


def of_ledgers(views: Iterable[NodeView]) -> list[Range]:
    """What the ledgers of nodes know that are in no VNet of the snapshot, by subnet."""
    cards: dict[str, list[Card]] = {}
    for view in views:
        for pool in view.node.attachments.pools:
            listed = by_number(
                one.address
                for one in view.node.attachments.addresses
                if one.subnet == pool.subnet and ":" not in one.address
            )
            if not listed or ":" in pool.subnet:
                continue
            rest = [one for one in listed if one != pool.primary]
            card = Card(pool.mac, view.node.name, (pool.primary, *rest), _holders(view))
            cards.setdefault(pool.subnet, []).append(card)
    return [
        Range(Subnet("", str(IPv4Network(prefix, strict=False))), tuple(found))
        for prefix, found in sorted(cards.items())
    ]


def _holders(view: NodeView | None) -> dict[str, Holder]:
    """Of the addresses of a node's pods: what the kernel shows, else what a lease says."""
    found: dict[str, Holder] = {}
    if view is None:
        return found
    for lease in view.node.attachments.leases:
        name = f"{lease.pod_namespace}/{lease.pod_name}".strip("/") or lease.container_id[:12]
        found[lease.address] = Holder(name or "a lease", "", False)
    for wire in view.wires:
        for cidr in wire.addresses:
            object_ = ""
            if wire.inner is not None:
                object_ = f"address {wire.space} {wire.inner.name} {cidr}"
            found[cidr.partition("/")[0]] = Holder(wire.name, object_)
    return found


def machines(snapshot: Snapshot) -> list[tuple[str, str]]:
    """Addresses outside of VNets, and what is there: control planes, public frontends."""
    found = []
    for cluster in snapshot.clusters:
        for service in cluster.services:
            if service.key == "default/kubernetes":
                ends = sorted({(one.address, one.port) for one in service.endpoints})
                found += [(f"{ip}:{port}", f"API server of {cluster.name}") for ip, port in ends]
    for vnet in snapshot.vnets:
        for one in vnet.balancers:
            fronts = (front for front in one.balancer.frontends if front.public)
            found += [(front.address, f"load balancer {one.balancer.name}") for front in fronts]
    return found
