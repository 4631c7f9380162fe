"""A snapshot of some nodes put into an older one of all: a look at one node is a third of the work.

Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from podwire.lens.collect.naming import with_spaces
from podwire.lens.snapshot import Link, Snapshot, Space


def merged(old: Snapshot, new: Snapshot) -> Snapshot:
    """The old one, the nodes of the new one as they are there. Clusters and VNets, which are always
    told whole, are the new one's."""
    fresh = {one.name: one for one in new.nodes}
    stale = {one.space for one in old.nodes if one.name in fresh}
    stale |= {space for one in old.nodes if one.name in fresh for space in one.pods}
    before = {one.id: one for one in old.spaces}
    spaces = tuple(
        [*(one for one in old.spaces if one.id not in stale and not _again(one, new))]
        + [_with_ends(one, before.get(one.id)) for one in new.spaces]
    )
    nodes = tuple(fresh.get(one.name, one) for one in old.nodes)
    return replace(
        new,
        nodes=nodes,
        spaces=spaces,
        clusters=tuple(with_spaces(one, nodes, spaces) for one in new.clusters),
    )


def _again(one: Space, new: Snapshot) -> bool:
    return new.space(one.id) is not None


def _with_ends(space: Space, before: Space | None) -> Space:
    """A cable's other end is in a space that was not looked at now; it is where it was."""
    if before is None:
        return space
    ends: Mapping[int, Link] = {one.ifindex: one for one in before.links if one.peer}
    return replace(space, links=tuple(_with_end(one, ends.get(one.ifindex)) for one in space.links))


def _with_end(link: Link, before: Link | None) -> Link:
    same = before is not None and before.peer_index == link.peer_index
    if link.peer is not None or before is None or not same or link.kind != "veth":
        return link
    return replace(link, peer=before.peer)
