"""What of a snapshot a figure shows of a node: its card, its bridge, each pod's pair of links.

Pure. Reads facts together that belong together; judges nothing, and knows no layout.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface

from podwire.lens.kube_values import Cluster, Container, KubeNode, Pod
from podwire.lens.snapshot import MAIN, Link, Node, Plugged, Route, Snapshot, Space, VirtualNetwork
from podwire.model.errors import InvalidInputError

BRIDGE, TRANSPARENT, KUBENET = "bridge", "transparent", "kubenet"


@dataclass(frozen=True, slots=True)
class Wire:
    """A pod and its pair of links, whatever of it is there. host: the node's end, inner: the pod's.

    name: NAMESPACE/NAME, or a container id without Kubernetes, or "" when no pod is known.
    """

    name: str
    space: str
    host: Link | None
    inner: Link | None
    addresses: tuple[str, ...]
    pod: Pod | None

    @property
    def containers(self) -> tuple[Container, ...]:
        return self.pod.containers if self.pod else ()

    @property
    def state(self) -> str:
        if self.host is None or self.inner is None:
            return "lost"
        up = self.host.up and self.inner.up
        ports = self.host.port_state not in ("disabled", "blocking")
        return "" if up and ports and (self.pod is None or self.pod.ready) else "off"


@dataclass(frozen=True, slots=True)
class NodeView:
    """card: the links that lead out; bridge: the one of the pods, None in transparent mode.

    elsewhere: names of the pods that use the node's own network.
    """

    node: Node
    space: Space
    mode: str
    cards: tuple[Link, ...]
    bridge: Link | None
    wires: tuple[Wire, ...]
    elsewhere: tuple[str, ...]
    plugged: Plugged | None
    kube: KubeNode | None
    cluster: Cluster | None

    def addresses(self, link: str) -> tuple[str, ...]:
        """CIDRs of a link, IPv4 first, without link-local ones."""
        return addresses_of(self.space, link)

    def route_to(self, wire: Wire) -> Route | None:
        """The main table's own route to a pod's address."""
        wanted = {f"{address.partition('/')[0]}/32" for address in wire.addresses}
        return next(
            (one for one in self.space.routes if one.dst in wanted and one.table == MAIN), None
        )

    @property
    def default(self) -> Route | None:
        return default_route(self.space)


def masquerades(space: Space) -> bool:
    """Whether some rule of its nat tables gives packets another source."""
    rules = (
        rule.text
        for table in space.iptables
        if table.name == "nat"
        for chain in table.chains
        for rule in chain.rules
    )
    return any("-j MASQUERADE" in one or "-j SNAT" in one for one in rules)


def default_route(space: Space) -> Route | None:
    all_of_it = (one for one in space.routes if one.dst == "0.0.0.0/0" and one.table == MAIN)
    return next(all_of_it, None)


def addresses_of(space: Space, link: str) -> tuple[str, ...]:
    found = [one.cidr for one in space.addresses if one.link == link and one.scope == "global"]
    return tuple(sorted(found, key=lambda cidr: (":" in cidr, cidr)))


def node_views(snapshot: Snapshot, node: str = "", pod: str = "") -> tuple[NodeView, ...]:
    """Of all nodes, or of one; with `pod` (NAMESPACE/NAME) of its node, with no other pod.

    Raises InvalidInputError that lists what there is, when a name is unknown or no node is there.
    """
    if not snapshot.nodes:
        raise InvalidInputError(
            "the snapshot has no node, so there is nothing to draw; take one "
            "where a node or a lab is (`podwire snapshot --help`)"
        )
    nodes = [one for one in snapshot.nodes if node in ("", one.name)]
    if not nodes:
        have = ", ".join(one.name for one in snapshot.nodes)
        raise InvalidInputError(f"the snapshot has no node {node!r}; it has: {have}")
    views = [view for one in nodes if (view := _view(snapshot, one)) is not None]
    if not views:
        raise InvalidInputError(
            f"nothing of the network of node {nodes[0].name} is in the snapshot"
        )
    return _only(views, pod) if pod else tuple(views)


def _only(views: list[NodeView], pod: str) -> tuple[NodeView, ...]:
    for view in views:
        found = tuple(wire for wire in view.wires if wire.name == pod)
        if found:
            return (_with(view, found),)
    where = f"node {views[0].node.name}" if len(views) == 1 else "the snapshot"
    if any(pod in view.elsewhere for view in views):
        raise InvalidInputError(f"pod {pod} uses its node's own network: it has no link to draw")
    have = ", ".join(wire.name for view in views for wire in view.wires if wire.name) or "none"
    raise InvalidInputError(f"{where} has no pod {pod!r} (NAMESPACE/NAME); it has: {have}")


def _with(view: NodeView, wires: tuple[Wire, ...]) -> NodeView:
    facts = (view.node, view.space, view.mode, view.cards, view.bridge)
    return NodeView(*facts, wires, (), view.plugged, view.kube, view.cluster)


def _view(snapshot: Snapshot, node: Node) -> NodeView | None:
    space = snapshot.space(node.space)
    if space is None:
        return None
    cluster = next((one for one in snapshot.clusters if one.name == node.cluster), None)
    kube = next((one for one in cluster.nodes if one.name == node.name), None) if cluster else None
    pods = [one for one in cluster.pods if one.node == node.name] if cluster else []
    cards = tuple(one for one in space.links if _is_card(one))
    bridge = _bridge(node, space)
    wires = _wires(snapshot, node, space, pods, bridge, {one.name for one in cards})
    elsewhere = tuple(sorted(one.key for one in pods if one.host_network))
    plugged = next((p for v in snapshot.vnets for p in v.nics if p.node == node.name), None)
    mode = _mode(node, bridge, wires)
    return NodeView(node, space, mode, cards, bridge, wires, elsewhere, plugged, kube, cluster)


def _is_card(link: Link) -> bool:
    """A real card has no kind; that of a lab's node is a cable to its VNet's fabric."""
    if link.name == "lo" or link.kind not in ("", "veth"):
        return False
    return not link.kind or (link.peer is not None and link.peer[0].startswith("fabric/"))


def _bridge(node: Node, space: Space) -> Link | None:
    wanted = (node.attachments.bridge, "azure0", "cbr0")
    bridges = [one for one in space.links if one.kind == "bridge" and one.name in wanted]
    return min(bridges, key=lambda one: wanted.index(one.name), default=None)


def _mode(node: Node, bridge: Link | None, wires: tuple[Wire, ...]) -> str:
    if bridge is None:
        return node.attachments.mode or (TRANSPARENT if wires else "")
    return KUBENET if bridge.name == "cbr0" else BRIDGE


def _wires(
    snapshot: Snapshot,
    node: Node,
    space: Space,
    pods: list[Pod],
    bridge: Link | None,
    cards: set[str],
) -> tuple[Wire, ...]:
    """By address; then pods that are not wired, then links that lead nowhere."""
    by_space = {one.space: one for one in pods if one.space}
    ids = dict.fromkeys([*node.pods, *by_space])
    found = [
        _wire(space, inner, by_space.get(inner.id))
        for id in ids  # noqa: A001
        if (inner := snapshot.space(id)) is not None
    ]
    wired = {one.name for one in found}
    unwired = [
        Wire(one.key, "", None, None, (one.address,) if one.address else (), one)
        for one in pods
        if one.key not in wired and not one.host_network and one.phase in ("Pending", "Running")
    ]
    used = {one.host.name for one in found if one.host} | cards
    dangling = [
        Wire("", "", one, None, (), None)
        for one in space.links
        if one.kind == "veth" and one.name not in used and _ours(one, bridge)
    ]
    return (*sorted(found, key=_order), *sorted(unwired, key=_order), *dangling)


def _ours(link: Link, bridge: Link | None) -> bool:
    return link.name.startswith("azv") or (bridge is not None and link.master == bridge.name)


def _order(wire: Wire) -> tuple[int, int, str]:
    if not wire.addresses:
        return 9, 0, wire.name
    address = ip_address(wire.addresses[0].partition("/")[0])
    return address.version, int(address), wire.name


def _wire(space: Space, inner: Space, pod: Pod | None) -> Wire:
    """The pod's pair: by what either end says of the other."""
    hosts = [one for one in space.links if one.peer is not None and one.peer[0] == inner.id]
    links = [one for one in inner.links if one.name != "lo"]
    host = next(iter(hosts), None)
    wanted = host.peer[1] if host is not None and host.peer else "eth0"
    end = next((one for one in links if one.name == wanted), next(iter(links), None))
    if host is None and end is not None and end.peer is not None and end.peer[0] == space.id:
        host = space.link(end.peer[1])
    name = pod.key if pod else inner.id.partition("/")[2]
    addresses = addresses_of(inner, end.name) if end else ()
    return Wire(name, inner.id, host, end, addresses, pod)


def vnet_of(snapshot: Snapshot, view: NodeView) -> VirtualNetwork | None:
    """The VNet that the node's card is in."""
    if view.plugged is None:
        return None
    return next((one for one in snapshot.vnets if view.plugged in one.nics), None)


def by_number(addresses: Iterable[str]) -> list[str]:
    """Lowest first, whatever their prefix length."""
    return sorted(addresses, key=lambda one: (":" in one, int(ip_interface(one).ip)))
