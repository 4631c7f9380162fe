"""Services: address and port -> KUBE-SVC -> KUBE-SEP -> endpoint -> pod, as a node's iptables are.

Endpoints that the API server has and iptables have not, and the other way round, are marked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from podwire.lens.draw.metrics import Metrics, run
from podwire.lens.draw.parts import Canvas, Frame, Label, Part, Stack, elbow, label
from podwire.lens.draw.scene import Line, Scene, ident
from podwire.lens.kube_chains import Backend, Chains
from podwire.lens.kube_values import Cluster, Endpoint, Service, ServicePort
from podwire.lens.snapshot import Node, Snapshot, Space
from podwire.model.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class Path:
    """One way that a connection can take. endpoint: the API server's, None when it has none."""

    id: str
    backend: Backend | None
    endpoint: Endpoint | None

    @property
    def target(self) -> str:
        if self.backend and self.backend.target:
            return self.backend.target
        return f"{self.endpoint.address}:{self.endpoint.port}" if self.endpoint else ""


@dataclass(frozen=True, slots=True)
class Band:
    """One port of a service, with the chain that serves it ("" for none)."""

    cluster: str
    service: Service
    port: ServicePort
    chain: str
    paths: tuple[Path, ...]

    @property
    def id(self) -> str:
        port = self.port
        return ident("port", self.cluster, self.service.key, port.protocol, str(port.port))

    @property
    def service_id(self) -> str:
        return ident("service", self.cluster, self.service.key)


def services(snapshot: Snapshot, m: Metrics, node: str = "", pod: str = "") -> Scene:
    """Of the cluster of `node`, else of all; with `pod` those that lead to it.

    Raises InvalidInputError: unknown node, no such service, nothing to draw.
    """
    seen = list(_seen(snapshot, node))
    canvas = Canvas(m)
    y, count = 0, 0
    for cluster, where, space in seen:
        bands = _bands(cluster, space, pod)
        count += len({band.service.key for band in bands})
        if bands:
            y += _put(canvas, cluster, where, bands, y) + m.gap
    if not count:
        raise InvalidInputError(_nothing(snapshot, seen, pod))
    whose = f"to {pod}" if pod else f"of {', '.join(one.name for one, _, _ in seen)}"
    said = f"{count} service{'s' * (count != 1)}, from its address to its pods"
    return canvas.scene("services", f"Services {whose}", said)


def _seen(snapshot: Snapshot, node: str) -> Iterator[tuple[Cluster, Node, Space]]:
    """Each cluster with the node whose iptables are read."""
    if node and snapshot.node(node) is None:
        have = ", ".join(one.name for one in snapshot.nodes) or "none"
        raise InvalidInputError(f"the snapshot has no node {node!r}; it has: {have}")
    for cluster in snapshot.clusters:
        mine = [one for one in snapshot.nodes if one.cluster == cluster.name]
        for one in [one for one in mine if node in ("", one.name)][:1]:
            space = snapshot.space(one.space)
            if space is not None:
                yield cluster, one, space


def _nothing(snapshot: Snapshot, seen: list[tuple[Cluster, Node, Space]], pod: str) -> str:
    if not snapshot.clusters:
        return "the snapshot has no cluster, so no services; take one with a --kubeconfig"
    for cluster in snapshot.clusters:
        if not cluster.asked:
            return f"the API server of {cluster.name} was not asked: {cluster.why_not}"
    if not pod:
        return "the cluster has no service with a cluster address, so there is nothing to draw"
    ends = {one.pod for c, _, _ in seen for s in c.services for one in s.endpoints if one.pod}
    have = ", ".join(sorted(ends)) or "none"
    return f"no service leads to a pod {pod!r} (NAMESPACE/NAME); services lead to: {have}"


def _bands(cluster: Cluster, space: Space, pod: str) -> list[Band]:
    chains = Chains.of(space)
    found = []
    for service in sorted(cluster.services, key=lambda one: (one.namespace, one.name)):
        if service.cluster_ip in ("", "None"):
            continue
        if pod and all(one.pod != pod for one in service.endpoints):
            continue
        found += [_band(cluster.name, service, port, chains) for port in service.ports]
    return found


def _band(cluster: str, service: Service, port: ServicePort, chains: Chains) -> Band:
    chain = chains.of_service(service.cluster_ip, port.protocol, port.port)
    mine = [one for one in service.endpoints if one.port_name == port.name]
    left = {f"{one.address}:{one.port}": one for one in mine}
    where = ident("path", cluster, service.key, port.protocol, str(port.port))
    paths = [
        Path(ident(where, one.chain), one, left.pop(one.target, None))
        for one in chains.backends(chain)
    ]
    paths += [Path(ident(where, target), None, one) for target, one in left.items()]
    return Band(cluster, service, port, chain, tuple(paths))


def _put(canvas: Canvas, cluster: Cluster, node: Node, bands: list[Band], y: int) -> int:
    m = canvas.metrics
    wide = _widths(bands, m)
    gap = m.wire if not m.cells else 4
    rows: list[Part] = []
    for key in dict.fromkeys(band.service.key for band in bands):
        mine = [band for band in bands if band.service.key == key]
        ports = Stack(tuple(_band_part(band, wide, m) for band in mine), m.gap)
        service = _service(mine[0], wide[0])
        rows.append(Stack((service, ports), gap, across=True, stretch=False))
    said = f"as the iptables of node {node.name} have them"
    head = (
        label(f"services of {cluster.name}  {cluster.service_cidr}", "head"),
        label(said, "dim"),
    )
    frame = Frame(
        ident("services", cluster.name), "services-range", head, Stack(tuple(rows), m.gap),
        "", f"services of cluster {cluster.name}",
    )  # fmt: skip
    size = canvas.put(frame, 0, y)
    for band in bands:
        _wire(canvas, band)
    return size[1]


