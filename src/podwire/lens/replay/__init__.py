"""The birth of a pod, step by step: what azure-vnet.log says, what that means, the kernel object
that came to be, the command that shows it now.

Pure: from the log's text, the ledger's lease and the snapshot. `logs` reads the log back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from podwire.ipam.lease import Lease
from podwire.lens import logs
from podwire.lens.replay.meaning import Context, explain
from podwire.lens.snapshot import Node, Snapshot
from podwire.model.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class Step:
    """line: the log's. thing: a data-object id, "" when no kernel object came to be by it.

    show: the command that shows it now, "" for none. at: seconds since the call's first line; None
    where stamps tell whole seconds alone, as in the log's text form.
    """

    line: str
    stamp: str
    meaning: str
    thing: str = ""
    show: str = ""
    at: float | None = None


@dataclass(frozen=True, slots=True)
class Birth:
    """took: milliseconds of the whole ADD, None when its end is not in the log."""

    pod: str
    node: str
    container_id: str
    address: str
    steps: tuple[Step, ...]
    took: float | None = None
    failed: bool = False


def find(snapshot: Snapshot, name: str) -> tuple[Node, Lease]:
    """The node and the lease of a pod: NAMESPACE/NAME, or a name alone that one pod has.

    Raises InvalidInputError naming the pods that there are.
    """
    held = [
        (node, lease)
        for node in snapshot.nodes
        for lease in node.attachments.leases
        if lease.pod_name and name in (_key(lease), lease.pod_name)
    ]
    if len(held) == 1:
        return held[0]
    known = [
        _key(one) for node in snapshot.nodes for one in node.attachments.leases if one.pod_name
    ]
    what = "is in several namespaces" if held else "has no address by the ledger of any node"
    raise InvalidInputError(
        f"pod {name!r} {what}; those that have one: {', '.join(sorted(known)) or 'none'}"
    )


def birth(node: Node, lease: Lease, log: str) -> Birth:
    """log: the text of the node's azure-vnet.log. Raises InvalidInputError when it is not in it."""
    call = logs.birth(log, lease.container_id, lease.ifname)
    if call is None:
        raise InvalidInputError(
            f"the log of {node.name} does not go back to the ADD of {_key(lease)} (container "
            f"{lease.container_id[:12]}); its files are shifted at 5 MiB, and eight are kept"
        )
    context = Context(node.space, lease)
    steps = [_step(line, context) for line in call.lines]
    return Birth(
        _key(lease) if lease.pod_name else call.pod,
        node.name,
        lease.container_id,
        lease.address,
        tuple(_timed(steps)),
        call.took,
        call.failed,
    )


def _step(line: logs.Line, context: Context) -> Step:
    said = explain(line.text, context)
    return Step(line.text, line.stamp, said.meaning, said.thing, said.show)


def _timed(steps: list[Step]) -> list[Step]:
    """Since the first, where all stamps have a fraction of a second."""
    times = [_time(one.stamp) for one in steps]
    if not times or None in times:
        return steps
    known = [one for one in times if one is not None]
    return [replace(one, at=round(at - known[0], 6)) for one, at in zip(steps, known, strict=True)]


def _time(stamp: str) -> float | None:
    try:
        return datetime.fromisoformat(stamp).timestamp() if "." in stamp else None
    except ValueError:
        return None


def _key(lease: Lease) -> str:
    return f"{lease.pod_namespace}/{lease.pod_name}"
