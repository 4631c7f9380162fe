"""Fig. 2: the pairs of interfaces: the node's azv...@ifN and the pod's eth0@ifM, each naming the
other by its index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from podwire.lens.draw.metrics import Metrics, run
from podwire.lens.draw.nodebox import (
    DenseRow,
    dense_inner,
    dense_name,
    down,
    inner_frame,
    link_id,
    link_label,
    link_object,
    link_state,
    link_title,
    missing,
    pair,
    pod_frame,
    why_not,
)
from podwire.lens.draw.parts import Canvas, Frame, Gap, Label, Part, Stack, label
from podwire.lens.draw.scene import Line, Scene, ident
from podwire.lens.draw.views import NodeView, Wire, node_views
from podwire.lens.draw.wiring import describe
from podwire.lens.snapshot import Link, Snapshot

_WIDE = 130
"""Pixels between two ends, where there is room for what each calls the other."""


def veth(snapshot: Snapshot, m: Metrics, node: str = "", pod: str = "") -> Scene:
    """Raises InvalidInputError: unknown node or pod, nothing to draw."""
    views = node_views(snapshot, node, pod)
    canvas = Canvas(m)
    y = 0
    for view in views:
        y = Pairs(view, m).put(canvas, y) + m.gap * 2
    whose = pod or (views[0].node.name if len(views) == 1 else f"{len(views)} nodes")
    return canvas.scene("veth", f"Pairs of interfaces: {whose}", describe(views))


@dataclass(frozen=True, slots=True)
class Pairs:
    """One node and its pods: the node's ends inside its frame, the pods beside it."""

    view: NodeView
    m: Metrics

    @property
    def dense(self) -> bool:
        return len(self.view.wires) >= self.m.dense

    @property
    def two_sided(self) -> bool:
        return not self.m.cells and len(self.view.wires) > self.m.rows

    def put(self, canvas: Canvas, y: int) -> int:
        """Draws from `y` downwards; the y below."""
        wires = self.view.wires
        half = (len(wires) + 1) // 2 if self.two_sided else 0
        left, right = wires[:half], wires[half:]
        size = canvas.put(self._node(left, right), 0, y)
        lowest = y + size[1]
        reach = self.m.wire if self.dense else _WIDE
        for wires, on_left in ((left, True), (right, False)):
            pods = [(one, self._pod(one, on_left)) for one in wires if one.name]
            wide = max((part.size(self.m)[0] for _, part in pods), default=0)
            x = -reach - wide if on_left else size[0] + reach
            for wire, part in pods:
                lowest = max(lowest, self._put_pod(canvas, wire, part, x, wide))
        return lowest

    def _put_pod(self, canvas: Canvas, wire: Wire, part: Frame, x: int, wide: int) -> int:
        end = link_id(self.view.space.id, wire.host) if wire.host else ident("missing", wire.name)
        host = canvas.boxes[end]
        tall = part.size(self.m)[1]
        top = host.y - self._head()
        if self.dense:
            top = host.y + (host.height - tall) // 2
        part.place(canvas, x, top, (wide, tall), "")
        if wire.host is not None and wire.inner is not None:
            if self.dense:
                pair(canvas, self.view, wire, mirrored=x < 0)
            else:
                self._arrows(canvas, wire.host, wire.inner, wire)
        return top + tall

    def _node(self, left: Sequence[Wire], right: Sequence[Wire]) -> Frame:
        view, m = self.view, self.m
        sides = [self._ends(one) for one in (left, right) if one]
        gap = m.wire if not m.cells else 4
        ends: Part = Stack(tuple(sides), gap, across=True, stretch=False, last=True)
        if not sides:
            ends = Frame(labels=(label("no pod has a network of its own here", "dim"),))
        if view.bridge is not None:
            space, bridge = view.space.id, view.bridge
            found = view.addresses(bridge.name)
            ends = Frame(
                link_id(space, bridge), "bridge", (self._line(bridge, found),), ends,
                link_object(space, bridge), link_title(space, bridge, found), link_state(bridge),
            )  # fmt: skip
        cards = tuple(self._card(one) for one in view.cards)
        name = view.node.name
        return Frame(
            ident("node", name), "node", (label(f"node {name}", "head", 63),),
            Stack((*cards, ends), m.gap), f"node {name}", f"node {name}",
        )  # fmt: skip

    def _line(self, link: Link, addresses: Sequence[str]) -> Label:
        said = "  ".join([f"master {link.master}"] * bool(link.master) + list(addresses))
        return (*link_label(link), run(f"  {said}" if said else ""), *_bad(link))

    def _card(self, card: Link) -> Frame:
        space, found = self.view.space.id, self.view.addresses(card.name)
        return Frame(
            link_id(space, card), "nic", (self._line(card, found),), None,
            link_object(space, card), link_title(space, card, found), link_state(card), slim=True,
        )  # fmt: skip

    def _ends(self, wires: Sequence[Wire]) -> Stack:
        """A column of the node's ends, spaced as the pods beside it are."""
        m = self.m
        if self.dense:
            row = DenseRow(self.view, None, m)
            gap = 0 if m.cells else m.gap // 2 + 2 * m.slim_y
            return Stack(tuple(row.host(one) for one in wires), gap)
        head, foot = Gap(0, self._head()), Gap(0, m.pad_y)
        cells = [Stack((head, self._host(one), foot)) for one in wires]
        return Stack(tuple(cells), m.gap)

    def _head(self) -> int:
        """From a pod's upper edge to its interface."""
        m = self.m
        return m.pad_y + m.height(label("", "head")) + m.gap // 2

    def _host(self, wire: Wire) -> Frame:
        link, space = wire.host, self.view.space.id
        if link is None:
            return missing(wire, "no link on the node", slim=False)
        state = "UP" if link.up else "DOWN"
        facts = f"mtu {link.mtu} state {state}" + f" master {link.master}" * bool(link.master)
        said = facts if wire.name else "✕ its other end is in no pod"
        labels = (link_label(link), label(f"link/ether {link.mac}", "small"), label(said, "small"))
        return Frame(
            link_id(space, link), "veth", (*labels, *down(link)), None, link_object(space, link),
            link_title(space, link), link_state(link) if wire.name else "lost",
        )  # fmt: skip

    def _pod(self, wire: Wire, on_left: bool) -> Frame:
        return self._dense_pod(wire, on_left) if self.dense else self._whole_pod(wire)

    def _dense_pod(self, wire: Wire, on_left: bool) -> Frame:
        m = self.m
        ends = [dense_inner(one) for one in self.view.wires if one.inner]
        room = max((m.width(one) for one in ends), default=0) + 2 * m.slim_x
        name = Frame(labels=(dense_name(wire, m),))
        if wire.inner is None:
            return pod_frame(wire, (), name, slim=True)
        inner = inner_frame(wire, wire.inner, (dense_inner(wire),), slim=True, width=room)
        names = [dense_name(one, m) for one in self.view.wires if one.name]
        wide = Frame(labels=name.labels, width=max(m.width(one) for one in names))
        parts = (wide, inner) if on_left else (inner, wide)
        return pod_frame(wire, (), Stack(parts, max(1, m.gap // 2), across=True), slim=True)

    def _whole_pod(self, wire: Wire) -> Frame:
        head = label(f"pod {wire.name}", "head", self.m.longest + 8)
        link = wire.inner
        if link is None:
            return pod_frame(wire, (head, label(why_not(wire), "text")), None, slim=False)
        said = [label(f"inet {one}", "mono") for one in wire.addresses]
        labels = (
            link_label(link),
            label(f"link/ether {link.mac}", "small"),
            *(said or [label("✕ no address", "text")]),
            *down(link),
        )
        inner = inner_frame(wire, link, labels, slim=False)
        return pod_frame(wire, (head,), inner, slim=False)

    def _arrows(self, canvas: Canvas, host: Link, inner: Link, wire: Wire) -> None:
        """Two, each with the number by which one end knows the other."""
        space = self.view.space.id
        ids = link_id(space, host), link_id(wire.space, inner)
        right, left = canvas.right(ids[0])[0], canvas.left(ids[1])[0]
        y = canvas.middle(ids[0])
        said = (f"@if{host.peer_index} is {inner.name}", f"@if{inner.peer_index} is {host.name}")
        for at, (start, end, offset) in enumerate(((right, left, -9), (left, right, 9))):
            text = label((f"@if{host.peer_index}", f"@if{inner.peer_index}")[at], "peer")
            tall, wide = self.m.height(text), self.m.width(text)
            x = start + 14 if at == 0 else start - 14 - wide
            canvas.write(text, x, y + offset - tall - 1 if at == 0 else y + offset + 2)
            object_ = link_object(*((space, host) if at == 0 else (wire.space, inner)))
            canvas.lines.append(
                Line(
                    ident("pair", str(at), space, host.name), "veth",
                    ((start, y + offset), (end, y + offset)), ids[at], ids[1 - at],
                    object_, said[at], wire.state, "end",
                )
            )  # fmt: skip


def _bad(link: Link) -> Label:
    return tuple(one for text in down(link) for one in (run("  ", "text"), *text))
