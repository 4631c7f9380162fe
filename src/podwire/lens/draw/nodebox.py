"""A node as parts: its card, its bridge or its routes, and a line for each pod; and their wires.

Used by the figures `wiring` and `compare`, which put nodes into subnets, or beside each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from podwire.lens.draw.metrics import Metrics, run
from podwire.lens.draw.parts import Canvas, Frame, Gap, Grid, Label, Part, Stack, elbow, label
from podwire.lens.draw.podrow import (
    down,
    link_id,
    link_object,
    link_state,
    link_title,
    pair,
    row_of,
)
from podwire.lens.draw.scene import Line, Point, ident
from podwire.lens.draw.views import BRIDGE, KUBENET, NodeView, Wire, masquerades
from podwire.lens.snapshot import Link

MODES = {BRIDGE: "bridge mode", "transparent": "transparent mode", KUBENET: "kubenet", "": ""}


@dataclass(frozen=True, slots=True)
class Form:
    """How a node is drawn. dense: a pod is one line. columns: of pods. tall: card above the bridge.

    slots: the wires in the order of lines, None for an empty line (that another node fills).
    """

    dense: bool
    columns: int
    tall: bool
    slots: tuple[Wire | None, ...]
    lines: tuple[int, ...] = ()
    """Least heights of the lines, for pods that stand in line with another node's."""
    push: int = 0
    """Room between card and bridge, for the same."""


