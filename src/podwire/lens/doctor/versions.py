"""Programs that should be alike, or answer: the agent, the versions of a cluster's nodes. Pure."""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Iterator

from podwire.cni.systemd import UNIT
from podwire.lens.doctor import remedies
from podwire.lens.doctor.catalog import found
from podwire.lens.doctor.values import Finding
from podwire.lens.doctor.wanted import plugin
from podwire.lens.snapshot import Node, Snapshot

_COMPARED = ("podwire", "plugin")


def findings(snapshot: Snapshot) -> Iterator[Finding]:
    for node in snapshot.nodes:
        yield from _agent(node)
        yield from _mode(node)
    for cluster in sorted({one.cluster for one in snapshot.nodes}):
        mine = [one for one in snapshot.nodes if one.cluster == cluster]
        for fact in _COMPARED:
            yield from _alike(mine, fact)


def _agent(node: Node) -> Iterator[Finding]:
    """Where there is a socket it was started: a node need not have an agent."""
    said = node.facts.get("agent", "")
    if said.startswith("does not answer") and os.strerror(errno.ENOENT) not in said:
        yield found(
            "agent-silent",
            f"node {node.name}",
            f"the agent {said}",
            f"systemctl restart {UNIT}",
            node=node.name,
        )


def _mode(node: Node) -> Iterator[Finding]:
    asked, mode = plugin(node).get("mode"), node.attachments.mode
    if asked and mode in ("bridge", "transparent") and asked != mode:
        yield found(
            "mode-differs",
            f"node {node.name}",
            f"{node.attachments.conflist[0]} says {asked}, the node is wired in {mode} mode",
            f"{remedies.CNI} migrate --to {asked}",
            node=node.name,
        )


def _alike(nodes: list[Node], fact: str) -> Iterator[Finding]:
    """The few against the many."""
    have = {one.name: one.facts[fact] for one in nodes if fact in one.facts}
    usual = Counter(have.values()).most_common(1)
    for name, version in have.items():
        if version != usual[0][0]:
            yield found(
                "versions-differ",
                f"node {name}",
                f"{fact} is {version}, {usual[0][0]} on {usual[0][1]} of {len(have)} nodes",
                f"{remedies.CNI} install",
                node=name,
            )
