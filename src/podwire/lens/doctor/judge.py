"""All of it: a snapshot's findings, each fault once, and the room that is left. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from podwire.lens.doctor import (
    doubles,
    kube,
    kubenet,
    ledger,
    machine,
    proxies,
    remedies,
    room,
    shadows,
    versions,
    wanted,
    wiring,
)
from podwire.lens.doctor.values import SEVERITIES, Finding, Report
from podwire.lens.snapshot import Node, Snapshot


def judge(snapshot: Snapshot, only: str = "") -> Report:
    """only: the name of the one node whose findings are wanted; "" for all."""
    found = [finding for node in snapshot.nodes for finding in _of_node(snapshot, node)]
    found += doubles.findings(snapshot, _pods(found))
    found += room.findings(snapshot)
    for cluster in (one for one in snapshot.clusters if one.asked):
        found += kube.findings(snapshot, cluster, _pods(found))
        found += proxies.findings(snapshot, cluster)
    found += versions.findings(snapshot)
    if only:
        found = [one for one in found if one.node == only]
    found = [remedies.placed(one, snapshot.lab) for one in found]
    return Report(
        tuple(sorted(found, key=lambda one: SEVERITIES.index(one.severity))),
        room.rooms(snapshot),
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
    yield from kubenet.findings(snapshot, node)
    yield from shadows.findings(snapshot, node)
    yield from machine.findings(snapshot, node)


def _pods(told: Iterable[Finding]) -> frozenset[str]:
    """Ids of the spaces of the pods that findings are about already."""
    things = (one.thing.split(" ") for one in told)
    return frozenset(f"pod/{words[1]}" for words in things if words[0] == "pod")
