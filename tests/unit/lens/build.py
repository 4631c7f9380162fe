"""Snapshots made by hand: two nodes, pods on each, services as kube-proxy 1.20 writes them.

`lab("bridge")`, `lab("transparent")` and `lab("kubenet")` are healthy: everything reaches
everything. `edit` changes one space, so that a test plants its fault in one line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from podwire.ipam.lease import Lease
from podwire.lens.kube_values import Cluster, Endpoint, KubeNode, Pod, Service, ServicePort
from podwire.lens.snapshot import (
    Address,
    Attachments,
    Balancer,
    FdbEntry,
    IptablesChain,
    IptablesRule,
    IptablesTable,
    Link,
    Neighbour,
    Node,
    Plugged,
    Route,
    Snapshot,
    Socket,
    Space,
    VirtualNetwork,
)
from podwire.model.load_balancer import Frontend, LoadBalancer, Rule
from podwire.model.route_table import NextHop, RouteTable
from podwire.model.route_table import Route as UserRoute
from podwire.model.vnet import FABRIC_MAC, WIRE_SERVER, Nic, Subnet, VNet

NODES = ("n1", "n2")
GATEWAY = "10.220.2.1"
NODE_IP = {"n1": "10.220.2.4", "n2": "10.220.2.35"}
NODE_MAC = {"n1": "00:0d:3a:00:00:01", "n2": "00:0d:3a:00:00:02"}
PLANE_IP, PLANE_MAC = "172.31.0.4", "00:0d:3a:00:00:99"
DNS_IP, WEB_IP, EMPTY_IP = "10.200.0.10", "10.200.0.80", "10.200.0.66"
FRONTEND_IP = "198.18.0.5"
SUBNET = "10.220.2.0/24"
POD_CIDR = "10.244.0.0/16"
NODE_CIDR = {"n1": "10.244.0.0/24", "n2": "10.244.1.0/24"}
WEB_PORT, WEB_NODE_PORT = 80, 30080
_SYSCTLS = {
    "net.ipv4.ip_forward": "1",
    "net.bridge.bridge-nf-call-iptables": "1",
    "net.ipv4.conf.all.rp_filter": "0",
    "net.netfilter.nf_conntrack_max": "262144",
    "net.netfilter.nf_conntrack_count": "17",
}


@dataclass(frozen=True, slots=True)
class Wired:
    """A pod of the lab."""

    key: str
    node: str
    address: str
    mac: str
    link: str
    port: int = 80
    protocol: str = "tcp"

    @property
    def space(self) -> str:
        return f"pod/{self.key}"


def wired(mode: str) -> tuple[Wired, ...]:
    """web-1, web-2 behind the service web; dns behind kube-dns; client-1, client-2."""
    kubenet = mode == "kubenet"
    places = [
        *[("default/web-1", "n1", 5, 80, "tcp"), ("default/client-1", "n1", 6, 80, "tcp")],
        *[("default/web-2", "n2", 36, 80, "tcp"), ("default/client-2", "n2", 37, 80, "tcp")],
        ("kube-system/dns", "n2", 38, 53, "udp"),
    ]
    return tuple(
        Wired(
            *(key, node, _pod_ip(node, last, kubenet=kubenet), f"02:00:00:00:00:{last:02x}"),
            *(f"{'veth' if kubenet else 'azv'}{last}", port, protocol),
        )
        for key, node, last, port, protocol in places
    )


def _pod_ip(node: str, last: int, *, kubenet: bool) -> str:
    return f"10.244.{NODES.index(node)}.{last}" if kubenet else f"10.220.2.{last}"


def lab(mode: str = "bridge", services: int = 0) -> Snapshot:
    """services: how many more there are, each with two endpoints."""
    pods = wired(mode)
    spaces = [
        *(_pod_space(one, mode) for one in pods),
        *(_node_space(name, mode, pods, services) for name in NODES),
        _fabric_space(),
        _plane_space(),
    ]
    return Snapshot(
        taken=1.0,
        took=0.1,
        lab="podwire",
        nodes=tuple(_node(name, mode, pods) for name in NODES),
        spaces=tuple(spaces),
        clusters=(_cluster(mode, pods, services),),
        vnets=(_vnet(mode, pods),),
    )


def edit(snapshot: Snapshot, space_id: str, change: Callable[[Space], Space]) -> Snapshot:
    spaces = (change(one) if one.id == space_id else one for one in snapshot.spaces)
    return replace(snapshot, spaces=tuple(spaces))


def edit_link(snapshot: Snapshot, space_id: str, name: str, **values: Any) -> Snapshot:
    def change(space: Space) -> Space:
        links = (replace(one, **values) if one.name == name else one for one in space.links)
        return replace(space, links=tuple(links))

    return edit(snapshot, space_id, change)


def edit_vnet(snapshot: Snapshot, change: Callable[[VirtualNetwork], VirtualNetwork]) -> Snapshot:
    return replace(snapshot, vnets=tuple(change(one) for one in snapshot.vnets))


def edit_rules(
    snapshot: Snapshot, space_id: str, table: str, change: Callable[[IptablesChain], IptablesChain]
) -> Snapshot:
    def changed(space: Space) -> Space:
        tables = (
            replace(one, chains=tuple(change(chain) for chain in one.chains))
            if one.name == table
            else one
            for one in space.iptables
        )
        return replace(space, iptables=tuple(tables))

    return edit(snapshot, space_id, changed)


def _veth(name: str, mac: str, peer: tuple[str, str], **more: Any) -> Link:
    return Link(more.pop("index", 2), name, mac, 1500, True, True, "veth", peer=peer, **more)


def _lo() -> Link:
    return Link(1, "lo", "00:00:00:00:00:00", 65536, True, True)


def _pod_space(pod: Wired, mode: str) -> Space:
    gateway, neighbours = GATEWAY, ()
    routes = [Route("0.0.0.0/0", "eth0", GATEWAY), Route(SUBNET, "eth0")]
    length = 24
    if mode == "transparent":
        hop = "169.254.1.1"
        routes = [Route("0.0.0.0/0", "eth0", hop), Route(f"{hop}/32", "eth0")]
        neighbours = (Neighbour("eth0", hop, "aa:aa:aa:aa:aa:aa", "PERMANENT"),)
    elif mode == "kubenet":
        gateway = _pod_ip(pod.node, 1, kubenet=True)
        routes = [Route("0.0.0.0/0", "eth0", gateway), Route(NODE_CIDR[pod.node], "eth0")]
    resolv = f"search {pod.key.split('/')[0]}.svc.cluster.local svc.cluster.local cluster.local\n"
    resolv += f"nameserver {DNS_IP}\noptions ndots:5\n"
    return Space(
        pod.space,
        "pod",
        1000,
        links=(_lo(), _veth("eth0", pod.mac, (f"node/{pod.node}", pod.link))),
        addresses=(
            Address("lo", "127.0.0.1/8", "host"),
            Address("eth0", f"{pod.address}/{length}"),
        ),
        routes=tuple(routes),
        neighbours=neighbours,
        sockets=(Socket(pod.protocol, "0.0.0.0", pod.port, "server"),),
        sysctls={"net.ipv4.ip_forward": "0"},
        resolv_conf=resolv,
    )


def _host_mac(pod: Wired, mode: str) -> str:
    return "aa:aa:aa:aa:aa:aa" if mode == "transparent" else "06" + pod.mac[2:]


def _node_space(name: str, mode: str, pods: Iterable[Wired], services: int) -> Space:
    mine = [one for one in pods if one.node == name]
    bridge = {"bridge": "azure0", "kubenet": "cbr0"}.get(mode, "")
    on_bridge = mode == "bridge"
    uplink = "azure0" if on_bridge else "eth0"
    eth0 = _veth(
        *("eth0", NODE_MAC[name], ("fabric/rg/net", f"nic{NODES.index(name) + 1}")),
        **({"master": "azure0", "port_state": "forwarding", "hairpin": True} if on_bridge else {}),
    )
    ports = [
        _veth(
            *(one.link, _host_mac(one, mode), (one.space, "eth0")),
            **({"master": bridge, "port_state": "forwarding", "hairpin": True} if bridge else {}),
        )
        for one in mine
    ]
    bridge_mac = NODE_MAC[name] if on_bridge else "06:00:00:00:01:00"
    bridges = [Link(3, bridge, bridge_mac, 1500, True, True, "bridge")] if bridge else []
    addresses = [Address("lo", "127.0.0.1/8", "host"), Address(uplink, f"{NODE_IP[name]}/24")]
    routes = [Route("0.0.0.0/0", uplink, GATEWAY), Route(SUBNET, uplink)]
    neighbours = [Neighbour(uplink, GATEWAY, FABRIC_MAC, "REACHABLE")]
    if on_bridge:
        neighbours += [Neighbour("azure0", one.address, one.mac, "PERMANENT") for one in mine]
    elif mode == "transparent":
        routes += [Route(f"{one.address}/32", one.link) for one in mine]
        neighbours += [Neighbour(one.link, one.address, one.mac, "PERMANENT") for one in mine]
    else:
        addresses.append(Address("cbr0", f"{_pod_ip(name, 1, kubenet=True)}/24"))
        routes.append(Route(NODE_CIDR[name], "cbr0"))
    fdb = [FdbEntry(bridge, one.link, one.mac) for one in mine] if bridge else []
    if on_bridge:
        fdb.append(FdbEntry("azure0", "eth0", FABRIC_MAC))
    return Space(
        f"node/{name}",
        "node",
        1,
        links=(_lo(), eth0, *bridges, *ports),
        addresses=tuple(addresses),
        routes=tuple(routes),
        neighbours=tuple(neighbours),
        fdb=tuple(fdb),
        nft=mac_nat(name, mine) if on_bridge else (),
        iptables=iptables(mode, tuple(pods), services),
        sockets=(Socket("tcp", "0.0.0.0", 22, "sshd"), Socket("tcp6", "::", 10250, "kubelet")),
        sysctls=dict(_SYSCTLS),
        resolv_conf=f"nameserver {WIRE_SERVER}\n",
    )


def _fabric_space() -> Space:
    ports = [
        _veth(f"nic{n + 1}", FABRIC_MAC, (f"node/{name}", "eth0")) for n, name in enumerate(NODES)
    ]
    plane = _veth("nic3", FABRIC_MAC, ("plane/c", "eth0"))
    return Space(
        *("fabric/rg/net", "fabric", 2),
        links=(_lo(), *ports, plane),
        addresses=(Address("lo", f"{WIRE_SERVER}/32", "global"),),
        sockets=(Socket("udp", WIRE_SERVER, 53, "dns"), Socket("tcp", WIRE_SERVER, 80, "wire")),
    )


def _plane_space() -> Space:
    return Space(
        *("plane/c", "plane", 3),
        links=(_lo(), _veth("eth0", PLANE_MAC, ("fabric/rg/net", "nic3"))),
        addresses=(Address("eth0", f"{PLANE_IP}/16"),),
        routes=(Route("0.0.0.0/0", "eth0", "172.31.0.1"), Route("172.31.0.0/16", "eth0")),
        sockets=(Socket("tcp", "0.0.0.0", 443, "kube-apiserver"),),
    )


def _node(name: str, mode: str, pods: Iterable[Wired]) -> Node:
    mine = [one for one in pods if one.node == name]
    leases = tuple(_lease(n, one) for n, one in enumerate(mine)) if mode != "kubenet" else ()
    bridge = "azure0" if mode == "bridge" else ""
    attachments = Attachments(has_ledger=True, mode=mode, bridge=bridge, leases=leases)
    return Node(name, f"node/{name}", tuple(one.space for one in mine), attachments, "c")


def _lease(number: int, pod: Wired) -> Lease:
    namespace, _, name = pod.key.partition("/")
    return Lease(
        *(number, pod.address, SUBNET, GATEWAY, "attached", f"c{number}", "eth0"),
        *(f"/run/netns/cni-{name}", namespace, name, "azure", pod.link, pod.mac, "azure0"),
        *("azure-vnet-ipam", 0, 0, 1.0),
    )


def _cluster(mode: str, pods: tuple[Wired, ...], services: int) -> Cluster:
    web = [one for one in pods if "web" in one.key]
    dns = next(one for one in pods if one.port == 53)
    more = (
        Service("many", f"s{n}", "ClusterIP", _many_ip(n), (ServicePort("", "TCP", 80, "80"),))
        for n in range(services)
    )
    return Cluster(
        name="c",
        nodes=tuple(
            KubeNode(name, NODE_IP[name], True, NODE_CIDR[name] if mode == "kubenet" else "")
            for name in NODES
        ),
        pods=tuple(
            Pod(
                *(one.key.split("/")[0], one.key.split("/")[1], one.key, one.node, one.address),
                *("Running", True),
                space=one.space,
            )
            for one in pods
        ),
        services=(
            Service(
                *("default", "web", "LoadBalancer", WEB_IP),
                ports=(ServicePort("http", "TCP", WEB_PORT, "80", WEB_NODE_PORT),),
                external=(FRONTEND_IP,),
                endpoints=tuple(
                    Endpoint(one.address, 80, "http", True, one.node, one.key) for one in web
                ),
            ),
            Service(
                *("kube-system", "kube-dns", "ClusterIP", DNS_IP),
                ports=(ServicePort("dns", "UDP", 53, "53"),),
                endpoints=(Endpoint(dns.address, 53, "dns", True, dns.node, dns.key),),
            ),
            Service(
                *("default", "empty", "ClusterIP", EMPTY_IP),
                ports=(ServicePort("", "TCP", 80, "80"),),
            ),
            Service(
                *("default", "kubernetes", "ClusterIP", "10.200.0.1"),
                ports=(ServicePort("https", "TCP", 443, "443"),),
                endpoints=(Endpoint(PLANE_IP, 443, "https", True),),
            ),
            *more,
        ),
        service_cidr="10.200.0.0/16",
        dns_ip=DNS_IP,
        pod_cidr=POD_CIDR if mode == "kubenet" else "",
        vnet="rg/net",
        subnet="aks",
        plugin="kubenet" if mode == "kubenet" else "azure",
    )


def _vnet(mode: str, pods: Iterable[Wired]) -> VirtualNetwork:
    kubenet = mode == "kubenet"
    table = RouteTable(
        "pods",
        tuple(
            UserRoute(one, NODE_CIDR[one], NextHop.VIRTUAL_APPLIANCE, NODE_IP[one]) for one in NODES
        ),
    )
    subnet = Subnet("aks", SUBNET, table if kubenet else None)
    nics = [
        Plugged(
            Nic(
                *(f"{name}-nic", NODE_MAC[name], subnet),
                (
                    NODE_IP[name],
                    *(one.address for one in pods if one.node == name and not kubenet),
                ),
                ip_forwarding=kubenet,
            ),
            name,
            f"nic{n + 1}",
        )
        for n, name in enumerate(NODES)
    ]
    platform = Nic("plane", PLANE_MAC, Subnet("platform", "172.31.0.0/16"), (PLANE_IP,))
    balancer = LoadBalancer(
        *("kubernetes", "mc"),
        frontends=(Frontend("front", FRONTEND_IP),),
        rules=(Rule("web", "front", "tcp", WEB_PORT, WEB_PORT, floating=True),),
        backends=tuple(NODE_IP.values()),
    )
    return VirtualNetwork(
        VNet("net", "rg", ("10.220.0.0/16",), (subnet,)),
        "fabric/rg/net",
        (*nics, Plugged(platform, "", "nic3")),
        (Balancer(balancer, tuple(f"web {one}" for one in NODE_IP.values())),),
        outbound=True,
    )


# iptables, as kube-proxy 1.20, kubelet and azure-ip-masq-agent write it


def iptables(mode: str, pods: tuple[Wired, ...], services: int = 0) -> tuple[IptablesTable, ...]:
    return (_filter(), _nat(mode, pods, services), _mangle())


def _chain(name: str, *rules: str, policy: str = "") -> IptablesChain:
    return IptablesChain(name, policy, tuple(IptablesRule(one) for one in rules))


def _mangle() -> IptablesTable:
    names = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")
    return IptablesTable("mangle", tuple(_chain(one, policy="ACCEPT") for one in names))


def _filter() -> IptablesTable:
    new = "-m conntrack --ctstate NEW -m comment --comment"
    empty = f'-d {EMPTY_IP}/32 -p tcp -m comment --comment "default/empty has no endpoints"'
    related = "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
    return IptablesTable(
        "filter",
        (
            _chain("INPUT", "-j KUBE-FIREWALL", policy="ACCEPT"),
            _chain(
                "FORWARD",
                '-m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD',
                f'{new} "kubernetes service portals" -j KUBE-SERVICES',
                policy="ACCEPT",
            ),
            _chain(
                "OUTPUT",
                f'{new} "kubernetes service portals" -j KUBE-SERVICES',
                "-j KUBE-FIREWALL",
                policy="ACCEPT",
            ),
            _chain("KUBE-FIREWALL", "-m mark --mark 0x8000/0x8000 -j DROP"),
            _chain(
                "KUBE-FORWARD",
                "-m conntrack --ctstate INVALID -j DROP",
                "-m mark --mark 0x4000/0x4000 -j ACCEPT",
                related,
            ),
            _chain(
                "KUBE-SERVICES",
                f"{empty} -m tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable",
            ),
        ),
    )


def _nat(mode: str, pods: tuple[Wired, ...], services: int) -> IptablesTable:
    web = [(one.address, 80) for one in pods if "web" in one.key]
    dns = [(one.address, 53) for one in pods if one.port == 53]
    inside = POD_CIDR if mode == "kubenet" else SUBNET
    kept = ["10.220.0.0/16", "10.200.0.0/16", *((POD_CIDR,) if mode == "kubenet" else ())]
    portals: list[str] = []
    chains: list[IptablesChain] = []
    for name, ip, protocol, port, ends in (
        ("default/web:http", WEB_IP, "tcp", WEB_PORT, web),
        ("kube-system/kube-dns:dns", DNS_IP, "udp", 53, dns),
        ("default/kubernetes:https", "10.200.0.1", "tcp", 443, [(PLANE_IP, 443)]),
        *((f"many/s{n}", _many_ip(n), "tcp", 80, web) for n in range(services)),
    ):
        portals += _portal(name, ip, protocol, port, inside)
        chains += _service_chains(name, protocol, ends)
    svc = f"KUBE-SVC-{_hash('default/web:http')}"
    comment = '-m comment --comment "default/web:http'
    portals += [
        f'-d {FRONTEND_IP}/32 -p tcp {comment} loadbalancer IP" -m tcp --dport 80 -j KUBE-FW-WEB',
        '-m comment --comment "nodeports" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS',
    ]
    node_port = f'-p tcp {comment}" -m tcp --dport {WEB_NODE_PORT}'
    masq = '-m comment --comment "ip-masq-agent: jump" -m addrtype ! --dst-type LOCAL'
    return IptablesTable(
        "nat",
        (
            _chain("PREROUTING", "-j KUBE-SERVICES", policy="ACCEPT"),
            _chain("INPUT", policy="ACCEPT"),
            _chain("OUTPUT", "-j KUBE-SERVICES", policy="ACCEPT"),
            _chain(
                "POSTROUTING",
                "-j KUBE-POSTROUTING",
                f"{masq} -j IP-MASQ-AGENT",
                policy="ACCEPT",
            ),
            _chain("IP-MASQ-AGENT", *(f"-d {one} -j RETURN" for one in kept), "-j MASQUERADE"),
            _chain("KUBE-MARK-MASQ", "-j MARK --set-xmark 0x4000/0x4000"),
            _chain("KUBE-MARK-DROP", "-j MARK --set-xmark 0x8000/0x8000"),
            _chain(
                "KUBE-POSTROUTING",
                "-m mark ! --mark 0x4000/0x4000 -j RETURN",
                "-j MARK --set-xmark 0x4000/0x0",
                '-m comment --comment "kubernetes service traffic requiring SNAT" '
                "-j MASQUERADE --random-fully",
            ),
            _chain("KUBE-NODEPORTS", f"{node_port} -j KUBE-MARK-MASQ", f"{node_port} -j {svc}"),
            _chain("KUBE-FW-WEB", f'{comment}" -j KUBE-MARK-MASQ', f'{comment}" -j {svc}'),
            _chain("KUBE-SERVICES", *portals),
            *chains,
        ),
    )


def _many_ip(number: int) -> str:
    return f"10.200.{10 + number // 250}.{1 + number % 250}"


def _hash(name: str) -> str:
    return f"{abs(sum(ord(c) * 31**n for n, c in enumerate(name))) % 36**8:016d}"


def _portal(name: str, ip: str, protocol: str, port: int, inside: str) -> list[str]:
    where = f'-d {ip}/32 -p {protocol} -m comment --comment "{name} cluster IP"'
    where += f" -m {protocol} --dport {port}"
    return [f"! -s {inside} {where} -j KUBE-MARK-MASQ", f"{where} -j KUBE-SVC-{_hash(name)}"]


def _service_chains(
    name: str, protocol: str, ends: list[tuple[str, int]]
) -> Iterable[IptablesChain]:
    comment = f'-m comment --comment "{name}"'
    jumps = []
    for n, (address, port) in enumerate(ends):
        sep = f"KUBE-SEP-{_hash(f'{name}{address}')}"
        left = len(ends) - n
        chance = f" -m statistic --mode random --probability {1 / left:.11f}" if left > 1 else ""
        jumps.append(f"{comment}{chance} -j {sep}")
        to = f"-m {protocol} -j DNAT --to-destination {address}:{port}"
        masq = f"-s {address}/32 {comment} -j KUBE-MARK-MASQ"
        yield _chain(sep, masq, f"-p {protocol} {comment} {to}")
    yield _chain(f"KUBE-SVC-{_hash(name)}", *jumps)


# nft -j of the table azure-vnet


def mac_nat(node: str, pods: Iterable[Wired]) -> tuple[dict[str, Any], ...]:
    """As `nft -j list ruleset` gives what bridge_mode._RULES loads."""
    mac, ip = NODE_MAC[node], NODE_IP[node]
    of = {"family": "bridge", "table": "azure-vnet"}
    request, reply = _is(_arp("operation"), "request"), _is(_arp("operation"), "reply")
    by_arp = {"map": {"key": _arp("daddr ip"), "data": "@pod_mac"}}
    by_ip = {"map": {"key": _field("ip", "daddr"), "data": "@pod_mac"}}
    flooded = _is(_meta("pkttype"), {"set": ["broadcast", "multicast"]})
    loop = {"concat": [_meta("iifname"), _meta("oifname")]}
    rules: list[tuple[str, list[Any]]] = [
        (
            "prerouting",
            [
                request,
                _is(_arp("daddr ip"), "@node_ip"),
                _set(_ether("daddr"), mac),
                _set(_meta("pkttype"), "host"),
            ],
        ),
        (
            "prerouting",
            [request, _is(_arp("saddr ip"), "0.0.0.0", "!="), _set(_ether("daddr"), by_arp)],
        ),
        ("prerouting", [_is(_meta("iifname"), "eth0"), reply, _jump("reply_for_pod")]),
        ("prerouting", [_set(_ether("daddr"), by_ip)]),
        ("reply_for_pod", [_set(_arp("daddr ether"), by_arp)]),
        ("reply_for_pod", [_set(_ether("daddr"), by_arp)]),
        ("forward", [flooded, _is(loop, "@loop"), {"drop": None}]),
        ("postrouting", [_is(_meta("oifname"), "eth0"), _jump("to_fabric")]),
        ("to_fabric", [request, _is(_arp("daddr ip"), "@node_ip"), {"drop": None}]),
        ("to_fabric", [request, _set(_ether("daddr"), by_arp), {"drop": None}]),
        ("to_fabric", [_set(_ether("daddr"), by_ip), {"drop": None}]),
        ("to_fabric", [_set(_arp("saddr ether"), mac)]),
        ("to_fabric", [_set(_ether("saddr"), mac)]),
    ]
    mine = list(pods)
    hooks = (("prerouting", -300), ("forward", -200), ("postrouting", 300))
    return (
        {"table": {"family": "bridge", "name": "azure-vnet"}},
        {
            "map": {
                **(of | {"name": "pod_mac", "type": "ipv4_addr", "map": "ether_addr"}),
                "elem": [[one.address, one.mac] for one in mine],
            }
        },
        {
            "set": {
                **(of | {"name": "loop", "type": ["ifname", "ifname"]}),
                "elem": [{"concat": [one.link, one.link]} for one in mine],
            }
        },
        {"set": of | {"name": "node_ip", "type": "ipv4_addr", "elem": [ip]}},
        *(
            {"chain": of | {"name": n, "type": "filter", "hook": n, "prio": p, "policy": "accept"}}
            for n, p in hooks
        ),
        *({"chain": of | {"name": one}} for one in ("reply_for_pod", "to_fabric")),
        *({"rule": of | {"chain": chain, "expr": expr}} for chain, expr in rules),
    )


def _field(protocol: str, name: str) -> dict[str, Any]:
    return {"payload": {"protocol": protocol, "field": name}}


def _arp(name: str) -> dict[str, Any]:
    return _field("arp", name)


def _ether(name: str) -> dict[str, Any]:
    return _field("ether", name)


def _meta(key: str) -> dict[str, Any]:
    return {"meta": {"key": key}}


def _is(left: Any, right: Any, op: str = "==") -> dict[str, Any]:
    return {"match": {"op": op, "left": left, "right": right}}


def _set(key: Any, value: Any) -> dict[str, Any]:
    return {"mangle": {"key": key, "value": value}}


def _jump(target: str) -> dict[str, Any]:
    return {"jump": {"target": target}}
