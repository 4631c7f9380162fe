"""What the page says of a thing: by its data-object, from the snapshot, in the words of the tools.

Pure. Each section names the command that shows the same on the machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from podwire.lens import iptext
from podwire.lens.snapshot import Link, Node, Pod, Service, Snapshot, Space
from podwire.lens.ui import lookup
from podwire.model.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class Section:
    """facts: name and value; lines: as a tool prints them; command: what prints them."""

    title: str
    facts: tuple[tuple[str, str], ...] = ()
    lines: tuple[str, ...] = ()
    command: str = ""


@dataclass(frozen=True, slots=True)
class Details:
    """see: what else to look at, as (label, data-object). pod: namespace/name whose birth the log
    may tell, "" for none."""

    object: str
    kind: str
    title: str
    sections: tuple[Section, ...]
    see: tuple[tuple[str, str], ...] = ()
    pod: str = ""


def details(snapshot: Snapshot, object_: str) -> Details:
    """Raises InvalidInputError when it is not, or no more, in the snapshot."""
    kind, _, rest = object_.partition(" ")
    tell = _TELLERS.get(kind)
    try:
        if tell is None:
            raise LookupError
        found = tell(snapshot, rest)
    except LookupError as error:
        raise InvalidInputError(
            f"{object_!r} is not there now; things are named as in the picture, "
            "like 'pod default/web' or 'link node/n1 azure0'"
        ) from error
    kept = tuple(one for one in found.sections if one.facts or one.lines)
    return Details(object_, kind, found.title, kept, found.see, found.pod)


def _link(snapshot: Snapshot, rest: str) -> Details:
    space_id, _, name = rest.rpartition(" ")
    space = lookup.space(snapshot, space_id)
    link = lookup.link(space, name)
    addresses = [one for one in space.addresses if one.link == name]
    names = {name, link.mac, *(one.cidr.partition("/")[0] for one in addresses)}
    enter = lookup.enter(snapshot, space)
    sections = (
        Section(
            "Link", lines=(iptext.ip_link(link),), command=f"{enter}ip -d link show dev {name}"
        ),
        _lines("Addresses", map(iptext.ip_address, addresses), f"{enter}ip addr show dev {name}"),
        _lines(
            "Routes",
            (iptext.ip_route(one) for one in space.routes if one.link == name and one.table != 255),
            f"{enter}ip route show dev {name}",
        ),
        _lines(
            "Neighbours",
            (iptext.ip_neighbour(one) for one in space.neighbours if one.link == name),
            f"{enter}ip neigh show dev {name}",
        ),
        _lines(
            "Forwarding database",
            (iptext.bridge_fdb(one) for one in space.fdb if name in (one.port, one.bridge)),
            f"{enter}bridge fdb show dev {name}",
        ),
        _lines("nftables elements", iptext.nft_elements(space, names), f"{enter}nft list ruleset"),
        Section("Counters", tuple((key, f"{n:,}") for key, n in sorted(link.counters.items()))),
    )
    see = [(f"the other end, {link.peer[1]}", _object(link.peer))] if link.peer else []
    see += [(f"bridge {link.master}", f"link {space.id} {link.master}")] * bool(link.master)
    see += _whose(snapshot, space, link)
    return Details("", "link", f"{name} in {lookup.label(snapshot, space)}", sections, tuple(see))


def _whose(snapshot: Snapshot, space: Space, link: Link) -> list[tuple[str, str]]:
    """The pod that the link is for, and where it is."""
    there = link.peer[0] if link.peer and space.kind == "node" else space.id
    pod = lookup.pod_in(snapshot, there)
    found = [(f"pod {pod.key}", f"pod {pod.key}")] if pod else []
    node = lookup.node_of_space(snapshot, space.id)
    return found + ([(f"node {node.name}", f"node {node.name}")] if node else [])


def _pod(snapshot: Snapshot, key: str) -> Details:
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
    sections.append(_lines("Containers", map(_container, pod.containers)))
    if space is not None:
        sections += _inside(snapshot, space)
    if node is not None and not pod.host_network:
        sections += _of_pod_on_node(snapshot, node, pod, space)
        see += _pair(snapshot, space)
    return Details("", "pod", f"pod {key}", tuple(sections), tuple(see), pod=key)


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


def _container(one: object) -> str:
    name, image = getattr(one, "name", ""), getattr(one, "image", "")
    ready, state = getattr(one, "ready", False), getattr(one, "state", "")
    return f"{name}  {image}  {state}  {'ready' if ready else 'not ready'}"


def _inside(snapshot: Snapshot, space: Space) -> Iterator[Section]:
    """A pod's own namespace."""
    enter = lookup.enter(snapshot, space)
    links = [one for one in space.links if one.name != "lo"]
    yield _lines("Inside: links", map(iptext.ip_link, links), f"{enter}ip link")
    mine = [one for one in space.addresses if one.link != "lo"]
    yield _lines("Inside: addresses", map(iptext.ip_address, mine), f"{enter}ip addr")
    routes = [one for one in space.routes if one.table == 254]
    yield _lines("Inside: routes", map(iptext.ip_route, routes), f"{enter}ip route")
    near = map(iptext.ip_neighbour, space.neighbours)
    yield _lines("Inside: neighbours", near, f"{enter}ip neigh")
    yield _lines("Inside: sockets", map(iptext.listener, space.sockets), f"{enter}ss -ltunp")
    yield _lines("Inside: resolv.conf", space.resolv_conf.splitlines(), "cat /etc/resolv.conf")


