"""What the doctor says: findings of known kinds, and the room that is left. Must not judge."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace

ERROR, WARNING, NOTE = "error", "warning", "note"
SEVERITIES = (ERROR, WARNING, NOTE)
"""The worst first."""


@dataclass(frozen=True, slots=True)
class Finding:
    """id: of `catalog.KINDS`. thing: a data-object id, as "pod NS/NAME" or "link SPACE NAME".

    evidence: what was seen, with its values. consequence: what it does to packets or people.
    remedy: the exact command that mends it, or what to do where there is none. ours: what is broken
    is provably this product's own, so that `--fix` may mend it. node: on whose kernel, "" for a
    cluster's or a VNet's.
    """

    id: str
    severity: str
    thing: str
    evidence: str
    consequence: str
    remedy: str
    ours: bool = False
    node: str = ""


@dataclass(frozen=True, slots=True)
class Room:
    """Addresses of a node or a subnet. thing: a data-object id.

    per_hour: how many more are held each hour, by the ages of those that are held, None when it
    cannot be told; full_in: hours until none is free at that pace, None for never.
    """

    thing: str
    total: int
    used: int
    per_hour: float | None = None
    full_in: float | None = None

    @property
    def free(self) -> int:
        return max(0, self.total - self.used)


@dataclass(frozen=True, slots=True)
class Report:
    """findings: the worst first. rooms: nodes, then subnets. unread: what could not be looked at:
    nothing is said of it. changed: what became different while the snapshot was taken."""

    findings: tuple[Finding, ...]
    rooms: tuple[Room, ...] = ()
    unread: Mapping[str, str] = field(default_factory=dict)
    changed: tuple[str, ...] = ()

    def only(self, known: Container[tuple[str, str, str]]) -> Report:
        """Those of the findings whose (id, thing, node) is in `known`."""
        kept = (one for one in self.findings if (one.id, one.thing, one.node) in known)
        return replace(self, findings=tuple(kept))
