"""What the page says of pods, nodes and services. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from podwire.lens import iptext
from podwire.lens.kube_values import Container, Pod, Service
from podwire.lens.snapshot import MAIN, Node, Snapshot, Space
from podwire.lens.ui import lookup
from podwire.lens.ui.sections import Details, Section, end_object, listing, mentioned, stack


def tell_pod(snapshot: Snapshot, key: str) -> Details:
    cluster, pod = lookup.pod(snapshot, key)
    space = snapshot.space(pod.space) if pod.space else None
    node = snapshot.node(pod.node)
    see = [(f"node {pod.node}", f"node {pod.node}")] if node else []
    see += [
        (f"service {one.key}", f"service {one.key}")
        for one in cluster.services
        if any(end.pod == key for end in one.endpoints)
    ]
    sections = [Section("Pod", tuple(_pod_facts(pod)), command=_kubectl("pod", key))]
    sections.append(listing("Containers", map(_container, pod.containers)))
    if space is not None:
        sections += _inside(snapshot, space)
    if node is not None and not pod.host_network:
        sections += _of_pod_on_node(snapshot, node, pod, space)
        see += _pair(snapshot, space)
    return Details(f"pod {key}", tuple(sections), tuple(see), pod=key)


def _pod_facts(pod: Pod) -> Iterator[tuple[str, str]]:
    yield "address", pod.address or "none yet"
    yield "node", pod.node or "not scheduled yet"
    yield "phase", f"{pod.phase}, {'ready' if pod.ready else 'not ready'}"
    if pod.host_network:
        yield "network", "its node's own"
    if pod.message:
        yield "message", pod.message
    for name, value in pod.labels.items():
        yield f"label {name}", value
    yield "uid", pod.uid


def _container(one: Container) -> str:
    return f"{one.name}  {one.image}  {one.state}  {'ready' if one.ready else 'not ready'}"


def _inside(snapshot: Snapshot, space: Space) -> Iterator[Section]:
    """A pod's own namespace."""
    enter = lookup.enter(snapshot, space)
    links = [one for one in space.links if one.name != "lo"]
    yield listing("Inside: links", map(iptext.ip_link, links), f"{enter}ip link")
    mine = [one for one in space.addresses if one.link != "lo"]
    yield listing("Inside: addresses", map(iptext.ip_address, mine), f"{enter}ip addr")
    routes = [one for one in space.routes if one.table == MAIN]
    yield listing("Inside: routes", map(iptext.ip_route, routes), f"{enter}ip route")
    near = map(iptext.ip_neighbour, space.neighbours)
    yield listing("Inside: neighbours", near, f"{enter}ip neigh")
    yield listing("Inside: sockets", map(iptext.listener, space.sockets), f"{enter}ss -ltunp")
    yield listing("Inside: resolv.conf", space.resolv_conf.splitlines(), "cat /etc/resolv.conf")


def _of_pod_on_node(
    snapshot: Snapshot, node: Node, pod: Pod, space: Space | None
) -> Iterator[Section]:
    """What of it is on its node: lease, link, and every object that leads to it."""
    leases = lookup.leases(node, pod)
    yield Section("Lease", tuple(fact for one in leases for fact in lookup.lease_facts(one)),
                  command=lookup.ledger_command(snapshot, node.name))  # fmt: skip
    host = snapshot.space(node.space)
    if host is None:
        return
    names = {pod.address, *(one.address for one in leases), *(one.mac for one in leases)} - {""}
    names |= {one.mac for one in (space.links if space else ()) if one.name != "lo"}
    enter = lookup.enter(snapshot, host)
    ends = [one for one in host.links if space and one.peer and one.peer[0] == space.id]
    names |= {one.name for one in ends}
    yield listing("On the node: link", map(iptext.ip_link, ends), f"{enter}ip -d link")
    routes = [one for one in map(iptext.ip_route, host.routes) if mentioned(one, names)]
    yield listing("On the node: routes", routes, f"{enter}ip route")
    near = [one for one in map(iptext.ip_neighbour, host.neighbours) if mentioned(one, names)]
    yield listing("On the node: neighbours", near, f"{enter}ip neigh")
    fdb = [one for one in map(iptext.bridge_fdb, host.fdb) if mentioned(one, names)]
    yield listing("On the node: forwarding database", fdb, f"{enter}bridge fdb")
    elements = iptext.nft_elements(host, names)
    yield listing("On the node: nftables elements", elements, f"{enter}nft list ruleset")
    rules = iptext.iptables_save(host.iptables, {pod.address} - {""})
    yield listing("On the node: iptables", rules, f"{enter}iptables-save -c | grep {pod.address}")