def _of_pod_on_node(
    snapshot: Snapshot, node: Node, pod: Pod, space: Space | None
) -> Iterator[Section]:
    """What of it is on its node: lease, link, and every object that leads to it."""
    leases = lookup.leases(node, pod)
    yield Section("Lease", tuple(fact for one in leases for fact in lookup.lease_facts(one)),
                  command="podwire ipam list")  # fmt: skip
    host = snapshot.space(node.space)
    if host is None:
        return
    names = {pod.address, *(one.address for one in leases), *(one.mac for one in leases)} - {""}
    names |= {one.mac for one in (space.links if space else ()) if one.name != "lo"}
    enter = lookup.enter(snapshot, host)
    ends = [one for one in host.links if space and one.peer and one.peer[0] == space.id]
    names |= {one.name for one in ends}
    yield _lines("On the node: link", map(iptext.ip_link, ends), f"{enter}ip -d link")
    routes = [one for one in map(iptext.ip_route, host.routes) if _any(one, names)]
    yield _lines("On the node: routes", routes, f"{enter}ip route")
    near = [one for one in map(iptext.ip_neighbour, host.neighbours) if _any(one, names)]
    yield _lines("On the node: neighbours", near, f"{enter}ip neigh")
    fdb = [one for one in map(iptext.bridge_fdb, host.fdb) if _any(one, names)]
    yield _lines("On the node: forwarding database", fdb, f"{enter}bridge fdb")
    elements = iptext.nft_elements(host, names)
    yield _lines("On the node: nftables elements", elements, f"{enter}nft list ruleset")
    rules = iptext.iptables_save(host.iptables, {pod.address} - {""})
    yield _lines("On the node: iptables", rules, f"{enter}iptables-save -c | grep {pod.address}")


def _pair(snapshot: Snapshot, space: Space | None) -> Iterator[tuple[str, str]]:
    for link in space.links if space else ():
        if link.peer:
            yield f"link {link.name}", f"link {space.id if space else ''} {link.name}"
            yield f"link {link.peer[1]}", _object(link.peer)


def _node(snapshot: Snapshot, name: str) -> Details:
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
        sections += _stack(snapshot, space)
    sections.append(_lines("Leases", map(lookup.lease_line, held.leases), "podwire ipam list"))
    sections.append(_lines(f"What the runtime reads: {held.conflist[0]}",
                           held.conflist[1].splitlines()))  # fmt: skip
    see = [(f"link {one.name}", f"link {space.id} {one.name}") for one in space.links
           if one.name in ("eth0", held.bridge)] if space else []  # fmt: skip
    see += [(f"nic {one.nic.name}", f"nic {one.nic.name}")
            for vnet in snapshot.vnets for one in vnet.nics if one.node == name]  # fmt: skip
    return Details("", "node", f"node {name}", tuple(sections), tuple(see))


def _space(snapshot: Snapshot, id_: str) -> Details:
    space = lookup.space(snapshot, id_)
    vnet = next((one for one in snapshot.vnets if one.space == id_), None)
    facts = [("inode", str(space.inode))]
    if vnet is not None:
        facts += [("VNet", vnet.vnet.name), ("ranges", ", ".join(vnet.vnet.prefixes))]
        facts += [(f"dropped: {why}", f"{n:,}") for why, n in sorted(vnet.drops.items())]
    sections = [Section("Network namespace", tuple(facts)), *_stack(snapshot, space)]
    return Details("", "space", lookup.label(snapshot, space), tuple(sections))


def _stack(snapshot: Snapshot, space: Space) -> Iterator[Section]:
    enter = lookup.enter(snapshot, space)
    yield _lines("Links", map(iptext.ip_link, space.links), f"{enter}ip -d link")
    yield _lines("Addresses", map(iptext.ip_address, space.addresses), f"{enter}ip addr")
    routes = [one for one in space.routes if one.table != 255]
    yield _lines("Routes", map(iptext.ip_route, routes), f"{enter}ip route show table all")
    yield _lines("Rules", map(iptext.ip_rule, space.rules), f"{enter}ip rule")
    yield _lines("Neighbours", map(iptext.ip_neighbour, space.neighbours), f"{enter}ip neigh")
    yield _lines("Forwarding database", map(iptext.bridge_fdb, space.fdb), f"{enter}bridge fdb")
    chains = [f"{t.name} {c.name}: {len(c.rules)} rules" for t in space.iptables for c in t.chains]
    yield _lines("iptables chains", chains, f"{enter}iptables-save -c")
    yield _lines("Sockets", map(iptext.listener, space.sockets), f"{enter}ss -ltunp")
    yield Section("Settings", tuple(sorted(space.sysctls.items())), command=f"{enter}sysctl -a")
    yield Section("What could not be read", tuple(sorted(space.unread.items())))


