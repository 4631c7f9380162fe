"""An explanation as what the page animates: steps, each with the things where the packet is.

Pure. Says nothing that explain does not say; only which boxes lie between two hops is found here,
from whose other end each link is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from itertools import pairwise
from typing import Any, TypeAlias

from podwire.lens.explain.values import Explanation, Hop, Packet
from podwire.lens.snapshot import Snapshot

End: TypeAlias = tuple[str, str]
"""A space's id, a link's name."""
_HERE = ("socket", "local")
"""Where a hop is in the midst of its space, and not at a link."""


def journey(snapshot: Snapshot, explanation: Explanation) -> dict[str, Any]:
    """As JSON's values. Each step: reply, place, text, packet, changed (the fields that differ from
    the step before), at (data-objects, in the order in which the packet is at them), entry."""
    culprit = explanation.culprit
    steps = [
        *_steps(snapshot, explanation.hops, reply=False),
        *_steps(snapshot, explanation.reply, reply=True),
    ]
    return {
        "source": explanation.source.name,
        "target": str(explanation.target),
        "verdict": explanation.verdict,
        "culprit": asdict(culprit) if culprit else None,
        "warnings": list(explanation.warnings),
        "branches": [asdict(one) for one in explanation.branches],
        "mtu": explanation.mtu,
        "steps": steps,
    }


def _steps(snapshot: Snapshot, hops: tuple[Hop, ...], *, reply: bool) -> Iterator[dict[str, Any]]:
    packet: Packet | None = None
    before: Hop | None = None
    here: list[str] = []
    for one in hops:
        way = [*here[-1:], *_crossing(snapshot, before, one), *_at(snapshot, one, here)]
        here = _onward(way)
        yield {
            "reply": reply,
            "place": one.place,
            "space": one.space,
            "text": one.text,
            "packet": asdict(one.packet),
            "changed": _changed(packet, one.packet),
            "at": here,
            "entry": asdict(one.entry) if one.entry else None,
            "verdict": one.verdict,
            "notes": list(one.notes),
        }
        packet, before = one.packet, one


def _onward(way: list[str]) -> list[str]:
    """Without going back to where the packet is already, and no place twice in a row."""
    last = len(way) - 1 - way[::-1].index(way[0])
    on = way[last:]
    return [on[0], *(two for one, two in pairwise(on) if one != two)]


def _changed(before: Packet | None, now: Packet) -> list[str]:
    """What was rewritten; the frame's addresses change at every hop, and are left out."""
    fields = ("src", "dst", "sport", "dport", "mark")
    return [one for one in fields if before and getattr(before, one) != getattr(now, one)]


def _crossing(snapshot: Snapshot, before: Hop | None, now: Hop) -> Iterator[str]:
    """The two ends of the link by which the packet came from another space."""
    if before is None or before.space == now.space:
        return
    ends = _ends(snapshot, before.space)
    told = [end for end in ends if end[0][1] == before.link_out and end[1][0] == now.space]
    led = told or [end for end in ends if end[1][0] == now.space]
    for one in led[:1]:
        yield from (f"link {space} {name}" for space, name in one)


def _ends(snapshot: Snapshot, space_id: str) -> list[tuple[End, End]]:
    """Each link of a space with its other end, from whichever side knows it."""
    space = snapshot.space(space_id)
    mine = [((space_id, one.name), one.peer) for one in (space.links if space else ()) if one.peer]
    theirs = [
        (one.peer, (other.id, one.name))
        for other in snapshot.spaces
        for one in other.links
        if one.peer and one.peer[0] == space_id
    ]
    return mine + theirs


def _at(snapshot: Snapshot, hop: Hop, here: list[str]) -> Iterator[str]:
    """Where a hop says nothing of links and its space has no bridge, the packet stays."""
    space = snapshot.space(hop.space)
    if hop.place in _HERE or space is None or space.kind == "fabric":
        yield box_of(hop.space)
        return
    link = space.link(hop.link_in) if hop.link_in else None
    hub = link.master if link and link.master else ""
    names = [hop.link_in, hub, hop.link_out]
    if not hop.link_in and not hop.link_out:
        names = [_hub(snapshot, hop.space)]
    there = [f"link {hop.space} {one}" for one in names if one and space.link(one)]
    stays = here[-1:] if here and here[-1].startswith(f"link {hop.space} ") else []
    yield from there or stays or [box_of(hop.space)]


def _hub(snapshot: Snapshot, space_id: str) -> str:
    """Where a node's rules are met: its bridge; "" for none, and for a pod."""
    node = next((one for one in snapshot.nodes if one.space == space_id), None)
    return node.attachments.bridge if node else ""


def box_of(space: str) -> str:
    """The data-object of the box that stands for a namespace."""
    kind, _, name = space.partition("/")
    return f"{kind} {name}" if kind in ("node", "pod") else f"space {space}"
