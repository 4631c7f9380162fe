"""An explanation as lines for people: a line a hop, the culprit in red, the commands below."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from podwire.lens.explain import Branch, Culprit, Explanation, Hop, Packet
from podwire.lens.names import Thing

_COLOURS = {"delivered": "green", "dropped": "red", "refused": "red", "unknown": "yellow"}


def lines(told: Explanation, protocol: str, *, entries: bool = False) -> Iterator[str]:
    """entries: below each hop the entry that decides."""
    target = f":{told.target.port}" if told.target.port else ""
    way = f"{_named(told.source)} -> {_named(told.target.thing)}{target}"
    yield click.style(f"{way}, {protocol}", bold=True)
    yield from _branches(told.branches)
    for title, hops in (("the packet", told.hops), ("its answer", told.reply)):
        if hops:
            yield ""
            yield click.style(title, bold=True)
            yield from _hops(hops, entries=entries)
    yield ""
    yield from _verdict(told)
    blamed = {one.text for one in told.suspects}
    for text in told.warnings:
        if text in blamed:
            continue
        yield click.style(f"note: {text}", fg="yellow")


def _named(thing: Thing) -> str:
    address = f" ({thing.address})" if thing.address and thing.address != thing.name else ""
    return f"{thing.kind} {thing.name}{address}" if thing.kind != "address" else thing.name


def _branches(branches: Sequence[Branch]) -> Iterator[str]:
    for one in branches:
        mark = ">" if one.chosen else " "
        pod = f"  pod {one.pod}" if one.pod else "  no pod has it"
        verdict = click.style(one.verdict, fg=_COLOURS[one.verdict])
        yield f" {mark} {one.probability:6.1%}  {one.backend:<21} {verdict}{pod}"


def _hops(hops: Sequence[Hop], *, entries: bool) -> Iterator[str]:
    places = max(len(one.place) for one in hops)
    spaces = max(len(_space(one.space)) for one in hops)
    shown = ""
    for number, hop in enumerate(hops, 1):
        packet = _packet(hop.packet)
        changed = "" if packet == shown else click.style(f"  [{packet}]", fg="cyan")
        shown = packet
        head = f"{number:3} {_space(hop.space):<{spaces}}  {hop.place:<{places}}"
        links = " > ".join(one for one in (hop.link_in, hop.link_out) if one)
        text = f"{links}: {hop.text}" if links else hop.text
        colour = _COLOURS[hop.verdict] if hop.verdict else None
        yield f"{head}  {click.style(text, fg=colour)}{changed}"
        if entries:
            yield from _entry(hop, " " * 4)


def _entry(hop: Hop, margin: str) -> Iterator[str]:
    for note in hop.notes:
        yield click.style(f"{margin}  {note}", dim=True)
    if hop.entry is not None:
        yield click.style(f"{margin}  {hop.entry.kind}: {hop.entry.text}", dim=True)


def _space(space_id: str) -> str:
    return space_id.replace("/", " ", 1)


def _packet(one: Packet) -> str:
    ports = one.protocol in ("tcp", "udp")
    left = f"{one.src}:{one.sport}" if ports else one.src
    right = f"{one.dst}:{one.dport}" if ports else one.dst
    return f"{left} -> {right}" + (f" mark {one.mark:#x}" if one.mark else "")


def _verdict(told: Explanation) -> Iterator[str]:
    yield click.style(told.verdict, fg=_COLOURS[told.verdict], bold=True) + _extent(told)
    if told.culprit is not None:
        yield from _culprit(told.culprit, "red")
    for one in told.suspects:
        yield from _culprit(one, "yellow")


def _extent(told: Explanation) -> str:
    chosen = next((one for one in told.branches if one.chosen), None)
    words = f", the least MTU on the way is {told.mtu}" if told.mtu else ""
    if chosen is not None and told.verdict != "delivered" and len(told.branches) > 1:
        words += f" ({chosen.probability:.0%} of connections: backend {chosen.backend})"
    return words


def _culprit(one: Culprit, colour: str) -> Iterator[str]:
    yield click.style(f"{one.fault}: {one.text}", fg=colour)
    if one.show:
        yield f"  see    {one.show}"
    if one.mend:
        yield f"  mend   {one.mend}"
