"""Addresses and MACs that two have: pods, nodes, NICs. Pure.

Only addresses that a VNet or a cluster routes can be doubled: each node may have its own docker0
or link-local addresses. Every VNet is a world of its own; machines outside of any share one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from ipaddress import ip_address, ip_network

from podwire.lens.doctor import remedies
from podwire.lens.doctor.catalog import found
from podwire.lens.doctor.values import Finding
from podwire.lens.kube_values import Cluster
from podwire.lens.snapshot import Node, Snapshot, Space, VirtualNetwork


def findings(snapshot: Snapshot, told: frozenset[str]) -> Iterator[Finding]:
    """told: ids of the pods' spaces whose wiring is known to be wrong: also their MAC may be."""
    for vnet in {one.vnet for one in snapshot.clusters} or {""}:
        clusters = [one for one in snapshot.clusters if one.vnet == vnet]
        yield from _of_world(snapshot, clusters, told)
    for one in snapshot.vnets:
        yield from _of_nics(one)


def _of_world(
    snapshot: Snapshot, clusters: list[Cluster], told: frozenset[str]
) -> Iterator[Finding]:
    names = {one.name for one in clusters}
    nodes = [one for one in snapshot.nodes if one.cluster in names or not snapshot.clusters]
    holders: defaultdict[str, dict[str, str]] = defaultdict(dict)
    macs: defaultdict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for node in nodes:
        for space in _spaces(node, snapshot):
            for address, link in _addresses(space, _nets(node, snapshot)):
                holders[address][space.id] = f"link {space.id} {link}"
            for mac, link in () if space.id in told else _macs(space):
                macs[node.name, mac][space.id] = f"link {space.id} {link}"
    yield from _twice("address-twice", holders.items())
    yield from _twice("mac-twice", ((mac, who) for (_, mac), who in macs.items()))


def _twice(kind: str, holders: Iterable[tuple[str, dict[str, str]]]) -> Iterator[Finding]:
    for value, who in holders:
        if len(who) > 1:
            first, *others = sorted(who)
            yield found(
                kind,
                who[others[0]],
                f"{value} is on {who[first]} and on {', '.join(who[one] for one in others)}",
                _remedy(kind, value, who[others[0]]),
            )


def _remedy(kind: str, value: str, thing: str) -> str:
    _, space, link = thing.split(" ")
    if space.startswith("pod/"):
        return remedies.new_pod(space)
    return f"ip addr del {value} dev {link}"


def _spaces(node: Node, snapshot: Snapshot) -> Iterator[Space]:
    for name in (node.space, *node.pods):
        space = snapshot.space(name)
        if space is not None:
            yield space


def _nets(node: Node, snapshot: Snapshot) -> list[str]:
    """The ranges in which an address is one machine's alone."""
    nets = [one.subnet for one in node.attachments.pools]
    for cluster in (one for one in snapshot.clusters if one.name == node.cluster):
        nets += [cluster.pod_cidr] if cluster.pod_cidr else []
        nets += [
            prefix
            for one in snapshot.vnets
            if one.vnet.key == cluster.vnet
            for prefix in one.vnet.prefixes
        ]
    return nets


def _addresses(space: Space, nets: list[str]) -> Iterator[tuple[str, str]]:
    known = [ip_network(one, strict=False) for one in nets]
    for one in space.addresses:
        address = one.ip
        if one.scope == "global" and any(ip_address(address) in net for net in known):
            yield address, one.link


def _macs(space: Space) -> Iterator[tuple[str, str]]:
    """Of pods' own ends, who hear each other: those on the host may be all alike, and a bridge has
    its card's."""
    for one in space.links:
        if space.kind == "pod" and one.kind == "veth":
            yield one.mac, one.name


def _of_nics(one: VirtualNetwork) -> Iterator[Finding]:
    names: defaultdict[str, list[str]] = defaultdict(list)
    macs: defaultdict[str, list[str]] = defaultdict(list)
    for plugged in one.nics:
        macs[plugged.nic.mac].append(plugged.nic.name)
        for address in plugged.nic.addresses:
            names[address].append(plugged.nic.name)
    for kind, holders in (("address-twice", names), ("mac-twice", macs)):
        for value, who in holders.items():
            if len(who) > 1:
                yield found(
                    kind,
                    f"nic {who[1]}",
                    f"{value} is of the NICs {' and '.join(who)}",
                    f"take it from one of the NICs {' and '.join(who)}",
                )
