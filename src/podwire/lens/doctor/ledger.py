"""The ledger against kernel and runtime: `cni.leaks`' findings, from a survey made of a snapshot.

Pure. What is doubled, and what a pod's wiring lacks, is told by the parts that see every space
(`doubles`, `wiring`), and left out here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from podwire.cni import leaks
from podwire.cni.containers import Containers, Kept
from podwire.cni.modes import DEFAULT_BRIDGE
from podwire.cni.survey import Survey
from podwire.ipam.lease import ATTACHED, Lease
from podwire.kernel import rtvalues
from podwire.kernel.pods import PodObjects, WiredPod
from podwire.lens.doctor import remedies, wanted
from podwire.lens.doctor.catalog import found
from podwire.lens.doctor.seen import members
from podwire.lens.doctor.values import Finding
from podwire.lens.doctor.wanted import Host
from podwire.lens.doctor.wiring import is_cut_off, thing
from podwire.lens.snapshot import Link, Node, Snapshot, Space
from podwire.model.bridge_mode import POD_MACS, PORT_LOOPS, TABLE_FAMILY, TABLE_NAME

KINDS = {
    "gone": "lease-leaked",
    "dead-call": "lease-leaked",
    "unknown-container": "lease-unknown",
    "unlisted": "address-unlisted",
    "stray-pod": "pod-unleased",
    "stray-address": "stray-objects",
    "stray-link": "stray-objects",
    "stray-element": "stray-objects",
    "no-lease": "pod-unleased",
    "lost-ledger": "ledger-lost",
}
"""A kind of `cni.leaks` -> the one here; those that are not here are told by other parts."""
_POD_LINKS = "azv"


def findings(snapshot: Snapshot, node: Node, here: Host | None) -> Iterator[Finding]:
    """here: None where pods are not this product's; then there is no ledger to judge."""
    space = snapshot.space(node.space)
    parts = ("links", "addresses", "neighbours", "nft", "ledger")
    if space is None or any(one in space.unread for one in parts):
        return
    if node.attachments.mode == "kubenet":
        return
    seen = survey(snapshot, node, space, here)
    for one in leaks.findings(seen, now=snapshot.taken):
        if one.kind in KINDS:
            yield _told(one, node)


def _told(one: leaks.Finding, node: Node) -> Finding:
    return found(
        KINDS[one.kind],
        _thing(one, node),
        f"{one.address or one.host_link or 'the ledger'}: {one.cause}",
        remedies.own("ipam gc", node.name) if one.gc else one.remedy,
        ours=bool(one.gc),
        node=node.name,
        consequence=one.consequence,
    )


def _thing(one: leaks.Finding, node: Node) -> str:
    if one.lease is not None and one.lease.container_id:
        return thing(one.lease)
    if one.host_link:
        return f"link {node.space} {one.host_link}"
    return f"node {node.name}"


def survey(snapshot: Snapshot, node: Node, space: Space, here: Host | None) -> Survey:
    """As `cni.survey.survey` makes it on the node."""
    have = node.attachments
    lived = set(have.inhabited)
    cut_off = {
        one.id for one in have.leases if here is not None and is_cut_off(one, here, snapshot)
    }
    inside = {one.id: pod for one in have.leases if (pod := wanted.space_of(one, node, snapshot))}
    gone = (one.id for one in have.leases if _is_gone(one, space, inside) and one.id not in cut_off)
    empty: set[int | str] = {which for which, pod in inside.items() if pod.inode not in lived}
    empty |= {one.name for one in space.links if not _is_inhabited(one, snapshot, lived)}
    return Survey(
        leases=have.leases,
        addresses=have.addresses,
        kernel=_objects(snapshot, space, have.bridge or DEFAULT_BRIDGE),
        containers=_containers(node),
        bridge=have.bridge or DEFAULT_BRIDGE,
        has_ledger=have.has_ledger,
        leaked=frozenset(gone) | frozenset(have.abandoned),
        empty=frozenset(empty),
    )


def _is_gone(lease: Lease, space: Space, inside: Mapping[int, Space]) -> bool:
    """As `cni.pods` tells it: a pod's link goes with its namespace."""
    if lease.state != ATTACHED:
        return False
    if lease.host_link:
        return space.link(lease.host_link) is None
    return not lease.container_id or bool(lease.netns and lease.id not in inside)


def _is_inhabited(link: Link, snapshot: Snapshot, lived: set[int]) -> bool:
    """Whether a process lives at a veth's other end. The collector finds each that does."""
    other = snapshot.space(link.peer[0]) if link.peer else None
    return other is not None and (other.inode in lived or other.kind != "pod")


def _containers(node: Node) -> Containers:
    have = node.attachments
    kept = (
        Kept(one.path, one.network, one.container_id, one.ifname, one.addresses)
        for one in have.kept
    )
    ids = None if have.pods is None else frozenset(have.pods)
    return Containers(ids, have.told_by, tuple(kept), frozenset(have.own))


def _objects(snapshot: Snapshot, space: Space, bridge: str) -> PodObjects:
    """As `kernel.pods.pod_objects` finds them."""
    veths = [one for one in space.links if one.kind == "veth"]
    ports = [one for one in veths if one.master == bridge]
    ends = {mac: one.name for one in ports if (mac := _other_mac(one, snapshot))}
    mine = [one for one in veths if one.name.startswith(_POD_LINKS)]
    elements = members(space, TABLE_FAMILY, TABLE_NAME, POD_MACS)
    loops = members(space, TABLE_FAMILY, TABLE_NAME, PORT_LOOPS)
    return PodObjects(
        links={one.name: _kernel_link(one) for one in mine},
        ends=ends,
        neighbours=_permanent(space, bridge),
        elements={ip: mac for ip, mac in elements.items() if mac},
        loops=frozenset(one.partition(" . ")[0] for one in loops),
        routed=tuple(_routed(space, mine)),
        own=frozenset(one.ip for one in space.addresses),
        neighbours6={mac: ip for ip, mac in _permanent(space, bridge, six=True).items()},
    )


def _other_mac(link: Link, snapshot: Snapshot) -> str:
    other = snapshot.space(link.peer[0]) if link.peer else None
    end = other.link(link.peer[1]) if other and link.peer else None
    return end.mac if end and other and other.kind == "pod" else ""


def _permanent(space: Space, link: str, *, six: bool = False) -> dict[str, str]:
    """Address -> MAC."""
    return {
        one.ip: one.mac
        for one in space.neighbours
        if (one.link, one.state, one.proxy) == (link, "PERMANENT", False) and (":" in one.ip) == six
    }


def _routed(space: Space, links: Iterable[Link]) -> Iterator[WiredPod]:
    for link in links:
        if not link.master:
            six = {mac: ip for ip, mac in _permanent(space, link.name, six=True).items()}
            for ip, mac in _permanent(space, link.name).items():
                yield WiredPod(ip, mac, link.name, ip6=six.get(mac, ""))


def _kernel_link(one: Link) -> rtvalues.Link:
    """Numbers of namespaces are not kept: whose an end is, is known already."""
    return rtvalues.Link(
        one.ifindex, one.name, one.mac, one.mtu, one.up, one.carrier, 0, one.kind,
        one.peer_index, None, one.hairpin, one.neigh_suppress,
    )  # fmt: skip
