"""What a walk leaves behind: hops, MTUs, connections, and how it ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from podwire.lens.explain.iptables import Choice
from podwire.lens.explain.skb import Flow, Skb
from podwire.lens.explain.values import Culprit, Entry, Hop, Verdict
from podwire.lens.explain.world import Stack, World

MOST_HOPS = 200


@dataclass(frozen=True, slots=True)
class End:
    """stack, skb: where it arrived, and as what. culprit: None when delivered."""

    verdict: Verdict
    stack: Stack
    skb: Skb
    culprit: Culprit | None = None


@dataclass(slots=True)
class Trail:
    """flows: connections by namespace, which the way back finds again. missed: lookups of nft maps
    that found nothing: (space, map, key). passed: (space, destination) of each forwarding."""

    world: World
    choice: Choice = field(default_factory=Choice)
    hops: list[Hop] = field(default_factory=list)
    flows: dict[str, list[Flow]] = field(default_factory=dict)
    mtus: dict[tuple[str, str], int] = field(default_factory=dict)
    missed: list[tuple[str, str, str]] = field(default_factory=list)
    passed: list[tuple[str, str]] = field(default_factory=list)
    suspects: list[Culprit] = field(default_factory=list)
    quiet: int = 0

    def hop(
        self,
        place: str,
        stack: Stack,
        text: str,
        skb: Skb,
        entry: Entry | None = None,
        *,
        links: tuple[str, str] = ("", ""),
        notes: tuple[str, ...] = (),
    ) -> None:
        if not self.quiet:
            one = Hop(place, stack.id, text, skb.packet(), *links, entry, "", notes)
            self.hops.append(one)

    def end(self, verdict: Verdict, stack: Stack, skb: Skb, culprit: Culprit | None = None) -> End:
        """The last hop carries the verdict; a culprit has a hop of its own."""
        if not self.quiet and culprit is not None:
            notes = (culprit.mend,) if culprit.mend else ()
            hop = Hop(
                *(culprit.place, stack.id, culprit.text, skb.packet(), "", ""),
                *(culprit.entry, verdict, notes),
            )
            self.hops.append(hop)
        elif not self.quiet and self.hops:
            self.hops[-1] = replace(self.hops[-1], verdict=verdict)
        return End(verdict, stack, skb, culprit)

    @contextmanager
    def silence(self) -> Iterator[None]:
        """For what only serves the packet, as asking by ARP."""
        self.quiet += 1
        try:
            yield
        finally:
            self.quiet -= 1
