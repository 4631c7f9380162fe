"""Whose the other ends of veth pairs are: (space id, name) of each.

The kernel numbers, in each namespace for itself, the namespaces where its links' other ends are
(RTM_GETNSID). Only the few spaces that have many links are asked: a pod's end is known from the
node's. Source: namespaces(7), rtnetlink(7).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeAlias

from podwire.kernel.rtnetlink import RtNetlink
from podwire.lens.collect.spaces import Seen
from podwire.lens.snapshot import Link, Space
from podwire.model.errors import KernelError

End: TypeAlias = tuple[str, int]
"""A space's id, a link's index."""


def with_peers(seen: Sequence[Seen]) -> tuple[Space, ...]:
    """The spaces, their links told their peers; namespaces must still be open."""
    names = {
        (one.space.id, index): link.link.name for one in seen for index, link in one.links.items()
    }
    peers: dict[End, End] = {}
    for one in seen:
        if one.space.kind != "pod":
            peers.update(_ends(one, seen))
    peers |= {other: mine for mine, other in peers.items() if other not in peers}
    return tuple(_told(one.space, peers, names) for one in seen)


def _ends(one: Seen, others: Iterable[Seen]) -> Iterable[tuple[End, End]]:
    veths = [link.link for link in one.links.values() if link.link.kind == "veth"]
    spaces = _numbers(one, others) if veths else {}
    for link in veths:
        space = spaces.get(link.peer_nsid)
        if space is not None and link.peer:
            yield (one.space.id, link.ifindex), (space, link.peer)


def _numbers(one: Seen, others: Iterable[Seen]) -> dict[int | None, str]:
    """Number of a namespace in this one -> id of the space. None: itself."""
    found: dict[int | None, str] = {}
    with RtNetlink(one.namespace) as door:
        for other in others:
            with suppress(KernelError):
                number = door.nsid(other.namespace)
                if number is not None:
                    found[number] = other.space.id
    found[None] = one.space.id
    return found


def _told(space: Space, peers: Mapping[End, End], names: Mapping[End, str]) -> Space:
    return replace(space, links=tuple(_peered(space.id, one, peers, names) for one in space.links))


def _peered(id: str, link: Link, peers: Mapping[End, End], names: Mapping[End, str]) -> Link:  # noqa: A002
    other = peers.get((id, link.ifindex))
    if other is None or other not in names:
        return link
    return replace(link, peer=(other[0], names[other]))
