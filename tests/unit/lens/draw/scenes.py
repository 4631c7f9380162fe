"""Snapshots made by hand: nodes of each mode with as many pods as wanted, named as wanted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import IPv4Address

from podwire.lens.kube_values import (
    Cluster,
    Container,
    Endpoint,
    KubeNode,
    Pod,
    Service,
    ServicePort,
)
from podwire.lens.snapshot import (
    Address,
    Attachments,
    IptablesChain,
    IptablesRule,
    IptablesTable,
    Link,
    Node,
    Plugged,
    Route,
    Snapshot,
    Space,
    VirtualNetwork,
)
from podwire.model.vnet import Nic, Subnet, VNet

VNET = VNet(
    "aksvnet",
    "NetworkLab",
    ("10.220.0.0/16",),
    (
        Subnet("kubenet", "10.220.1.0/24"),
        Subnet("azurecni", "10.220.2.0/24"),
        Subnet("services", "10.220.3.0/24"),
    ),
)
FABRIC = "fabric/networklab/aksvnet"
BRIDGES = {"bridge": "azure0", "kubenet": "cbr0", "transparent": ""}


def pod_name(at: int) -> str:
    return f"nginx-7cf567cc7-{at:05x}" if at % 3 else f"cluster-dns-5d9bf4c6d-{at:05x}"


def mac(at: int) -> str:
    return f"da:ab:42:26:{at >> 8 & 255:02x}:{at & 255:02x}"


def plus(address: str, number: int) -> str:
    return str(IPv4Address(address) + number)


class Made:
    """One node with its pods."""

    def __init__(
        self,
        number: int,
        count: int,
        mode: str = "bridge",
        naming: Callable[[int], str] = pod_name,
        namespace: str = "default",
    ) -> None:
        self.name = f"aks-nodepool1-44430483-vmss{number:06d}"
        self.mode, self.count, self.naming, self.namespace = mode, count, naming, namespace
        self.number = number
        self.space = f"node/{self.name}"
        subnet = VNET.subnet("kubenet" if mode == "kubenet" else "azurecni")
        first = plus(subnet.prefix.partition("/")[0], 4 + number * 31)
        self.address = first
        held = [first] if mode == "kubenet" else [plus(first, at) for at in range(31)]
        self.nic = Nic(f"nic-{number}", f"00:0d:3a:8a:50:{number:02x}", subnet, tuple(held))
        self.first = f"10.244.{number}.2" if mode == "kubenet" else plus(first, 1)

    def host_link(self, at: int) -> Link:
        prefix = "veth" if self.mode == "kubenet" else "azv"
        name = f"{prefix}{self.number:03x}{at:08x}"
        bridge = BRIDGES[self.mode]
        state = "forwarding" if bridge else ""
        peer = (self.pod_space(at), "eth0")
        return Link(
            11 + 2 * at, name, mac(at + 4096), 1500, True, True, "veth", bridge, peer, 10 + 2 * at,
            state,
        )  # fmt: skip

    def pod_space(self, at: int) -> str:
        return f"pod/{self.namespace}/{self.naming(self.number * 100 + at)}"

    def pod_address(self, at: int) -> str:
        return plus(self.first, at)

    def node_space(self) -> Space:
        bridge = BRIDGES[self.mode]
        card_master = bridge if self.mode == "bridge" else ""
        lo = Link(1, "lo", "00:00:00:00:00:00", 65536, True, True)
        card = Link(
            2, "eth0", self.nic.mac, 1500, True, True, "veth", card_master,
            (FABRIC, f"port{self.number}"), 40,
        )  # fmt: skip
        links = [lo, card, *(self.host_link(at) for at in range(self.count))]
        where = card.name
        found = []
        if bridge:
            same = self.nic.mac if self.mode == "bridge" else mac(9)
            links.append(Link(3, bridge, same, 1500, True, True, "bridge"))
        if self.mode == "bridge":
            where = bridge
        if self.mode == "kubenet":
            found.append(Address(bridge, f"10.244.{self.number}.1/24"))
        found.append(Address(where, f"{self.address}/24"))
        routes = [Route("0.0.0.0/0", where, self.nic.subnet.gateway)]
        routes.append(Route(self.nic.subnet.prefix, where))
        if self.mode == "transparent":
            each = range(self.count)
            routes += [Route(f"{self.pod_address(i)}/32", self.host_link(i).name) for i in each]
        return Space(
            self.space, "node", 4026531840 + self.number, tuple(links), tuple(found), tuple(routes)
        )

    def pod_spaces(self) -> list[Space]:
        return [
            Space(
                self.pod_space(at),
                "pod",
                4026540000 + self.number * 1000 + at,
                (
                    Link(1, "lo", "00:00:00:00:00:00", 65536, True, True),
                    Link(
                        10 + 2 * at, "eth0", mac(at), 1500, True, True, "veth", "",
                        (self.space, self.host_link(at).name), 11 + 2 * at,
                    ),
                ),
                (Address("eth0", f"{self.pod_address(at)}/24"),),
                (Route("0.0.0.0/0", "eth0", self.nic.subnet.gateway),),
            )
            for at in range(self.count)
        ]  # fmt: skip

    def pods(self) -> list[Pod]:
        return [
            Pod(
                self.namespace,
                self.naming(self.number * 100 + at),
                f"uid-{self.number}-{at}",
                self.name,
                self.pod_address(at),
                "Running",
                True,
                labels={"run": "nginx"},
                containers=(Container("nginx", "docker.io/library/nginx:1.25", True),),
                space=self.pod_space(at),
            )
            for at in range(self.count)
        ] + [
            Pod("kube-system", f"kube-proxy-{self.number}", f"p{self.number}", self.name,
                self.address, "Running", True, host_network=True)
        ]  # fmt: skip

    def node(self) -> Node:
        spaces = tuple(self.pod_space(at) for at in range(self.count))
        bridge = BRIDGES[self.mode] or "azure0"
        return Node(self.name, self.space, spaces, Attachments(True, self.mode, bridge), "aks")

    def kube(self) -> KubeNode:
        cidr = f"10.244.{self.number}.0/24" if self.mode == "kubenet" else ""
        return KubeNode(self.name, self.address, True, cidr, 30)


def nat(services: Sequence[Service]) -> IptablesTable:
    """The nat table that kube-proxy makes of services with ready endpoints."""
    chains: list[IptablesChain] = []
    heads: list[IptablesRule] = []
    for number, service in enumerate(services):
        for port in service.ports:
            name = f"KUBE-SVC-{number:04d}{port.port:012d}"
            match = f"-d {service.cluster_ip}/32 -p {port.protocol.lower()} -m comment --comment"
            heads.append(
                IptablesRule(f'{match} "{service.key} cluster IP" --dport {port.port} -j {name}')
            )
            ends = [one for one in service.endpoints if one.port_name == port.name and one.ready]
            rules = []
            for at, end in enumerate(ends):
                chain = f"KUBE-SEP-{number:04d}{at:012d}"
                left = len(ends) - at
                chance = f"-m statistic --mode random --probability {1 / left:.11f} "
                rules.append(IptablesRule(f"{chance if left > 1 else ''}-j {chain}"))
                goes = f"-p tcp -m tcp -j DNAT --to-destination {end.address}:{end.port}"
                chains.append(IptablesChain(chain, "", (IptablesRule(goes),)))
            chains.append(IptablesChain(name, "", tuple(rules)))
    return IptablesTable("nat", (IptablesChain("KUBE-SERVICES", "", tuple(heads)), *chains))


def services(pods: Sequence[Pod]) -> tuple[Service, ...]:
    mine = [one for one in pods if not one.host_network]
    ends = tuple(
        Endpoint(one.address, 80, "", True, one.node, one.key)
        for one in mine
        if "nginx" in one.name
    )
    dns = [one for one in mine if "dns" in one.name][:2]
    dns_ends = [Endpoint(one.address, 53, name, True, one.node, one.key)
                for name in ("dns", "dns-tcp") for one in dns]  # fmt: skip
    api = Endpoint("172.31.0.4", 6443, "https", True)
    return (
        Service("default", "kubernetes", "ClusterIP", "10.200.0.1",
                (ServicePort("https", "TCP", 443, "6443"),), endpoints=(api,)),
        Service("default", "nginx", "ClusterIP", "10.200.38.173",
                (ServicePort("", "TCP", 80, "80"),), {"run": "nginx"}, endpoints=ends),
        Service("default", "empty", "ClusterIP", "10.200.9.9", (ServicePort("", "TCP", 80, "80"),)),
        Service("kube-system", "kube-dns", "ClusterIP", "10.200.0.10",
                (ServicePort("dns", "UDP", 53, "53"), ServicePort("dns-tcp", "TCP", 53, "53")),
                endpoints=tuple(dns_ends)),
    )  # fmt: skip


def lab(*nodes: Made) -> Snapshot:
    """A lab of these nodes, all of one cluster."""
    made = nodes or tuple(Made(at, 3) for at in range(3))
    pods = tuple(pod for one in made for pod in one.pods())
    offered = services(pods)
    tables = (nat(offered),)
    spaces = [space for one in made for space in one.pod_spaces()]
    for one in made:
        plain = one.node_space()
        spaces.append(
            Space(plain.id, plain.kind, plain.inode, plain.links, plain.addresses, plain.routes,
                  iptables=tables)
        )  # fmt: skip
    kubenet = made[0].mode == "kubenet"
    cluster = Cluster(
        "aks",
        version="v1.20.2",
        nodes=tuple(one.kube() for one in made),
        pods=pods,
        services=offered,
        service_cidr="10.200.0.0/16",
        dns_ip="10.200.0.10",
        pod_cidr="10.244.0.0/16" if kubenet else "",
        vnet=VNET.key,
        subnet=made[0].nic.subnet.name,
        plugin="kubenet" if kubenet else "azure",
    )
    cards = tuple(Plugged(one.nic, one.name, f"port{one.number}") for one in made)
    return Snapshot(
        1606000000.0,
        0.5,
        "draw",
        tuple(one.node() for one in made),
        tuple(spaces),
        (cluster,),
        (VirtualNetwork(VNET, FABRIC, cards),),
    )


def of(count: int, mode: str = "bridge", nodes: int = 3) -> Snapshot:
    """A lab of nodes with `count` pods each."""
    return lab(*(Made(at, count, mode) for at in range(nodes)))