def form(view: NodeView, m: Metrics) -> Form:
    count = len(view.wires)
    columns = max(1, min(3, -(-count // m.rows)))
    return Form(count >= m.dense, columns, m.cells, view.wires)


def node_part(view: NodeView, form: Form, m: Metrics) -> Part:
    """The node's frame with all that is in it. `wire_node` then draws the lines."""
    head = [label(f"node {view.node.name}", "head", 63), label(_facts(view), "dim")]
    board = Stack((_hub(view, m), _pods(view, form, m)), 0 if m.cells else m.gap, last=True)
    inside: Part = Stack((_cards(view, m), board), m.wire, across=True, stretch=False, last=True)
    if form.tall:
        inside = Stack((_cards(view, m), board), m.gap * (1 if m.cells else 3) + form.push)
    if view.elsewhere:
        inside = Stack((inside, _elsewhere(view, m)), m.gap)
    object_ = f"node {view.node.name}"
    title = f"node {view.node.name}: {_facts(view)}"
    state = "off" if view.kube and not view.kube.ready else ""
    return Frame(ident("node", view.node.name), "node", tuple(head), inside, object_, title, state)


def _cards(view: NodeView, m: Metrics) -> Part:
    """What leads out of the node: its card, and in kubenet the routes behind it."""
    parts: list[Part] = [_card(view, one, m) for one in view.cards] or [Gap()]
    if view.mode == KUBENET:
        parts.append(_forwarding(view, m))
    return Stack(tuple(parts), m.gap if m.cells else m.wire // 2)


def above(view: NodeView, m: Metrics) -> int:
    """Height of all that stands above the pods when the node is drawn tall, but the push."""
    return _cards(view, m).size(m)[1] + _hub(view, m).size(m)[1]


def _one_line(labels: tuple[Label, ...], m: Metrics) -> tuple[Label, ...]:
    """In a terminal all on one line."""
    if not m.cells:
        return labels
    return (tuple(one for at, text in enumerate(labels) for one in (run("  " * (at > 0)), *text)),)


def _facts(view: NodeView) -> str:
    known = view.kube
    facts = [] if known is None else ["Ready" if known.ready else "✕ not Ready"]
    facts += [known.address] if known and known.address else []
    facts += [MODES.get(view.mode, view.mode)] if view.mode else []
    facts += [f"pods {known.pod_cidr}"] if view.mode == KUBENET and known and known.pod_cidr else []
    pods = sum(1 for one in view.wires if one.name)
    facts.append(f"{pods} pod{'s' * (pods != 1)} on this node")
    return " · ".join(facts)


def _elsewhere(view: NodeView, m: Metrics) -> Frame:
    names = ", ".join(one.partition("/")[2] for one in view.elsewhere)
    text = f"in the node's own network: {names}"
    return Frame(labels=(label(text, "dim", 60 if m.cells else 110),))


def _card(view: NodeView, card: Link, m: Metrics) -> Frame:
    addresses = view.addresses(card.name)
    said = [label(one) for one in addresses]
    if not addresses and card.master:
        said = [label(f"port of {card.master},", "dim"), label("no address of its own", "dim")]
    labels = (
        (run(f"{card.ifindex}:", "index"), run(f" {card.name}", "name")),
        *said,
        label(card.mac, "small"),
        *down(card),
    )
    space = view.space.id
    title = link_title(space, card, addresses)
    state = link_state(card)
    return Frame(
        link_id(space, card), "nic", _one_line(labels, m), None, link_object(space, card), title,
        state, slim=m.cells,
    )  # fmt: skip


def _forwarding(view: NodeView, m: Metrics) -> Frame:
    """What joins card and bridge in kubenet: the node's routing, which hides pods behind it."""
    hides = "masquerades what leaves" if masquerades(view.space) else "forwards"
    labels = (label("node routes", "head"), label(hides, "dim"))
    return Frame(
        ident("routes", view.space.id), "routes", _one_line(labels, m), None, "",
        "the node's routing table", slim=m.cells,
    )  # fmt: skip


def _hub(view: NodeView, m: Metrics) -> Frame:
    """What all pods of the node hang on: a bridge, or the routing table."""
    if view.bridge is None:
        said = "no bridge: a /32 route for each pod"
        where = view.default
        labels = [label("node routes", "head"), label(said, "dim")]
        if where is not None:
            labels.append(label(f"default via {where.via} dev {where.link}"))
        return Frame(
            ident("routes", view.space.id),
            "routes",
            tuple(labels),
            title="the node's routing table",
        )
    bridge = view.bridge
    addresses = view.addresses(bridge.name)
    name: Label = (run(f"{bridge.ifindex}:", "index"), run(f" {bridge.name}", "name"))
    facts = "  ".join(addresses) or "✕ no address"
    first = (*name, run("  bridge  ", "text"), run(facts))
    second = [run(bridge.mac, "small")]
    default = view.default
    if default is not None and default.link == bridge.name:
        second.append(run(f"  default via {default.via}", "small"))
    space = view.space.id
    title = link_title(space, bridge, addresses)
    return Frame(
        link_id(space, bridge),
        "bridge",
        (first, tuple(second), *down(bridge)),
        None,
        link_object(space, bridge),
        title,
        link_state(bridge),
    )


def _pods(view: NodeView, form: Form, m: Metrics) -> Part:
    """A grid: for each column of pods a gap for the rail, the node's end, the wire, the pod."""
    if not form.slots:
        return Frame(labels=(label("no pod has a network of its own here", "dim"),))
    row = row_of(view, m, dense=form.dense)
    rows = [row.parts(wire) for wire in form.slots]
    tall = -(-len(rows) // form.columns)
    lines = []
    for at in range(tall):
        line: list[Part] = []
        rail = Gap(3 if m.cells else m.wire, form.lines[at] if form.lines else 0)
        for one in rows[at::tall]:
            line += [rail, one[0], Gap(m.wire if not m.cells else 4), one[1]]
        lines.append(tuple(line))
    gap = 0 if m.cells and form.dense else m.gap // (2 if form.dense else 1)
    return Stack((Gap(0, 0 if m.cells else m.gap // 2), Grid(tuple(lines), 0, gap)))


def wire_node(canvas: Canvas, view: NodeView, form: Form) -> None:
    """Draws the lines of a node that has been placed."""
    hub_id = link_id(view.space.id, view.bridge) if view.bridge else ""
    hub = hub_id or ident("routes", view.space.id)
    _wire_cards(canvas, view, form, hub)
    tall = -(-len(form.slots) // form.columns) if form.slots else 0
    for start in range(0, len(form.slots), tall or 1):
        ends = [one for one in form.slots[start : start + tall] if one is not None]
        _rail(canvas, view, hub, ends)
    for one in form.slots:
        if one is not None and one.host is not None and one.inner is not None:
            pair(canvas, view, one)


def _wire_cards(canvas: Canvas, view: NodeView, form: Form, hub: str) -> None:
    """Card to bridge; by way of the node's routes where the card is no port of it."""
    ids = [link_id(view.space.id, one) for one in view.cards]
    routes = ident("routes", view.space.id)
    between = view.mode == KUBENET and routes in canvas.boxes
    for card, id in zip(view.cards, ids, strict=True):  # noqa: A001
        role = (
            "port" if card.master and view.bridge and card.master == view.bridge.name else "route"
        )
        if between:
            _down(canvas, ident("line", "card", id), "route", id, routes)
        elif form.tall:
            _down(canvas, ident("line", "card", id), role, id, hub)
        else:
            points = _level(canvas, id, hub)
            canvas.lines.append(Line(ident("line", "card", id), role, points, id, hub))
    if between and form.tall:
        _down(canvas, ident("line", routes), "route", routes, hub)
    elif between:
        points = _level(canvas, routes, hub)
        canvas.lines.append(Line(ident("line", routes), "route", points, routes, hub))


def _level(canvas: Canvas, left: str, right: str) -> tuple[Point, ...]:
    """Straight where both boxes are beside each other, else with a bend in the middle."""
    start, end = canvas.right(left), canvas.left(right)
    box = canvas.boxes[left]
    if box.y < end[1] < box.bottom:
        return (start[0], end[1]), end
    return elbow(start, end, (start[0] + end[0]) // 2)


def _down(canvas: Canvas, name: str, role: str, upper: str, lower: str) -> None:
    above, below = canvas.boxes[upper], canvas.boxes[lower]
    x = above.x + (6 if canvas.metrics.cells else 40)
    canvas.lines.append(Line(name, role, ((x, canvas.bottom(upper)), (x, below.y)), upper, lower))


def _rail(canvas: Canvas, view: NodeView, hub: str, wires: Sequence[Wire]) -> None:
    """From the hub down, and a branch to each host link that is attached to it."""
    role = "port" if view.bridge else "route"
    master = view.bridge.name if view.bridge else ""
    for wire in wires:
        if wire.host is None:
            continue
        attached = wire.host.master == master if view.bridge else view.route_to(wire) is not None
        if not attached:
            continue
        id = link_id(view.space.id, wire.host)  # noqa: A001
        end = canvas.left(id)
        x = end[0] - (2 if canvas.metrics.cells else canvas.metrics.wire // 2)
        points = ((x, canvas.bottom(hub)), (x, end[1]), end)
        object_ = link_object(view.space.id, wire.host)
        state = link_state(wire.host)
        canvas.lines.append(Line(ident("line", hub, id), role, points, hub, id, object_, "", state))
