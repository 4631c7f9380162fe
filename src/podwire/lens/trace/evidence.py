"""Why a packet went no further: what the recording itself shows. Pure.

Nothing is concluded here from how things are set up: that is explain's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from podwire.lens.snapshot import Snapshot
from podwire.lens.trace.strays import flooded, link_at, owns
from podwire.lens.trace.values import Cause, RuleMet, Sighting

COUNTERS = {
    "TcpExt.IPReversePathFilter": "the reverse path filter refused a source address (rp_filter)",
    "Ip.OutNoRoutes": "there was no route",
    "Ip.InAddrErrors": "a packet was for an address that is not here, and is not forwarded",
    "Ip.InHdrErrors": "a packet's TTL ended",
    "Ip.InDiscards": "packets were discarded on the way in",
    "Ip.FragFails": "packets were larger than a link's MTU and may not be cut",
    "IpExt.InNoRoutes": "there was no route for a packet that came in",
    "conntrack.drop": "the connection tracking table was full",
    "conntrack.early_drop": "the connection tracking table was full: older entries were evicted",
    "conntrack.insert_failed": "connection tracking could not keep the connection",
}


def causes(
    snapshot: Snapshot,
    seen: Sequence[Sighting],
    last: Sighting | None,
    rules: Sequence[RuleMet],
    counters: Mapping[str, Mapping[str, int]],
    home: str,
) -> Iterator[Cause]:
    """The strongest first. home: the space of the sender."""
    yield from _other_mac(snapshot, last)
    yield from _down(snapshot, last, home)
    copy = flooded(snapshot, seen)
    if copy is not None:
        text = f"{copy.space} did not know where {copy.packet.dmac} is, and sent it to every port"
        yield Cause("flood", copy.space, text)
    for rule in rules:
        of_a_copy = copy is not None and rule.family == "bridge" and rule.space == copy.space
        if rule.verdict == "drop" and not of_a_copy:
            yield Cause("rule", rule.space, f"a rule dropped it: {rule}")
    yield from unanswered(snapshot, seen, last.space if last else home)
    yield from _counted(counters, {last.space, *_next(snapshot, last)} if last else {home})


def _next(snapshot: Snapshot, last: Sighting) -> tuple[str, ...]:
    link = link_at(snapshot, last.space, last.link)
    return (link.peer[0],) if link and link.peer and last.outgoing else ()


def _other_mac(snapshot: Snapshot, last: Sighting | None) -> Iterator[Cause]:
    """It came to a link that has another MAC, which is no port of a bridge."""
    if last is None or last.outgoing:
        return
    link = link_at(snapshot, last.space, last.link)
    if link and not link.master and link.mac not in (last.packet.dmac, "00:00:00:00:00:00"):
        text = f"it came for the MAC {last.packet.dmac}; {link.name} there has {link.mac}"
        if last.space.startswith("node/") and link.kind == "veth":
            text += ", and is no port of a bridge"
        yield Cause("mac", last.space, text)


def _down(snapshot: Snapshot, last: Sighting | None, home: str) -> Iterator[Cause]:
    """The link that it left by, or the one to who has the address, at either end; of a sender whose
    packet never left, any."""
    here = snapshot.space(last.space if last else home)
    for link in here.links if here else ():
        far = snapshot.space(link.peer[0]) if link.peer else None
        if here is None or far is None or link.peer is None:
            continue
        left = last is None or (last.outgoing and link.name == last.link)
        if left or (last is not None and owns(far, last.packet.dst)):
            for space, one in ((here, link), (far, far.link(link.peer[1]))):
                if one is not None and not one.up:
                    yield Cause("link", space.id, f"{one.name} of {space.id} is down")


def unanswered(snapshot: Snapshot, seen: Sequence[Sighting], space: str) -> Iterator[Cause]:
    """ARP requests that began in the space and whose answer did not come back there; the cause is
    where they got lost."""
    arp = [one for one in seen if one.role == "arp"]
    answered = {one.packet.src for one in arp if one.space == space and _takes(snapshot, one)}
    asked = [one for one in arp if one.packet.code == 1 and one.packet.src != one.packet.dst]
    here = {one.packet.dst: one for one in asked if one.space == space and one.outgoing}
    for ip, first in here.items():
        if ip in answered:
            continue
        way = [one for one in asked if one.packet.ends == first.packet.ends]
        replies = [one for one in arp if one.packet.code == 2 and one.packet.src == ip]
        end = replies[-1] if replies else _furthest(snapshot, way, space)
        what = "an answer" if replies else "it"
        yield Cause(
            *("arp", end.space),
            f"{space} asked by ARP on {first.link} who has {ip}, and got no answer: "
            f"{what} was last seen {_passing(end)}",
        )


def _takes(snapshot: Snapshot, one: Sighting) -> bool:
    """Whether an answer is for the link that it came to."""
    link = link_at(snapshot, one.space, one.link)
    return one.packet.code == 2 and (link is None or link.mac == one.packet.dmac)


def _furthest(snapshot: Snapshot, way: Sequence[Sighting], space: str) -> Sighting:
    """A request is flooded: what counts is where it came but to pods that are not asked."""
    there = [snapshot.space(one.space) for one in way]
    meant = [
        one
        for one, far in zip(way, there, strict=True)
        if far and one.space != space and (far.kind != "pod" or owns(far, one.packet.dst))
    ]
    return (meant or [one for one in way if one.space == space])[-1]


def _passing(one: Sighting) -> str:
    return f"{'leaving' if one.outgoing else 'coming in'} by {one.link} of {one.space}"


def _counted(counters: Mapping[str, Mapping[str, int]], spaces: set[str]) -> Iterator[Cause]:
    for space in sorted(spaces):
        for name, by in counters.get(space, {}).items():
            if name in COUNTERS:
                yield Cause("counter", space, f"{COUNTERS[name]} ({name} +{by} in {space})")
