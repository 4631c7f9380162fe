"""Fig. 1: which range each address comes from: VNet and subnets, pods, services, control plane."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from podwire.lens.draw import ranges
from podwire.lens.draw.metrics import Metrics, run
from podwire.lens.draw.parts import Canvas, Frame, Gap, Grid, Label, Part, Stack, columns, label
from podwire.lens.draw.ranges import Card, Range
from podwire.lens.draw.scene import Scene, ident
from podwire.lens.draw.views import NodeView, node_views
from podwire.lens.kube_values import Cluster
from podwire.lens.snapshot import Snapshot, VirtualNetwork
from podwire.model.errors import InvalidInputError
from podwire.model.vnet import IMDS, WIRE_SERVER

_COLUMNS = 3


def vnet(snapshot: Snapshot, m: Metrics, node: str = "", pod: str = "") -> Scene:
    """Raises InvalidInputError: unknown node or pod, nothing to draw."""
    views = node_views(snapshot, node, pod)
    parts = [*_networks(snapshot, views, pod, m), *_clusters(snapshot, views, pod, m)]
    if not parts:
        raise InvalidInputError(
            "the snapshot has no VNet, no cluster and no ledger of addresses, so there are no "
            "ranges to draw; take one of a lab, or with a --kubeconfig"
        )
    parts += _platform(snapshot, m)
    canvas = Canvas(m)
    canvas.put(Stack(tuple(parts), m.gap), 0, 0)
    return canvas.scene("vnet", "Which range each address comes from", _words(snapshot, views))


def _words(snapshot: Snapshot, views: Sequence[NodeView]) -> str:
    said = [f"VNet {one.vnet.name}: {', '.join(one.vnet.prefixes)}." for one in snapshot.vnets]
    said += [f"Services of {one.name}: {one.service_cidr}." for one in snapshot.clusters]
    for view in views:
        pods = ", ".join(f"{one.name} {' '.join(one.addresses)}" for one in view.wires if one.name)
        said.append(f"Pods of {view.node.name}: {pods or 'none'}.")
    return " ".join(said)


def _networks(
    snapshot: Snapshot, views: Sequence[NodeView], pod: str, m: Metrics
) -> Iterator[Part]:
    whole = pod or len(views) < len(snapshot.nodes)
    for one in snapshot.vnets:
        mine = [r for r in ranges.of_vnet(one, views) if r.cards or not whole]
        if mine:
            yield _network(one, mine, pod, m)
    alone = [view for view in views if view.plugged is None]
    for found in ranges.of_ledgers(alone):
        yield _range(found, pod, m)


def _network(one: VirtualNetwork, found: Sequence[Range], pod: str, m: Metrics) -> Frame:
    prefixes = ", ".join(one.vnet.prefixes)
    parts = tuple(_range(each, pod, m) for each in found)
    head = label(f"VNet {one.vnet.name}  {prefixes}", "head", 90)
    return Frame(
        ident("vnet", one.vnet.key), "vnet", (head,),
        Stack(parts, m.gap), f"space {one.space}", f"virtual network {one.vnet.name}, {prefixes}",
    )  # fmt: skip


def _range(one: Range, pod: str, m: Metrics) -> Frame:
    """A subnet: a bar of who has which part of it, then each card's addresses."""
    subnet = one.subnet
    head = label(
        f"subnet {subnet.name}  {subnet.prefix}".replace("  ", " ", not subnet.name), "head", 80
    )
    taken = sum(len(card.addresses) for card in one.cards)
    said = f"gateway {subnet.gateway} · {subnet.usable} usable: {taken} on cards, {one.free} free"
    said += f" · route table {subnet.route_table.name}" if subnet.route_table else ""
    bar = _bar(one, m)
    cards = tuple(_card(card, pod, m) for card in one.cards)
    for_ = [label(f"{ip} load balancer {name}", "small") for ip, name in (one.others or {}).items()]
    more = (Frame(labels=tuple(for_)),) if for_ else ()
    name = subnet.name or subnet.prefix
    return Frame(
        ident("subnet", one.vnet, name), "subnet", (head, label(said, "dim")),
        Stack((bar, *cards, *more), m.gap), f"subnet {one.vnet} {name}".replace("  ", " "),
        f"subnet {name}, {subnet.prefix}, {one.free} of {subnet.usable} free",
    )  # fmt: skip


