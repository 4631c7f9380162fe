"""An explanation as what the page animates: steps, each with the things where the packet is.

Pure. Says nothing that explain does not say.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from podwire.lens.explain.values import Explanation, Hop, Packet


def journey(explanation: Explanation) -> dict[str, Any]:
    """As JSON's values. Each step: reply, place, text, packet, changed (the fields that differ from
    the step before), at (data-objects, in the order in which the packet is at them), entry."""
    culprit = explanation.culprit
    steps = [*_steps(explanation.hops, reply=False), *_steps(explanation.reply, reply=True)]
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


def _steps(hops: tuple[Hop, ...], *, reply: bool) -> Iterator[dict[str, Any]]:
    before: Packet | None = None
    for one in hops:
        yield {
            "reply": reply,
            "place": one.place,
            "space": one.space,
            "text": one.text,
            "packet": asdict(one.packet),
            "changed": _changed(before, one.packet),
            "at": list(_at(one)),
            "entry": asdict(one.entry) if one.entry else None,
            "verdict": one.verdict,
            "notes": list(one.notes),
        }
        before = one.packet


def _changed(before: Packet | None, now: Packet) -> list[str]:
    """What was rewritten; the frame's addresses change at every hop, and are left out."""
    fields = ("src", "dst", "sport", "dport", "mark")
    return [one for one in fields if before and getattr(before, one) != getattr(now, one)]


def _at(hop: Hop) -> Iterator[str]:
    links = [f"link {hop.space} {one}" for one in (hop.link_in, hop.link_out) if one]
    if links:
        yield from dict.fromkeys(links)
        return
    if hop.entry and hop.entry.object:
        yield hop.entry.object
    yield box_of(hop.space)


def box_of(space: str) -> str:
    """The data-object of the box that stands for a namespace."""
    kind, _, name = space.partition("/")
    return f"{kind} {name}" if kind in ("node", "pod") else f"space {space}"
