"""A node as parts: its card, its bridge or its routes, and a line for each pod; and their wires.

Used by the figures `wiring` and `compare`, which put nodes into subnets, or beside each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from podwire.lens.draw.metrics import Metrics, run
from podwire.lens.draw.parts import Canvas, Frame, Gap, Grid, Label, Part, Stack, elbow, label
from podwire.lens.draw.scene import Line, Point, ident
from podwire.lens.draw.views import BRIDGE, KUBENET, NodeView, Wire, masquerades
from podwire.lens.snapshot import Container, Link

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


def link_id(space: str, link: Link) -> str:
    return ident("link", space, link.name)


def link_object(space: str, link: Link) -> str:
    return f"link {space} {link.name}"


def link_label(link: Link) -> Label:
    """As `ip link` begins a line: 15: azv292e1839522@if14."""
    parts = [run(f"{link.ifindex}:", "index"), run(f" {link.name}", "mono")]
    if link.peer_index:
        parts.append(run(f"@if{link.peer_index}", "peer"))
    return tuple(parts)


def link_state(link: Link) -> str:
    return "" if link.up and link.port_state not in ("disabled", "blocking") else "off"


def down(link: Link) -> tuple[Label, ...]:
    """What is wrong with a link, in words: colour alone says nothing."""
    if not link.up:
        return (label("✕ down", "text"),)
    if link.port_state in ("disabled", "blocking"):
        return (label(f"✕ port {link.port_state}", "text"),)
    return ()


def link_title(space: str, link: Link, addresses: Sequence[str] = ()) -> str:
    facts = [f"{link.ifindex}: {link.name} in {space}", f"MAC {link.mac}", f"MTU {link.mtu}"]
    facts += [f"port of {link.master}"] * bool(link.master)
    return ", ".join([*facts, *addresses, "up" if link.up else "down"])


def node_part(view: NodeView, form: Form, m: Metrics) -> Part:
    """The node's frame with all that is in it. `wire_node` then draws the lines."""
    head = [label(f"node {view.node.name}", "head", 63), label(_facts(view), "dim")]
    board = Stack((_hub(view, m), _pods(view, form, m)), 0 if m.cells else m.gap, last=True)
    inside: Part = Stack((_cards(view, m), board), m.wire, across=True, stretch=False)
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


def row_height(view: NodeView, wire: Wire, m: Metrics, *, dense: bool) -> int:
    row = (DenseRow if dense else Row)(view, wire, m)
    return max(one.size(m)[1] for one in row.parts())


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
    facts.append(f"{pods} pod{'s' * (pods != 1)} with a network of their own")
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
    return Frame(link_id(space, card), "nic", labels, None, link_object(space, card), title, state)


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
    make = DenseRow if form.dense else Row
    rows = [make(view, wire, m).parts() for wire in form.slots]
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


@dataclass(frozen=True, slots=True)
class Row:
    """A pod as a frame that holds its interface and its containers; its host link beside it."""

    view: NodeView
    wire: Wire | None
    m: Metrics

    def parts(self) -> tuple[Part, Part]:
        if self.wire is None:
            return Gap(), Gap()
        return self.level(self.wire), self.pod(self.wire)

    def level(self, wire: Wire) -> Part:
        """The node's end, level with the pod's."""
        if wire.inner is None:
            return self.host(wire)
        m, host = self.m, self.host(wire)
        down = m.pad_y + m.height(label("", "head")) + m.gap // 2
        tall = max(self.inner(wire).size(m)[1], host.size(m)[1])
        return Stack((Gap(0, down), replace(host, height=tall)))

    def host(self, wire: Wire) -> Frame:
        if wire.host is None:
            return missing(wire, "no link on the node", slim=False)
        link, space = wire.host, self.view.space.id
        said = label(self._role(wire, link), "dim")
        return Frame(
            link_id(space, link),
            "veth",
            (link_label(link), said, *down(link)),
            None,
            link_object(space, link),
            link_title(space, link),
            "lost" if not wire.name else link_state(link),
        )

    def _role(self, wire: Wire, link: Link) -> str:
        if not wire.name:
            return "✕ its other end is in no pod"
        if link.master:
            return f"port of {link.master}"
        route = self.view.route_to(wire)
        return f"route {route.dst}" if route else "✕ no route to the pod"

    def pod(self, wire: Wire) -> Part:
        if not wire.name:
            return Gap()
        m = self.m
        inside = [self.inner(wire)] if wire.inner else []
        inside += [container(wire, one) for one in wire.containers]
        head = label(f"pod {wire.name}", "head", m.longest + 8)
        said = (head,) if wire.inner else (head, label(why_not(wire), "text"))
        body = Stack(tuple(inside), m.gap, across=True) if inside else None
        return pod_frame(wire, said, body, slim=False)

    def inner(self, wire: Wire) -> Frame:
        link = wire.inner
        assert link is not None
        labels = (
            link_label(link),
            *(label(one) for one in wire.addresses),
            *([label("✕ no address", "text")] if not wire.addresses else []),
            label(link.mac, "small"),
            *down(link),
        )
        return inner_frame(wire, link, labels, slim=False)


