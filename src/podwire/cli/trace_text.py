"""A trace as text: a line for each sighting, the rules that were met between, the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from podwire.lens.trace import RuleMet, Sighting, Trace
from podwire.lens.trace.packets import SYN, Packet

_TITLES = {"probe": "packet", "answer": "answer", "error": "ICMP error about it"}


def trace_lines(one: Trace) -> Iterator[str]:
    """For people. Of a TCP connection the opening alone, as it is what the rest follows."""
    yield f"{one.source.name} -> {one.target} ({one.protocol})"
    for role, title in _TITLES.items():
        seen = [s for s in one.sightings if s.role == role and _is_told(s)]
        if seen:
            yield from ("", f"{title}:", *_table(seen, one.rules if role != "error" else (), role))
    yield ""
    yield f"{one.state}: {one.text}"
    yield from (f"  {cause.text}" for cause in one.causes if cause.text != one.text)
    yield from _compared(one)
    yield from (f"not seen: {what}" for what in one.unseen)


def _is_told(one: Sighting) -> bool:
    packet = one.packet
    return not one.again and (packet.kind != "tcp" or bool(packet.flags & (SYN | 4)))


def _compared(one: Trace) -> Iterator[str]:
    if one.differs is None:
        yield "explain says nothing about this"
    elif one.differs:
        yield from (f"other than explained: {what}" for what in one.differs)
    else:
        yield f"as explained ({one.explained})"


def _table(seen: Sequence[Sighting], rules: Sequence[RuleMet], role: str) -> Iterator[str]:
    """The rules of a namespace stand behind the packet's first arrival there."""
    width = max(len(_where(one)) for one in seen)
    told: set[str] = set()
    before: Packet | None = None
    for at, one in enumerate(seen):
        took = (one.at - seen[at - 1].at) / 1000 if at else 0.0
        yield f"  {took:+9.1f} us  {_where(one).ljust(width)}  {_what(one.packet, before)}"
        before = one.packet
        if one.space not in told:
            told.add(one.space)
            met = (r for r in rules if r.space == one.space and r.answer == (role == "answer"))
            yield from (f"{'':16}| {rule}" for rule in met)


def _where(one: Sighting) -> str:
    return f"{one.space} {one.link} {'out' if one.outgoing else 'in'}"


def _what(packet: Packet, before: Packet | None) -> str:
    """Everything at first, then what is other."""
    ends = (f"{packet.src}{_port(packet.sport)} -> {packet.dst}{_port(packet.dport)}",)
    macs = f"{packet.smac} -> {packet.dmac}"
    if before is None:
        return f"{ends[0]}  ttl {packet.ttl}  {macs}"
    parts = [ends[0]] if packet.ends != before.ends else []
    parts += [f"ttl {packet.ttl}"] if packet.ttl != before.ttl else []
    if (packet.smac, packet.dmac) != (before.smac, before.dmac):
        parts.append(macs)
    return "  ".join(parts)


def _port(number: int) -> str:
    return f":{number}" if number else ""
