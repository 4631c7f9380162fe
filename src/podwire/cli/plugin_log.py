"""azure-vnet.log of a node, as `podwire replay` needs it: live, or out of a support bundle."""

from __future__ import annotations

from pathlib import Path

from podwire.cli.snapshots import Source
from podwire.lab import control
from podwire.lens import codec, logs
from podwire.lens.snapshot import Snapshot
from podwire.model.errors import InvalidInputError

_BUNDLED = ("logs/lab/{}/azure-vnet.log*", "logs/machine/azure-vnet.log*")
"""A node's, and a machine's own, as `podwire support-bundle` names them."""


def plugin_log(source: Source, snapshot: Snapshot, node: str) -> str:
    """azure-vnet.log of a node with its rotations, oldest line first.

    Raises InvalidInputError for a snapshot alone, which has no logs.
    """
    if source.file:
        found = codec.bundled(Path(source.file), _BUNDLED[not snapshot.lab].format(node))
        if not found:
            raise InvalidInputError(f"{source.file} has no azure-vnet.log of node {node}")
        parts = sorted(found, key=_age, reverse=True)
        return "".join(found[one].decode(errors="replace") for one in parts)
    if not snapshot.lab:
        return logs.read_here()
    pid = pids(source).get(node)
    if pid is None:
        raise InvalidInputError(f"node {node} is down now; see `podwire status`")
    return logs.read(pid)


def _age(name: str) -> int:
    """The number of a rotation; 0 of the newest file."""
    last = name.rpartition(".")[2]
    return int(last) if last.isdecimal() else 0


def pids(source: Source) -> dict[str, int]:
    """Of the lab's nodes that are up: name -> host pid of its first process."""
    nodes = control.ask(source.layout, op="status")["nodes"]
    return {one["name"]: one["pid"] for one in nodes if one["pid"] is not None}
