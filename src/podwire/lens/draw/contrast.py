"""What differs between nodes, in words: each fact read from a node's and a pod's kernel objects.

Pure; no layout. `compare` shows it below the pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from podwire.lens.draw.views import NodeView, Wire, default_route, masquerades
from podwire.lens.snapshot import MAIN, Route, Snapshot, Space


@dataclass(frozen=True, slots=True)
class Side:
    """One that is compared. name: what it is called above the picture, "" for nothing."""

    snapshot: Snapshot
    view: NodeView
    name: str = ""


@dataclass(frozen=True, slots=True)
class Fact:
    """values: one for each side."""

    name: str
    values: tuple[str, ...]
    kinds: tuple[str, ...]
    """The values without what differs by node alone, as its address: they tell whether two differ
    in how they are wired."""

    @property
    def differs(self) -> bool:
        return len(set(self.kinds)) > 1


Value = tuple[str, str]
"""(as it is, its kind)"""


def facts(sides: list[Side], pods: list[Wire | None]) -> list[Fact]:
    """pods: a pod of each side that stands for all of it, None for a side without."""
    asked = {
        "the card": _card,
        "the node's address": _node_address,
        "a pod's address": _pod_address,
        "comes from": _source,
        "pod: default route": _pod_default,
        "pod: its own subnet": _pod_subnet,
        "node to pod": _node_to_pod,
        "pod to pod, one node": _pod_to_pod,
        "what leaves carries": _leaving,
    }
    found = []
    for name, ask in asked.items():
        pairs = [ask(side, pod) for side, pod in zip(sides, pods, strict=True)]
        found.append(Fact(name, tuple(v for v, _ in pairs), tuple(k for _, k in pairs)))
    return found


def _card(side: Side, _: Wire | None) -> Value:
    said = []
    for one in side.view.cards:
        plain = (
            f"{one.name}, port of {one.master}" if one.master else f"{one.name}, no bridge's port"
        )
        said.append(plain)
    return _same(", ".join(said) or "none")


def _node_address(side: Side, _: Wire | None) -> Value:
    view = side.view
    links = [*view.cards, *([view.bridge] if view.bridge else [])]
    default = view.default
    for one in links:
        found = view.addresses(one.name)
        if found and (default is None or default.link == one.name):
            return f"{found[0]} on {one.name}", one.name
    return _same("none")


def _pod_address(_: Side, pod: Wire | None) -> Value:
    if pod is None or not pod.addresses:
        return _same("none")
    return pod.addresses[0], pod.addresses[0].partition("/")[2]


def _source(side: Side, pod: Wire | None) -> Value:
    if pod is None or not pod.addresses:
        return _same("-")
    address, plugged, kube = _ip(pod), side.view.plugged, side.view.kube
    if plugged is not None and address in plugged.nic.addresses:
        return f"subnet {plugged.nic.subnet.name}: listed on the NIC", "NIC"
    if kube is not None and kube.pod_cidr and ip_address(address) in ip_network(kube.pod_cidr):
        return f"the node's pod CIDR {kube.pod_cidr}", "pod CIDR"
    return _same("not known")


def _pod_default(side: Side, pod: Wire | None) -> Value:
    space = _space(side, pod)
    route = default_route(space) if space else None
    if route is None:
        return _same("none")
    virtual = route.via.startswith("169.254.")
    known = (
        any(one.ip == route.via and one.state == "PERMANENT" for one in space.neighbours)
        if space
        else False
    )
    said = f"via {route.via}" + ", a permanent neighbour" * known
    gateway = side.view.plugged.nic.subnet.gateway if side.view.plugged else ""
    kind = "virtual" if virtual else "subnet gateway" if route.via == gateway else "other"
    return said, kind


def _pod_subnet(side: Side, pod: Wire | None) -> Value:
    space = _space(side, pod)
    if space is None:
        return _same("-")
    linked = [one for one in space.routes if _connected(one)]
    return (
        (f"{linked[0].dst} on {linked[0].link}", "connected")
        if linked
        else _same("not on the link")
    )


def _connected(route: Route) -> bool:
    wide = "/" in route.dst and not route.dst.endswith(("/32", "/0")) and ":" not in route.dst
    return wide and not route.via and route.table == MAIN


def _node_to_pod(side: Side, pod: Wire | None) -> Value:
    if pod is None or not pod.addresses:
        return _same("-")
    own = side.view.route_to(pod)
    if own is not None:
        return f"route {own.dst} dev {own.link}", "own route"
    address = ip_address(_ip(pod))
    for one in side.view.space.routes:
        if _connected(one) and address in ip_network(one.dst):
            near = _neighbour(side.view.space, one.link, _ip(pod))
            return f"route {one.dst} dev {one.link}{near}", "subnet route" + near
    return _same("✕ no route")


def _neighbour(space: Space, link: str, address: str) -> str:
    found = (one for one in space.neighbours if one.link == link and one.ip == address)
    permanent = any(one.state == "PERMANENT" for one in found)
    return ", permanent neighbour" if permanent else ", found by ARP"


def _pod_to_pod(side: Side, _: Wire | None) -> Value:
    bridge = side.view.bridge
    return (
        (f"through the bridge {bridge.name}", "bridge") if bridge else _same("routed by the node")
    )


def _leaving(side: Side, _: Wire | None) -> Value:
    view = side.view
    tables = [one["table"] for one in view.space.nft if "table" in one]
    if any(one.get("family") == "bridge" and one.get("name") == "azure-vnet" for one in tables):
        return _same("pod's address, NIC's MAC (nft azure-vnet)")
    if view.mode == "kubenet":
        return _same("node's address (SNAT)" if masquerades(view.space) else "not known")
    return _same("pod's address, NIC's MAC (routed)" if view.bridge is None else "not known")


def _space(side: Side, pod: Wire | None) -> Space | None:
    return side.snapshot.space(pod.space) if pod is not None and pod.space else None


def _ip(pod: Wire) -> str:
    return pod.addresses[0].partition("/")[0]


def _same(value: str) -> Value:
    return value, value