class DenseRow(Row):
    """The same on one line."""

    __slots__ = ()

    def level(self, wire: Wire) -> Part:
        return self.host(wire)

    def host(self, wire: Wire) -> Frame:
        if wire.host is None:
            return missing(wire, "no link", slim=True)
        link, space = wire.host, self.view.space.id
        bad = [run(" ✕", "text")] * bool(link_state(link) or not wire.name)
        return Frame(
            link_id(space, link),
            "veth",
            ((*link_label(link), *bad),),
            None,
            link_object(space, link),
            link_title(space, link),
            "lost" if not wire.name else link_state(link),
            slim=True,
        )

    def pod(self, wire: Wire) -> Part:
        if not wire.name:
            return Gap()
        m = self.m
        mine = [one for one in self.view.wires if one.name]
        wide = max(m.width(dense_name(one, m)) for one in mine)
        name = Frame(labels=(dense_name(wire, m),), width=wide)
        parts: list[Part] = []
        if wire.inner:
            ends = [dense_inner(one) for one in mine if one.inner]
            room = max(m.width(one) for one in ends) + 2 * m.slim_x
            parts.append(inner_frame(wire, wire.inner, (dense_inner(wire),), slim=True, width=room))
        names = ", ".join(one.name for one in wire.containers)
        parts += [name, Frame(labels=(label(names, "dim", 24),))]
        return pod_frame(wire, (), Stack(tuple(parts), max(1, m.gap // 2), across=True), slim=True)


def dense_name(wire: Wire, m: Metrics) -> Label:
    said = [run(f"  {why_not(wire)}", "text")] if wire.inner is None else []
    not_ready = wire.pod is not None and not wire.pod.ready and wire.inner is not None
    return (run(wire.name, "name", m.longest), *said, *[run(" ✕", "text")] * not_ready)


def dense_inner(wire: Wire) -> Label:
    assert wire.inner is not None
    address = wire.addresses[0] if wire.addresses else "✕ no address"
    return (*link_label(wire.inner), run(f" {address}"))


def why_not(wire: Wire) -> str:
    phase = wire.pod.phase if wire.pod else "not in the snapshot"
    return f"✕ no interface ({phase})"


def missing(wire: Wire, text: str, *, slim: bool) -> Frame:
    return Frame(
        ident("missing", wire.name), "veth", (label(f"✕ {text}", "text"),), state="lost", slim=slim
    )


def pod_frame(wire: Wire, labels: tuple[Label, ...], inside: Part | None, *, slim: bool) -> Frame:
    title = f"pod {wire.name}, {', '.join(wire.addresses) or 'no address'}"
    if wire.pod is not None:
        title += f", {wire.pod.phase}, {'ready' if wire.pod.ready else 'not ready'}"
        title += "".join(f", container {one.name} ({one.image})" for one in wire.containers)
    object_ = f"pod {wire.name}" if wire.pod else f"space {wire.space}"
    return Frame(ident("pod", wire.name), "pod", labels, inside, object_, title, wire.state, slim)


def inner_frame(
    wire: Wire, link: Link, labels: tuple[Label, ...], *, slim: bool, width: int = 0
) -> Frame:
    title = link_title(wire.space, link, wire.addresses)
    return Frame(
        link_id(wire.space, link),
        "eth0",
        labels,
        None,
        link_object(wire.space, link),
        title,
        link_state(link),
        slim,
        width,
    )


def container(wire: Wire, one: Container) -> Frame:
    image = one.image.rpartition("/")[2].partition("@")[0]
    state = label("✕ not ready", "text") if not one.ready else None
    labels = [label(one.name, "name", 24), label(image, "dim", 28)]
    title = f"container {one.name} of {wire.name}: {one.image} {one.state}"
    return Frame(
        ident("container", wire.name, one.name),
        "container",
        (*labels, *([state] if state else [])),
        None,
        f"pod {wire.name}" if wire.pod else "",
        title,
        "" if one.ready else "off",
    )


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


def pair(canvas: Canvas, view: NodeView, wire: Wire, *, mirrored: bool = False) -> None:
    """The veth pair: from the node's end to the pod's at its right, or `mirrored` at its left."""
    assert wire.host is not None
    assert wire.inner is not None
    host, inner = link_id(view.space.id, wire.host), link_id(wire.space, wire.inner)
    start, end = canvas.right(host), canvas.left(inner)
    if mirrored:
        start, end = canvas.left(host), canvas.right(inner)
    points = elbow(start, end, (start[0] + end[0]) // 2)
    object_ = link_object(view.space.id, wire.host)
    title = f"veth pair {wire.host.name} - {wire.inner.name} of {wire.name}"
    name = ident("pair", view.space.id, wire.host.name)
    canvas.lines.append(Line(name, "veth", points, host, inner, object_, title, wire.state, "both"))
