"""Copies of a frame that a bridge floods to those whom it is not for, no part of its way. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from podwire.lens.snapshot import Link, Snapshot, Space
from podwire.lens.trace.packets import Packet
from podwire.lens.trace.values import Sighting

_EVERYBODY = "ff:ff:ff:ff:ff:ff"


def link_at(snapshot: Snapshot, space: str, name: str) -> Link | None:
    found = snapshot.space(space)
    return found.link(name) if found else None


def owns(space: Space, address: str) -> bool:
    return any(one.ip == address for one in space.addresses)


def is_stray(snapshot: Snapshot, one: Sighting) -> bool:
    """Whether it goes to a pod, or came to one, that has neither its MAC nor its address."""
    link = link_at(snapshot, one.space, one.link)
    end = (one.space, one.link) if not one.outgoing else link.peer if link else None
    space = snapshot.space(end[0]) if end else None
    if end is None or space is None or space.kind != "pod":
        return False
    far = space.link(end[1])
    return far is not None and not _is_for(one.packet, far, space)


def _is_for(packet: Packet, link: Link, space: Space) -> bool:
    return packet.dmac in (link.mac, _EVERYBODY) or link.name == "lo" or owns(space, packet.dst)


def flooded(snapshot: Snapshot, seen: Iterable[Sighting]) -> Sighting | None:
    """The first such copy of the packet or its answer."""
    kept = (one for one in seen if one.role in ("probe", "answer"))
    return next((one for one in kept if is_stray(snapshot, one)), None)
