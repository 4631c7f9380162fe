"""Nodes side by side, the same pods in line, and below them what differs in words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import zip_longest

from podwire.lens.draw.contrast import Fact, Side, facts
from podwire.lens.draw.metrics import Metrics, run
from podwire.lens.draw.nodebox import Form, above, node_part, row_height, wire_node
from podwire.lens.draw.parts import Canvas, Frame, Grid, Part, label
from podwire.lens.draw.scene import Scene, ident
from podwire.lens.draw.views import NodeView, Wire, node_views
from podwire.lens.draw.wiring import describe
from podwire.lens.snapshot import Snapshot
from podwire.model.errors import InvalidInputError

_GENERATED = re.compile(r"(-[a-z0-9]{6,10})?-[a-z0-9]{5}$")
"""What a Deployment adds to its pods' names: its template's hash, and five letters of chance."""


def compare(
    snapshots: Sequence[tuple[str, Snapshot]], m: Metrics, nodes: Sequence[str] = (), pod: str = ""
) -> Scene:
    """snapshots: (name, snapshot), one or more. Of several, one node each: the one of `nodes` at
    its place, else the one with most pods. Of one, its `nodes`, else one of each mode, else two.

    Raises InvalidInputError: unknown node or pod; fewer than two nodes to compare.
    """
    sides = (
        _of_many(snapshots, nodes, pod) if len(snapshots) > 1 else _of_one(snapshots, nodes, pod)
    )
    if len(sides) < 2:
        have = ", ".join(one.view.node.name for one in sides)
        raise InvalidInputError(
            f"compare takes two nodes, and there is only {have}; give a second snapshot (--from "
            "twice), or one with two nodes"
        )
    forms = _forms(sides, m)
    canvas = Canvas(m)
    x = y = 0
    for at, (side, form) in enumerate(zip(sides, forms, strict=True)):
        width, height = _put(canvas, side, form, x, y, str(at + 1))
        x, y = (x, y + height + m.gap) if m.cells else (x + width + 2 * m.gap, y)
    told = [next((one for one in form.slots if one and one.addresses), None) for form in forms]
    bottom = max(one.bottom for one in canvas.boxes.values())
    canvas.put(
        _table(facts(sides, told), [_heading(one) for one in sides], m), 0, bottom + 2 * m.gap
    )
    modes = " and ".join(dict.fromkeys(one.view.mode or "a node" for one in sides))
    return canvas.scene("compare", f"Side by side: {modes}", describe(tuple(s.view for s in sides)))


def _of_many(
    snapshots: Sequence[tuple[str, Snapshot]], nodes: Sequence[str], pod: str
) -> list[Side]:
    sides = []
    for at, (name, snapshot) in enumerate(snapshots):
        node = nodes[at] if at < len(nodes) else ""
        views = node_views(snapshot, node, pod)
        sides.append(Side(snapshot, max(views, key=lambda one: len(one.wires)), name))
    return sides


def _of_one(
    snapshots: Sequence[tuple[str, Snapshot]], nodes: Sequence[str], pod: str
) -> list[Side]:
    snapshot = snapshots[0][1]
    if nodes:
        return [Side(snapshot, node_views(snapshot, one, pod)[0]) for one in nodes]
    views = node_views(snapshot)
    by_mode: dict[str, NodeView] = {}
    for view in views:
        by_mode.setdefault(view.mode, view)
    chosen = list(by_mode.values()) if len(by_mode) > 1 else list(views[:2])
    return [Side(snapshot, one) for one in chosen]


def stem(name: str) -> str:
    """A pod's name without what its controller generated: nginx of nginx-7cf567cc7-5pvnj."""
    return _GENERATED.sub("", name)


def aligned(views: Iterable[Sequence[Wire]]) -> list[tuple[Wire | None, ...]]:
    """For each side its wires, with None where another side has a pod of that name and it not."""
    groups: list[dict[str, list[Wire]]] = []
    for wires in views:
        mine: dict[str, list[Wire]] = {}
        for one in wires:
            mine.setdefault(stem(one.name), []).append(one)
        groups.append(mine)
    columns: list[list[Wire | None]] = [[] for _ in groups]
    for name in sorted({name for mine in groups for name in mine}):
        rows = zip_longest(*(mine.get(name, []) for mine in groups))
        for row in rows:
            for column, one in zip(columns, row, strict=True):
                column.append(one)
    return [tuple(one) for one in columns]


def _forms(sides: Sequence[Side], m: Metrics) -> list[Form]:
    """So that pods of one name stand in line."""
    slots = aligned([side.view.wires for side in sides])
    dense = len(slots[0]) >= m.dense
    lines = tuple(
        max(
            row_height(side.view, wire, m, dense=dense)
            for side, wire in zip(sides, row, strict=True)
            if wire is not None
        )
        for row in zip(*slots, strict=True)
    )
    tops = [above(side.view, m) for side in sides]
    return [
        Form(dense, 1, True, mine, lines, 0 if m.cells else max(tops) - top)
        for mine, top in zip(slots, tops, strict=True)
    ]


def _heading(side: Side) -> str:
    return " · ".join(one for one in (side.name, side.view.node.name) if one)


def _put(canvas: Canvas, side: Side, form: Form, x: int, y: int, prefix: str) -> tuple[int, int]:
    own = Canvas(canvas.metrics)
    part: Part = node_part(side.view, form, canvas.metrics)
    if side.name:
        part = Frame(labels=(label(side.name, "head", 60),), inside=part)
    size = own.put(part, 0, 0)
    wire_node(own, side.view, form)
    canvas.merge(own, x, y, prefix)
    return size


def _table(rows: Sequence[Fact], names: Sequence[str], m: Metrics) -> Frame:
    """A line for each fact; ≠ and a dashed frame where the sides differ."""
    heads: list[Part] = [Frame(labels=(label("what the kernel has", "head"),))]
    heads += [Frame(labels=(label(one, "head", 44),)) for one in names]
    cells: list[tuple[Part, ...]] = [tuple(heads)]
    for at, fact in enumerate(rows):
        role = "differs" if fact.differs else "fact"
        mark = (run("≠ " if fact.differs else "= ", "name"), run(fact.name, "text"))
        values = [
            Frame(ident("fact", str(at), str(side)), role, (label(one, "mono", 52),), slim=True,
                  title=f"{fact.name}: {one}")
            for side, one in enumerate(fact.values)
        ]  # fmt: skip
        cells.append((Frame(labels=(mark,)), *values))
    grid = Grid(tuple(cells), m.gap, 0 if m.cells else 4)
    return Frame("facts", "platform", (), grid, "", "what differs between the sides")
