"""What became of the packet: from sightings, rules and the sender's socket to a verdict. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from podwire.lens.snapshot import Snapshot
from podwire.lens.trace.packets import RST
from podwire.lens.trace.strays import is_stray, owns
from podwire.lens.trace.values import Cause, Outcome, RuleMet, Sighting, State

_UNREACHABLE = {
    0: "net unreachable",
    1: "host unreachable",
    2: "protocol unreachable",
    3: "port unreachable",
    4: "packet too big",
    9: "net prohibited",
    10: "host prohibited",
    13: "administratively prohibited",
}


@dataclass(frozen=True, slots=True)
class Judgement:
    state: State
    text: str
    last: Sighting | None = None
    causes: tuple[Cause, ...] = ()


def judge(
    snapshot: Snapshot,
    seen: Sequence[Sighting],
    rules: Sequence[RuleMet],
    outcome: Outcome,
    home: str,
) -> Judgement:
    """home: the id of the sender's space."""
    own = [one for one in seen if not one.again and not is_stray(snapshot, one)]
    probes = [one for one in own if one.role == "probe"]
    answers = [one for one in own if one.role == "answer"]
    errors = [one for one in seen if one.role == "error"]
    if outcome.state == "answered" or (outcome.state == "watched" and _is_home(answers, home)):
        text = f"the answer is back: {outcome.text}"
        return Judgement("delivered", text, answers[-1] if answers else None)
    if outcome.state == "stalled":
        return _stalled(probes, outcome)
    last = _last(probes)
    if _is_reset(answers, home):
        return _reset(answers[0], last)
    if errors:
        return _told(errors[0], last)
    if outcome.state in ("unsent", "refused"):
        text = f"the kernel of {home} said: {outcome.text}"
        return Judgement("refused", text, last, (Cause("errno", home, text),))
    if answers:
        return Judgement(
            "answer dropped", f"the answer was lost: {_where(answers[-1])}", answers[-1]
        )
    if last is None:
        return Judgement("dropped", f"no packet left {home}")
    dropped = any(one.verdict == "drop" and one.space == last.space for one in rules)
    if not dropped and _arrived(snapshot, last):
        return Judgement("unanswered", f"arrived, and nothing answered: {_where(last)}", last)
    return Judgement("dropped", f"lost: {_where(last)}", last)


def _stalled(probes: Sequence[Sighting], outcome: Outcome) -> Judgement:
    """The connection stands; what is large did not get through."""
    last = _last([one for one in probes if one.packet.payload])
    where = _where(last) if last else "none of it was seen"
    return Judgement("dropped", f"{outcome.text}: {where}", last)


def _last(probes: Sequence[Sighting]) -> Sighting | None:
    return probes[-1] if probes else None


def _is_home(answers: Sequence[Sighting], home: str) -> bool:
    return any(one.space == home and not one.outgoing for one in answers)


def _is_reset(answers: Sequence[Sighting], home: str) -> bool:
    return bool(answers) and bool(answers[0].packet.flags & RST) and _is_home(answers, home)


def _reset(first: Sighting, last: Sighting | None) -> Judgement:
    text = (
        f"{first.space} refused it with a TCP reset: nothing listens at "
        f"{first.packet.src}:{first.packet.sport} there"
    )
    return Judgement("refused", text, last, (Cause("reset", first.space, text),))


def _told(error: Sighting, last: Sighting | None) -> Judgement:
    packet = error.packet
    what = _UNREACHABLE.get(packet.code, f"unreachable, code {packet.code}")
    if packet.kind_of == 11:
        what = "its TTL ended"
    text = f"{error.space} refused it: ICMP {what}, from {packet.src}"
    return Judgement("refused", text, last, (Cause("icmp", error.space, text),))


def _arrived(snapshot: Snapshot, last: Sighting) -> bool:
    """It came into the space that has its destination, for the MAC of the link."""
    space = snapshot.space(last.space)
    if space is None or (last.outgoing and last.link != "lo"):
        return False
    link = space.link(last.link)
    own = owns(space, last.packet.dst)
    meant = link is None or link.master or link.mac == last.packet.dmac or last.link == "lo"
    return own and bool(meant) and not (link and link.master)


def _where(one: Sighting) -> str:
    if one.outgoing:
        return f"last seen leaving {one.space} by {one.link}, to {one.packet.dst}"
    return f"it came into {one.space} by {one.link} and was not seen again"
