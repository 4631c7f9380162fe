"""Wanted against seen: what a node and each of its pods lack in the kernel, or have otherwise.

Pure. One finding for the node, one for each pod, with all that is wrong; MTUs are `machine`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from podwire.cni.leaks import pod_name
from podwire.ipam.lease import Lease
from podwire.kernel.wire import describe
from podwire.lens.doctor import remedies, wanted
from podwire.lens.doctor.catalog import found
from podwire.lens.doctor.seen import seen
from podwire.lens.doctor.values import Finding
from podwire.lens.doctor.wanted import Host
from podwire.lens.snapshot import Snapshot, Space
from podwire.model.pod_network import HOST, POD
from podwire.model.wiring import Bridge, Difference, KernelObject, Veth, Wiring, diff


def findings(snapshot: Snapshot, here: Host) -> Iterator[Finding]:
    node = here.seen.name
    if wrong := _differences(here.node.wiring, {HOST: here.space}):
        yield found(
            "node-wiring",
            f"node {node}",
            _evidence(wrong, {HOST: here.space}),
            remedies.fix(node),
            ours=True,
            node=node,
        )
    for lease in wanted.leases(here.seen):
        yield from _of_pod(lease, here, snapshot)


def thing(lease: Lease) -> str:
    """Its pod, or what is known of it."""
    if name := pod_name(lease):
        return f"pod {name}"
    return f"pod {lease.container_id[:12] or lease.address}"


def is_cut_off(lease: Lease, here: Host, snapshot: Snapshot) -> bool:
    """Whether its pod lives on though its link is gone: nothing to free, but to wire again."""
    space = wanted.space_of(lease, here.seen, snapshot)
    return space is not None and space.inode in here.seen.attachments.inhabited


def _of_pod(lease: Lease, here: Host, snapshot: Snapshot) -> Iterator[Finding]:
    """A lease without its link and its pod is a leak, which the ledger's part tells."""
    if here.space.link(lease.host_link) is None and not is_cut_off(lease, here, snapshot):
        return
    places = {HOST: here.space}
    if (space := wanted.space_of(lease, here.seen, snapshot)) is not None:
        places[POD] = space
    if wrong := _differences(wanted.of_lease(lease, here), places):
        yield found(
            "pod-wiring",
            thing(lease),
            f"{lease.address}: {_evidence(wrong, places)}",
            remedies.fix(here.seen.name),
            ours=POD in places,
            node=here.seen.name,
        )


def _differences(want: Wiring, places: Mapping[str, Space]) -> list[Difference]:
    wrong = diff(want, seen(want, places))
    return [one for one in wrong if one.fields != ("mtu",)]


def _evidence(wrong: list[Difference], places: Mapping[str, Space]) -> str:
    return "; ".join(_told(one, places) for one in wrong)


def _told(one: Difference, places: Mapping[str, Space]) -> str:
    what = describe(one.wanted)
    if one.fields == ("absent",):
        return f"{what} is there and must not be"
    if one.seen is None:
        return _missing(one.wanted, what, places)
    names = [name for name in one.fields if name != "mtu"]
    if "rules" in names:
        return f"{what} has other rules than it was loaded with"
    values = (
        f"{name} is {getattr(one.seen, name, None)!s}, not {getattr(one.wanted, name)!s}"
        for name in names
    )
    return f"{what}: {', '.join(values)}"


def _missing(want: KernelObject, what: str, places: Mapping[str, Space]) -> str:
    """A link that is down counts as missing: which one, and how."""
    ends: list[tuple[str, str]] = []
    if isinstance(want, Bridge | Veth):
        ends.append((want.place, want.name))
    if isinstance(want, Veth):
        ends.append((want.peer_place, want.peer_name))
    for place, name in ends:
        link = places[place].link(name) if place in places else None
        if place in places and link is None:
            return f"link {name} of {places[place].id} is missing"
        if link is not None and not link.up:
            return f"link {name} of {places[place].id} is down"
    return f"{what} is missing" if not ends else f"{what} is of another kind, or no pair"
