"""Where explain and reality differ. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from podwire.lens.explain import Explanation, Hop
from podwire.lens.snapshot import Snapshot
from podwire.lens.trace.strays import link_at
from podwire.lens.trace.values import Sighting, State

_SAME = {
    "delivered": ("delivered",),
    "refused": ("refused",),
    "dropped": ("dropped", "answer dropped", "unanswered", "refused"),
}
_Pass = tuple[str, str]


def differences(
    snapshot: Snapshot, explained: Explanation, seen: Sequence[Sighting], state: State
) -> Iterator[str]:
    """Nothing when explain said what happened."""
    if explained.verdict != "unknown" and state not in _SAME[explained.verdict]:
        why = f" ({explained.culprit.text})" if explained.culprit else ""
        yield f"explain says {explained.verdict}{why}; in reality: {state}"
    for what, hops, role in (
        ("packet", explained.hops, "probe"),
        ("answer", explained.reply, "answer"),
    ):
        yield from _way(snapshot, what, hops, [one for one in seen if one.role == role])


def _way(
    snapshot: Snapshot, what: str, hops: Sequence[Hop], seen: Sequence[Sighting]
) -> Iterator[str]:
    """The first place of each kind: what comes after it follows from it."""
    expected = list(dict.fromkeys(_passes(hops)))
    real = list(dict.fromkeys((one.space, one.link) for one in seen))
    if not seen or not expected:
        return
    missed = [one for one in expected if one not in real]
    if missed:
        yield f"explain expects the {what} at {_place(missed[0])}; it was not seen there"
    spaces = {one.space for one in hops}
    spaces |= {_beyond(snapshot, one.space, one.link_out) for one in hops if one.link_out}
    extra = [one for one in real if one[0] not in spaces]  # a hop names not every link it passes
    if extra:
        yield f"the {what} was seen at {_place(extra[0])}, where explain does not expect it"


def _beyond(snapshot: Snapshot, space: str, name: str) -> str:
    """The space that a link leads to."""
    link = link_at(snapshot, space, name)
    return link.peer[0] if link and link.peer else ""


def _passes(hops: Iterable[Hop]) -> Iterator[_Pass]:
    """Where it ends in a drop, the link that it would have left by is no place to be seen at."""
    listed = list(hops)
    end = listed[-1].space if listed and listed[-1].verdict not in ("", "delivered") else ""
    for one in listed:
        links = (one.link_in, "" if one.space == end else one.link_out)
        yield from ((one.space, link) for link in links if link)


def _place(one: _Pass) -> str:
    return f"{one[1]} of {one[0]}"