def _bar(one: Range, m: Metrics) -> Stack:
    """The subnet's addresses from first to last, each run as wide as it is long."""
    total = one.subnet.network.num_addresses
    nodes = {card.name: card.node for card in one.cards}
    parts = []
    for at, (owner, count) in enumerate(one.runs()):
        wide = max(2 if m.cells else 4, m.bar * count // total)
        role = owner if owner in ("free", "reserved") else "primary"
        name = nodes.get(owner) or owner
        room = wide - (2 if m.cells else 10)
        text = next((said for said in _shorter(name, count) if m.width(said) <= room), ())
        box = ident("run", one.vnet, one.subnet.prefix, str(at))
        title = f"{name}: {count} addresses"
        tall = 1 if m.cells else 22
        labels = (text,) if text else ()
        object_ = f"node {nodes[owner]}" if nodes.get(owner) else ""
        parts.append(Frame(box, role, labels, None, object_, title, "", True, wide, tall))
    return Stack(tuple(parts), 0, across=True)


def _shorter(name: str, count: int) -> Iterator[Label]:
    """What may be written into a run, longest first."""
    yield label(f"{name}: {count}", "tick")
    yield label(f"{name.rpartition('-')[2]}: {count}", "tick")
    yield label(str(count), "tick")


def _card(card: Card, pod: str, m: Metrics) -> Frame:
    who = f"node {card.node}" if card.node else f"NIC {card.name}"
    count = len(card.secondaries)
    said = f"{card.addresses[0]} its own"
    said += f" · {card.used} of {count} for pods used, {count - card.used} free" if count else ""
    cells = [_cell(card, at, m) for at in range(len(card.addresses))] if count else []
    rows = [tuple(cells[at : at + m.ticks]) for at in range(0, len(cells), m.ticks)]
    grid = Grid(tuple(rows), 0 if m.cells else 2, 0 if m.cells else 2)
    names = [
        (one, card.holders[one].name, f"pod {card.holders[one].name}")
        for one in card.secondaries
        if one in card.holders and pod in ("", card.holders[one].name)
    ]
    listed = _listed(names, "pod", card.name, m)
    inside = Stack((grid, listed), m.gap // 2 + 1) if names else grid
    return Frame(
        ident("card", card.name), "node", (label(who, "head", 63), label(said, "dim")),
        inside if count else None, f"nic {card.name}", f"NIC {card.name} of {who}: {said}",
    )  # fmt: skip


def _cell(card: Card, at: int, m: Metrics) -> Frame:
    """One address of a card: the end of it, in the shape of who has it."""
    address = card.addresses[at]
    holder = card.holders.get(address)
    role = "primary" if at == 0 else "used" if holder else "free"
    who = "the node" if at == 0 else holder.name if holder else "free"
    state = "off" if holder and not holder.real else ""
    object_ = holder.object if holder else f"nic {card.name}" if at == 0 else ""
    text = label("." + address.rpartition(".")[2], "tick")
    return Frame(
        ident("cell", card.name, address), role, (text,), None, object_, f"{address}: {who}", state,
        True, m.tick, 1 if m.cells else 18,
    )  # fmt: skip


def _listed(names: Sequence[tuple[str, str, str]], role: str, where: str, m: Metrics) -> Part:
    """Addresses and whose they are, in columns: (address, name, object)."""
    if not names:
        return Gap()
    each = [
        Frame(
            ident(role, where, address, name), role,
            ((run(address), run(f"  {name}", "name", m.longest + 2)),),
            None, object_, f"{address} {name}", "", True,
        )
        for address, name, object_ in names
    ]  # fmt: skip
    count = 1 if m.cells else min(_COLUMNS, len(each))
    return columns(each, count, m.gap, 0 if m.cells else 3)


def _clusters(
    snapshot: Snapshot, views: Sequence[NodeView], pod: str, m: Metrics
) -> Iterator[Part]:
    for cluster in snapshot.clusters:
        mine = [view for view in views if view.cluster is cluster]
        if not mine:
            continue
        if cluster.pod_cidr:
            yield _pod_range(cluster, mine, pod, m)
        yield _service_range(cluster, pod, m)


def _pod_range(cluster: Cluster, views: Sequence[NodeView], pod: str, m: Metrics) -> Frame:
    parts = []
    for view in views:
        cidr = view.kube.pod_cidr if view.kube else ""
        names = [
            (cidr_.partition("/")[0], wire.name, f"pod {wire.name}")
            for wire in view.wires
            if pod in ("", wire.name)
            for cidr_ in wire.addresses
        ]
        head = (run(f"node {view.node.name}", "head"), run(f"  {cidr}", "mono"))
        parts.append(
            Frame(ident("pods-of", view.node.name), "node", (head,),
                  _listed(names, "pod", view.node.name, m), f"node {view.node.name}")
        )  # fmt: skip
    said = f"pod CIDR of {cluster.name}  {cluster.pod_cidr}"
    tables = [one.plugged.nic.subnet.route_table for one in views if one.plugged]
    why = "no addresses of the VNet" + ": a route table leads each node's part to it" * any(tables)
    return Frame(
        ident("pod-cidr", cluster.name), "pods-range", (label(said, "head"), label(why, "dim")),
        Stack(tuple(parts), m.gap), "", said,
    )  # fmt: skip


def _service_range(cluster: Cluster, pod: str, m: Metrics) -> Frame:
    names = [
        (one.cluster_ip, one.key, f"service {one.key}")
        for one in sorted(cluster.services, key=lambda one: (_number(one.cluster_ip), one.key))
        if one.cluster_ip not in ("", "None")
        and (not pod or any(end.pod == pod for end in one.endpoints))
    ]
    said = f"services of {cluster.name}  {cluster.service_cidr or '(range unknown)'}"
    why = "on the nodes only: their iptables put a pod's address in its place; no link has one"
    return Frame(
        ident("service-cidr", cluster.name), "services-range",
        (label(said, "head"), label(why, "dim")),
        _listed(names, "service", cluster.name, m), "", said,
    )  # fmt: skip


def _number(address: str) -> tuple[int, ...]:
    parts = address.split(".")
    return tuple(int(one) for one in parts) if all(one.isdigit() for one in parts) else (999,)


def _platform(snapshot: Snapshot, m: Metrics) -> Iterator[Part]:
    found = ranges.machines(snapshot)
    if snapshot.vnets:
        found += [(WIRE_SERVER, "wire server, DNS, probes"), (IMDS, "instance metadata")]
    if found:
        listed = [(address, name, "") for address, name in found]
        yield Frame(
            "platform", "platform", (label("outside of the VNet", "head"),),
            _listed(listed, "fact", "platform", m), "", "addresses outside of the VNet",
        )  # fmt: skip
