"""A pod and its pair of links as parts: on one line, or as a frame with all that is in it.

Used by every figure that shows pairs; knows one wire at a time, and no node but as their view.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from podwire.lens.draw.metrics import Metrics, run
from podwire.lens.draw.parts import Canvas, Frame, Gap, Label, Part, Stack, elbow, label, widest
from podwire.lens.draw.scene import Line, ident
from podwire.lens.draw.views import NodeView, Wire
from podwire.lens.kube_values import Container
from podwire.lens.snapshot import Link


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


@dataclass(frozen=True, slots=True)
class Columns:
    """How wide a pod's interface and its name are, where each pod is one line: as the widest."""

    inner: int
    name: int

    @classmethod
    def of(cls, view: NodeView, m: Metrics) -> Columns:
        mine = [one for one in view.wires if one.name]
        inner = widest(m, (dense_inner(one) for one in mine if one.inner))
        return cls(inner + 2 * m.slim_x, widest(m, (dense_name(one, m) for one in mine)))


def row_of(view: NodeView, m: Metrics, *, dense: bool) -> Row:
    """What makes the parts of any wire of the node."""
    return (DenseRow if dense else Row)(view, m, Columns.of(view, m))


@dataclass(frozen=True, slots=True)
class Row:
    """A pod as a frame that holds its interface and its containers; its host link beside it."""

    view: NodeView
    m: Metrics
    columns: Columns

    def parts(self, wire: Wire | None) -> tuple[Part, Part]:
        """The node's end, and the pod."""
        if wire is None:
            return Gap(), Gap()
        return self.level(wire), self.pod(wire)

    def height(self, wire: Wire | None) -> int:
        return max(one.size(self.m)[1] for one in self.parts(wire))

    def level(self, wire: Wire) -> Part:
        """The node's end, level with the pod's."""
        if wire.inner is None:
            return Stack((self.host(wire),))
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
        name = Frame(labels=(dense_name(wire, m),), width=self.columns.name)
        parts: list[Part] = []
        if wire.inner:
            parts.append(
                inner_frame(
                    wire, wire.inner, (dense_inner(wire),), slim=True, width=self.columns.inner
                )
            )
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
