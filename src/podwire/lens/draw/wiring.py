"""Fig. 3: VNet | subnet | node | eth0 | azure0 | veth | pod | containers, from what is running."""

from __future__ import annotations

from podwire.lens.draw.metrics import Metrics, run
from podwire.lens.draw.nodebox import Form, form, link_id, node_part, wire_node
from podwire.lens.draw.parts import Canvas, Frame, Gap, Label, Part, Stack, elbow, label
from podwire.lens.draw.scene import Line, Scene, ident
from podwire.lens.draw.views import NodeView, node_views, vnet_of
from podwire.lens.snapshot import Snapshot, VirtualNetwork
from podwire.model.vnet import Subnet


def wiring(snapshot: Snapshot, m: Metrics, node: str = "", pod: str = "") -> Scene:
    """Raises InvalidInputError: unknown node or pod, nothing to draw."""
    views = node_views(snapshot, node, pod)
    forms = {view.node.name: form(view, m) for view in views}
    canvas = Canvas(m)
    parts: list[Part] = []
    placed: list[tuple[NodeView, str]] = []
    for vnet in snapshot.vnets:
        inside = [view for view in views if vnet_of(snapshot, view) is vnet]
        if inside:
            parts.append(_vnet(vnet, inside, forms, m))
            placed += [(view, _gateway_id(vnet, view)) for view in inside]
    alone = [view for view in views if vnet_of(snapshot, view) is None]
    parts += [node_part(view, forms[view.node.name], m) for view in alone]
    canvas.put(Stack(tuple(parts), m.gap), 0, 0)
    for view in views:
        wire_node(canvas, view, forms[view.node.name])
    for view, gateway in placed:
        _cable(canvas, view, gateway)
    whose = views[0].node.name if len(views) == 1 else f"{len(views)} nodes"
    return canvas.scene("wiring", f"How pods are wired: {whose}", describe(views))


def describe(views: tuple[NodeView, ...]) -> str:
    """The picture in words."""
    said = []
    for view in views:
        hub = f"bridge {view.bridge.name}" if view.bridge else "routes"
        pods = "; ".join(
            f"{one.name} {' '.join(one.addresses)} by {one.host.name if one.host else 'no link'}"
            for one in view.wires
            if one.name
        )
        said.append(f"Node {view.node.name}, {hub}: {pods or 'no pods'}.")
    return " ".join(said)


def _vnet(vnet: VirtualNetwork, views: list[NodeView], forms: dict[str, Form], m: Metrics) -> Frame:
    subnets = []
    for subnet in _subnets(vnet, views):
        mine = [v for v in views if v.plugged and v.plugged.nic.subnet.name == subnet.name]
        nodes = tuple(node_part(view, forms[view.node.name], m) for view in mine)
        subnets.append(_subnet(vnet, subnet, Stack(nodes, m.gap), m))
    name = vnet.vnet.name
    head = label(f"VNet {name}  {', '.join(vnet.vnet.prefixes)}", "head", 90)
    return Frame(
        ident("vnet", vnet.vnet.key), "vnet", (head,), Stack(tuple(subnets), m.gap),
        f"space {vnet.space}", f"virtual network {name}, {', '.join(vnet.vnet.prefixes)}",
    )  # fmt: skip


def _subnets(vnet: VirtualNetwork, views: list[NodeView]) -> list[Subnet]:
    """Of the nodes, as they are in the VNet now; those of a NIC alone when it has them no more."""
    names = {one.plugged.nic.subnet.name: one.plugged.nic.subnet for one in views if one.plugged}
    now = {one.name: one for one in vnet.vnet.subnets if one.name in names}
    return list((names | now).values())


def _subnet(vnet: VirtualNetwork, subnet: Subnet, nodes: Part, m: Metrics) -> Frame:
    said = [label(subnet.gateway)]
    if subnet.route_table is not None:
        said += [label("route table", "dim"), label(subnet.route_table.name, "dim", 24)]
    lines: tuple[Label, ...] = (label("gateway", "head"), *said)
    if m.cells:
        lines = (tuple(one for text in lines for one in (*text, run(" "))),)
    gateway = Frame(
        ident("gateway", vnet.vnet.key, subnet.name),
        "gateway",
        lines,
        None,
        f"space {vnet.space}",
        f"the VNet's router in subnet {subnet.name}",
        slim=m.cells,
    )
    inside = Stack((gateway, nodes), m.wire, across=True, stretch=False)
    if m.cells:
        inside = Stack((gateway, Stack((Gap(3), nodes), across=True)), stretch=False)
    head = label(f"subnet {subnet.name}  {subnet.prefix}", "head", 80)
    return Frame(
        ident("subnet", vnet.vnet.key, subnet.name), "subnet", (head,), inside,
        f"subnet {vnet.vnet.key} {subnet.name}", f"subnet {subnet.name}, {subnet.prefix}",
    )  # fmt: skip


def _gateway_id(vnet: VirtualNetwork, view: NodeView) -> str:
    assert view.plugged is not None
    return ident("gateway", vnet.vnet.key, view.plugged.nic.subnet.name)


def _cable(canvas: Canvas, view: NodeView, gateway: str) -> None:
    """The card's way to the subnet's gateway."""
    assert view.plugged is not None
    same = [one for one in view.cards if one.mac == view.plugged.nic.mac] or list(view.cards)
    for card in same[:1]:
        id = link_id(view.space.id, card)  # noqa: A001
        start, end = canvas.right(gateway), canvas.left(id)
        bend = start[0] + canvas.metrics.wire // 2
        points = elbow(start, end, bend)
        if canvas.metrics.cells:
            x = canvas.boxes[ident("node", view.node.name)].x - 2
            points = ((x, canvas.bottom(gateway)), (x, end[1]), end)
        canvas.lines.append(
            Line(ident("cable", view.node.name), "cable", points, gateway, id,
                 f"nic {view.plugged.nic.name}", f"cable of NIC {view.plugged.nic.name}")
        )  # fmt: skip
