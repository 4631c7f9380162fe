"""What became different while a snapshot was taken: a second look at what says most."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress

from podwire.ipam.lease import Lease
from podwire.kernel.mountns import inside
from podwire.lens.collect.doors import Door
from podwire.lens.collect.inside import leases
from podwire.lens.collect.spaces import Seen, read_again
from podwire.lens.snapshot import Node, Space
from podwire.model.errors import PodwireError


def changes_of_space(seen: Seen) -> Iterator[str]:
    """Its links, addresses and routes; must be open still."""
    with suppress(PodwireError):
        now = read_again(seen)
        for what, before, after in zip(
            ("link", "address", "route"), _marks(seen.space), _marks(now), strict=True
        ):
            yield from _told(f"{seen.space.id}: {what}", before, after)


def changes_of_ledger(door: Door, node: Node) -> Iterator[str]:
    before = {_lease(one) for one in node.attachments.leases}
    with suppress(PodwireError):
        after = {_lease(one) for one in inside(door.pid, leases)}
        yield from _told(f"{node.space}: lease", before, after)


def _marks(space: Space) -> Iterator[set[str]]:
    yield {
        f"{one.name} ({'up' if one.up else 'down'}, master {one.master or 'none'})"
        for one in space.links
    }
    yield {f"{one.cidr} on {one.link}" for one in space.addresses}
    yield {
        f"{one.dst} via {one.via or 'nobody'} on {one.link or 'no link'}, table {one.table}"
        for one in space.routes
    }


def _lease(one: Lease) -> str:
    who = f"{one.pod_namespace}/{one.pod_name}" if one.pod_name else one.container_id[:12]
    return f"{one.address or 'without address'} of {who} ({one.state})"


def _told(what: str, before: Iterable[str], after: Iterable[str]) -> Iterator[str]:
    old, new = set(before), set(after)
    yield from (f"{what} {one} went" for one in sorted(old - new))
    yield from (f"{what} {one} came" for one in sorted(new - old))
