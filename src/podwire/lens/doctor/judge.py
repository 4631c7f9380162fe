"""All of it: a snapshot's findings, each fault once, and the room that is left. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from podwire.lens.doctor import ledger, wanted, wiring
from podwire.lens.doctor.values import SEVERITIES, Finding, Report
from podwire.lens.snapshot import Node, Snapshot


def judge(snapshot: Snapshot, only: str = "") -> Report:
    """only: the name of the one node whose findings are wanted; "" for all."""
    nodes = [one for one in snapshot.nodes if only in ("", one.name)]
    found = [finding for node in nodes for finding in _of_node(snapshot, node)]
    return Report(
        tuple(sorted(found, key=lambda one: SEVERITIES.index(one.severity))),
        unread={
            f"{one.id} {part}": why for one in snapshot.spaces for part, why in one.unread.items()
        },
        changed=snapshot.changed,
    )


def _of_node(snapshot: Snapshot, node: Node) -> Iterator[Finding]:
    here = wanted.host(snapshot, node)
    if here is not None:
        yield from wiring.findings(snapshot, here)
    yield from ledger.findings(snapshot, node, here)