def _address(snapshot: Snapshot, rest: str) -> Details:
    space_id, link, cidr = rest.rsplit(" ", 2)
    space, ip = lookup.space(snapshot, space_id), cidr.partition("/")[0]
    node = lookup.node_of_space(snapshot, space_id)
    host = snapshot.space(node.space) if node else space
    held = [one for one in node.attachments.leases if one.address == ip] if node else []
    sections = [Section("Address", (("address", cidr), ("link", link)))]
    sections.append(Section("Lease", tuple(f for one in held for f in lookup.lease_facts(one))))
    if host is not None:
        lines = [*map(iptext.ip_route, host.routes), *map(iptext.ip_neighbour, host.neighbours)]
        near = [one for one in lines if iptext.mentions(one, ip)]
        sections.append(_lines("On the node", near))
        sections.append(_lines("nftables elements", iptext.nft_elements(host, {ip})))
    see = ((f"link {link}", f"link {space_id} {link}"),)
    return Details("", "address", f"{cidr} at {link}", tuple(sections), see)


def _service(snapshot: Snapshot, key: str) -> Details:
    service = lookup.service(snapshot, key)
    sections = [Section("Service", tuple(_service_facts(service)), command=_kubectl("svc", key))]
    ends = (
        f"{one.address}:{one.port} {one.port_name} {one.pod or 'no pod'} "
        f"{'ready' if one.ready else 'not ready'}"
        for one in service.endpoints
    )
    sections.append(_lines("Endpoints", ends, _kubectl("endpoints", key)))
    for node in snapshot.nodes[:1]:  # kube-proxy writes the same on every node
        space = snapshot.space(node.space)
        if space is not None:
            words = {service.cluster_ip, f'"{key}', key}
            rules = iptext.iptables_save(space.iptables, words)
            sections.append(_lines(f"iptables on {node.name}", rules, "iptables-save -c -t nat"))
    see = {one.pod: f"pod {one.pod}" for one in service.endpoints if one.pod}
    return Details(
        "",
        "service",
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


def _subnet(snapshot: Snapshot, rest: str) -> Details:
    key, _, name = rest.rpartition(" ")
    vnet, subnet = lookup.subnet(snapshot, key, name)
    facts = [("range", subnet.prefix), ("gateway", subnet.gateway)]
    facts += [("addresses that can be given out", str(subnet.usable))]
    table, group = subnet.route_table, subnet.security
    mine = [one for one in vnet.nics if one.nic.subnet.name == name]
    sections = (
        Section("Subnet", tuple(facts), command=f"az network vnet subnet show -n {name} ..."),
        _lines("Route table", [str(table)] if table else ()),
        _lines("Network security group", [str(group)] if group else ()),
        _lines("NICs", (f"{one.nic.name}  {one.nic.primary}  {len(one.nic.addresses)} addresses"
                        for one in mine)),
    )  # fmt: skip
    see = tuple((f"nic {one.nic.name}", f"nic {one.nic.name}") for one in mine)
    return Details("", "subnet", f"subnet {name}", sections, see)


def _nic(snapshot: Snapshot, name: str) -> Details:
    one = lookup.nic(snapshot, name)
    facts = [("MAC", one.nic.mac), ("subnet", one.nic.subnet.name), ("primary", one.nic.primary)]
    facts += [("IP forwarding", "on" if one.nic.ip_forwarding else "off")]
    facts += [("port of the fabric", one.port)] * bool(one.port)
    sections = (
        Section("NIC", tuple(facts), command=f"az network nic show -n {name} ..."),
        _lines("Addresses", one.nic.addresses),
        _lines("Network security group", [str(one.nic.security)] if one.nic.security else ()),
    )
    see = ((f"node {one.node}", f"node {one.node}"),) if one.node else ()
    return Details("", "nic", f"nic {name}", sections, see)


def _lines(title: str, lines: Iterable[str], command: str = "") -> Section:
    return Section(title, (), tuple(lines), command)


def _any(text: str, words: Iterable[str]) -> bool:
    return any(iptext.mentions(text, word) for word in words)


def _object(end: tuple[str, str]) -> str:
    return f"link {end[0]} {end[1]}"


def _kubectl(kind: str, key: str) -> str:
    namespace, _, name = key.partition("/")
    return f"kubectl get {kind} -n {namespace} {name} -o yaml"


_TELLERS: dict[str, Callable[[Snapshot, str], Details]] = {
    "link": _link,
    "pod": _pod,
    "node": _node,
    "space": _space,
    "address": _address,
    "service": _service,
    "subnet": _subnet,
    "nic": _nic,
}
