"""What a trace says, as values: sightings, rules that were met, the verdict.

Must not know how any of it is found. Times are Unix times in ns of the kernel's one clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from podwire.lens.names import Target, Thing
from podwire.lens.trace.packets import Packet

Role: TypeAlias = Literal["probe", "answer", "error", "arp"]
State: TypeAlias = Literal["delivered", "refused", "dropped", "answer dropped", "unanswered"]
"""refused: the sender was told no (TCP reset, ICMP error, its own kernel). dropped: it was not seen
where it should go. answer dropped: an answer left and did not arrive. unanswered: it arrived, and
no answer left."""


@dataclass(frozen=True, slots=True)
class Captured:
    """A frame that passed a link. outgoing: sent by the link, else received."""

    at: int
    space: str
    link: str
    outgoing: bool
    data: bytes


@dataclass(frozen=True, slots=True)
class Sighting:
    """The packet, its answer, an ICMP error about it, or ARP that it needed, passing a link.

    changes: how the packet differs from its sighting before, in words. took: ns since then, 0 for
    the first. again: the same packet was sent once more.
    """

    at: int
    space: str
    link: str
    outgoing: bool
    role: Role
    packet: Packet
    changes: tuple[str, ...] = ()
    took: int = 0
    again: bool = False

    @property
    def place(self) -> str:
        return f"{self.space} {self.link}"


@dataclass(frozen=True, slots=True)
class RuleMet:
    """A rule of nftables or iptables-nft that the packet met, as the kernel's tracing tells it.

    text: as the tool prints it; "policy" for a chain's end. answer: it was the answer that met it.
    """

    space: str
    family: str
    table: str
    chain: str
    text: str
    verdict: str
    answer: bool = False

    def __str__(self) -> str:
        return f"{self.family} {self.table} {self.chain}: {self.text} ({self.verdict})"


@dataclass(frozen=True, slots=True)
class Cause:
    """Evidence of what ended the way. kind: "rule", "arp", "counter", "errno", "icmp", "reset",
    "silence"; space: where."""

    kind: str
    space: str
    text: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the sender's own socket said. state: "answered", "refused", "silence", "unsent",
    "watched", "stalled" (connected, but what is large is not acknowledged). text: in words;
    seconds: until then."""

    state: str
    text: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Trace:
    """sightings: in order of time; last: the furthest of the packet, or of its answer once that
    left, None when none was seen. backend: ADDRESS:PORT that the packet was for in the end.

    differs: where explain and reality do; None: there was no explanation to compare with.
    unseen: what could not be looked at, in words.
    """

    source: Thing
    target: Target
    protocol: str
    state: State
    text: str
    sightings: tuple[Sighting, ...]
    rules: tuple[RuleMet, ...]
    causes: tuple[Cause, ...]
    outcome: Outcome
    last: Sighting | None = None
    backend: str = ""
    differs: tuple[str, ...] | None = None
    explained: str = ""
    unseen: tuple[str, ...] = ()
    took: float = 0.0