def _pair(snapshot: Snapshot, space: Space | None) -> Iterator[tuple[str, str]]:
    for link in space.links if space else ():
        if link.peer:
            yield f"link {link.name}", f"link {space.id if space else ''} {link.name}"
            yield f"link {link.peer[1]}", end_object(link.peer)


def tell_node(snapshot: Snapshot, name: str) -> Details:
    node = lookup.node(snapshot, name)
    space = snapshot.space(node.space)
    held = node.attachments
    facts = [("mode", held.mode or "no pods of ours"), *sorted(node.facts.items())]
    kube = lookup.kube_node(snapshot, name)
    if kube is not None:
        facts[:0] = [("address", kube.address), ("ready", "yes" if kube.ready else "no")]
        facts += [("most pods", str(kube.max_pods)), ("kubelet", kube.kubelet)]
        facts += [("pod range", kube.pod_cidr)] * bool(kube.pod_cidr)
    sections = [Section("Node", tuple(facts), command=f"podwire node shell {name}")]
    if space is not None:
        sections += stack(snapshot, space)
    sections.append(
        listing(
            "Leases", map(lookup.lease_line, held.leases), lookup.ledger_command(snapshot, name)
        )
    )
    sections.append(listing(f"What the runtime reads: {held.conflist[0]}",
                           held.conflist[1].splitlines()))  # fmt: skip
    see = [(f"link {one.name}", f"link {space.id} {one.name}") for one in space.links
           if one.name in ("eth0", held.bridge)] if space else []  # fmt: skip
    see += [(f"nic {one.nic.name}", f"nic {one.nic.name}")
            for vnet in snapshot.vnets for one in vnet.nics if one.node == name]  # fmt: skip
    return Details(f"node {name}", tuple(sections), tuple(see))


def tell_service(snapshot: Snapshot, key: str) -> Details:
    service = lookup.service(snapshot, key)
    sections = [Section("Service", tuple(_service_facts(service)), command=_kubectl("svc", key))]
    ends = (
        f"{one.address}:{one.port} {one.port_name} {one.pod or 'no pod'} "
        f"{'ready' if one.ready else 'not ready'}"
        for one in service.endpoints
    )
    sections.append(listing("Endpoints", ends, _kubectl("endpoints", key)))
    for node in snapshot.nodes[:1]:  # kube-proxy writes the same on every node
        space = snapshot.space(node.space)
        if space is not None:
            words = {service.cluster_ip, f'"{key}', key}
            rules = iptext.iptables_save(space.iptables, words)
            sections.append(listing(f"iptables on {node.name}", rules, "iptables-save -c -t nat"))
    see = {one.pod: f"pod {one.pod}" for one in service.endpoints if one.pod}
    return Details(
        f"service {key}",
        tuple(sections),
        tuple((f"pod {k}", v) for k, v in see.items()),
    )


def _service_facts(one: Service) -> Iterator[tuple[str, str]]:
    yield "kind", one.kind
    yield "cluster IP", one.cluster_ip
    for port in one.ports:
        node = f", node port {port.node_port}" if port.node_port else ""
        yield f"port {port.name}".strip(), f"{port.port}/{port.protocol} to {port.target}{node}"
    yield from ((f"selector {name}", value) for name, value in one.selector.items())
    if one.external:
        yield "external", ", ".join(one.external)
    yield "external traffic", one.external_policy
    yield "session affinity", one.session_affinity


def _kubectl(kind: str, key: str) -> str:
    namespace, _, name = key.partition("/")
    return f"kubectl get {kind} -n {namespace} {name} -o yaml"