def _widths(bands: list[Band], m: Metrics) -> tuple[int, int, int, int]:
    """Of services, ports, KUBE-SEP chains and endpoints, so that all columns stand in line."""
    paths = [path for band in bands for path in band.paths]
    services = (one for band in bands for one in _service_labels(band.service))
    chains = (one for band in bands for one in _port_labels(band))
    return (
        max(m.width(one) for one in services) + 2 * m.pad_x,
        max(m.width(one) for one in chains) + 2 * m.pad_x,
        max((m.width(_chain(path)) for path in paths), default=0) + 2 * m.slim_x,
        max((m.width(_target(path, m)) for path in paths), default=0) + 2 * m.slim_x,
    )


def _service_labels(service: Service) -> list[Label]:
    labels = [label(service.key, "head", 40), label(service.cluster_ip), label(service.kind, "dim")]
    return labels + [label(f"external {one}", "small") for one in service.external]


def _service(band: Band, wide: int) -> Frame:
    service = band.service
    return Frame(
        band.service_id, "service", tuple(_service_labels(service)), None,
        f"service {service.key}", f"service {service.key}, {service.kind} {service.cluster_ip}",
        "" if any(one.ready for one in service.endpoints) else "off", width=wide,
    )  # fmt: skip


def _port_labels(band: Band) -> tuple[Label, ...]:
    port = band.port
    node_port = f"  node port {port.node_port}" if port.node_port else ""
    name = f" {port.name}" if port.name else ""
    first = (run(f"{port.protocol} {port.port}", "name"), run(f" → {port.target}{node_port}{name}"))
    if band.chain:
        return first, label(band.chain, "mono")
    said = "✕ no chain: refused" if not band.paths else "✕ no chain in this node's iptables"
    return first, label(said, "text")


def _band_part(band: Band, wide: tuple[int, int, int, int], m: Metrics) -> Stack:
    gap = m.wire if not m.cells else 4
    chain = Frame(
        band.id, "chain", _port_labels(band), None, f"service {band.service.key}",
        f"{band.service.key} port {band.port.port}: {band.chain or 'no chain'}",
        "" if band.chain else "off", width=wide[1],
    )  # fmt: skip
    if not band.paths:
        return Stack(
            (chain, Frame(labels=(label("✕ no endpoints: refused", "text"),))), gap, True, False
        )
    rows = []
    for path in band.paths:
        sep = Frame(ident("sep", path.id), "link", (_chain(path),), None,
                    f"service {band.service.key}", _chain_title(path),
                    "" if path.backend else "lost", True, wide[2])  # fmt: skip
        rows.append(Stack((sep, _endpoint(path, wide[3], m)), gap, across=True))
    between = 0 if m.cells else m.gap // 2
    return Stack((chain, Stack(tuple(rows), between)), gap, across=True, stretch=False)


def _chain(path: Path) -> Label:
    if path.backend is None:
        ready = path.endpoint is not None and path.endpoint.ready
        return label("✕ no KUBE-SEP chain" if ready else "not ready: no chain", "text")
    return run(path.backend.chain), run(f"  {path.backend.chance:.0%}", "text")


def _chain_title(path: Path) -> str:
    if path.backend is None:
        return "no KUBE-SEP chain"
    one = path.backend
    return f"{one.chain}: {one.chance:.1%} of connections, DNAT to {one.target or 'nowhere'}"


def _target(path: Path, m: Metrics) -> Label:
    end = path.endpoint
    if end is None:
        return run(path.target or "✕ no DNAT"), run("  ✕ no such endpoint", "text")
    who = end.pod or "not a pod"
    bad = "" if end.ready else "  ✕ not ready"
    return run(path.target), run(f"  {who}", "name", m.longest), run(bad, "text")


def _endpoint(path: Path, wide: int, m: Metrics) -> Frame:
    end = path.endpoint
    object_ = f"pod {end.pod}" if end and end.pod else ""
    where = f" on {end.node}" if end and end.node else ""
    state = "lost" if end is None else "" if end.ready else "off"
    return Frame(
        ident("endpoint", path.id), "pod" if object_ else "platform", (_target(path, m),), None,
        object_, f"{path.target} {end.pod if end else ''}{where}", state, True, wide,
    )  # fmt: skip


def _wire(canvas: Canvas, band: Band) -> None:
    reach = canvas.metrics.wire // 2 if not canvas.metrics.cells else 2
    service = band.service_id
    object_ = f"service {band.service.key}"

    def line(role: str, start: str, end: str, state: str = "", *, alone: bool = True) -> None:
        (x, y), to, box = canvas.right(start), canvas.left(end), canvas.boxes[start]
        level = alone and box.y < to[1] < box.bottom - canvas.metrics.border
        points = elbow((x, to[1] if level else y), to, x + reach)
        name = ident("line", start, end)
        canvas.lines.append(Line(name, role, points, start, end, object_, "", state, "end"))

    one_port, one_path = len(band.service.ports) == 1, len(band.paths) == 1
    line("service", service, band.id, "" if band.chain else "off", alone=one_port)
    for path in band.paths:
        sep, end = ident("sep", path.id), ident("endpoint", path.id)
        line("link", band.id, sep, "" if path.backend else "lost", alone=one_path)
        line("dnat", sep, end, "" if path.backend and path.endpoint else "lost")
