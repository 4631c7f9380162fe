"""What a node, or a whole lab, is at one moment, as one typed and versioned value.

Figures, explain, doctor and the page work from a snapshot alone, whether it was taken just now or
loaded from a file. Facts only: nothing here judges, and nothing here knows how they are collected.

A *space* is one network namespace. Its id is a path that says whose it is: "node/NAME",
"pod/NAMESPACE/NAME" ("pod/CONTAINER" for one without Kubernetes; "pod/NAMESPACE/NAME@CLUSTER" where
clusters have pods of one name), "fabric/VNET", "plane/CLUSTER", "space/INODE" for any other. Every
link is named by its space's id and its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from podwire.ipam.lease import AddressState, Lease, Pool
from podwire.lens.kube_values import Cluster
from podwire.model.load_balancer import LoadBalancer
from podwire.model.vnet import Nic, VNet

VERSION = 1
"""Of the JSON form; one that is read must have this number."""
DEFAULT, MAIN, LOCAL = 253, 254, 255
"""Numbers of routing tables (linux/rtnetlink.h)."""


@dataclass(frozen=True, slots=True)
class Link:
    """One end as its space sees it. kind: "veth", "bridge", ..., "" for a real NIC or loopback.

    master: name of its bridge, "" for none. peer: (space id, name) of a veth's other end, None when
    it is in no space of the snapshot; peer_index: that end's ifindex, 0 for none.
    carrier: something is connected and up. port_state: of a bridge's port ("forwarding",
    "disabled", "blocking", ...), else "". hairpin, neigh_suppress, proxy_arp: flags of a port.
    """

    ifindex: int
    name: str
    mac: str
    mtu: int
    up: bool
    carrier: bool
    kind: str = ""
    master: str = ""
    peer: tuple[str, str] | None = None
    peer_index: int = 0
    port_state: str = ""
    hairpin: bool = False
    neigh_suppress: bool = False
    proxy_arp: bool = False
    counters: Mapping[str, int] = field(default_factory=dict)
    """rx_packets, tx_packets, rx_dropped, tx_dropped, rx_errors, tx_errors."""


@dataclass(frozen=True, slots=True)
class Address:
    """cidr: as in 10.220.2.4/24; scope: "global", "link", "host"."""

    link: str
    cidr: str
    scope: str = "global"

    @property
    def ip(self) -> str:
        """Without the prefix length."""
        return self.cidr.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Route:
    """kind: "unicast", "local", "broadcast", "blackhole", "unreachable", "prohibit", "throw".

    dst: CIDR, 0.0.0.0/0 for the default route; table: 254 is main, 255 local. via: next hop, ""
    when on the link; source: preferred source address, "" for none; link: "" where there is none.
    """

    dst: str
    link: str = ""
    via: str = ""
    table: int = MAIN
    kind: str = "unicast"
    onlink: bool = False
    metric: int = 0
    source: str = ""
    protocol: int = 0


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """A line of `ip rule`, in order of priority. action: "lookup", "blackhole", "unreachable", ...

    mark, mask: 0 for any packet. source, destination: CIDR, "" for any. iif, oif: "" for any.
    """

    priority: int
    table: int
    family: int = 4
    action: str = "lookup"
    mark: int = 0
    mask: int = 0
    source: str = ""
    destination: str = ""
    iif: str = ""
    oif: str = ""
    inverted: bool = False


@dataclass(frozen=True, slots=True)
class Neighbour:
    """state: as `ip neighbour` prints it: "PERMANENT", "REACHABLE", "STALE", "FAILED", ..."""

    link: str
    ip: str
    mac: str
    state: str
    proxy: bool = False


@dataclass(frozen=True, slots=True)
class FdbEntry:
    """A bridge's forwarding database: frames to `mac` leave by `port`. local: the port's own."""

    bridge: str
    port: str
    mac: str
    local: bool = False


@dataclass(frozen=True, slots=True)
class IptablesRule:
    """text: as iptables-save prints it, without "-A CHAIN "; counted with -c."""

    text: str
    packets: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class IptablesChain:
    """policy: "ACCEPT" or "DROP" of a built-in chain, "" of a user's."""

    name: str
    policy: str = ""
    rules: tuple[IptablesRule, ...] = ()


@dataclass(frozen=True, slots=True)
class IptablesTable:
    """name: "nat", "filter", ...; family: 4 or 6; legacy: of xtables and not of nf_tables."""

    name: str
    chains: tuple[IptablesChain, ...]
    family: int = 4
    legacy: bool = False


@dataclass(frozen=True, slots=True)
class Connection:
    """A conntrack entry. original, reply: (source, source port, destination, destination port)."""

    protocol: str
    original: tuple[str, int, str, int]
    reply: tuple[str, int, str, int]
    state: str = ""
    mark: int = 0


@dataclass(frozen=True, slots=True)
class Socket:
    """One that listens (TCP) or is bound (UDP). process: name of its program, "" if unknown."""

    protocol: str
    address: str
    port: int
    process: str = ""


@dataclass(frozen=True, slots=True)
class Space:
    """One network namespace. kind: "node", "pod", "fabric", "plane", "other".

    nft: the objects of `nft -j list ruleset`, but what iptables-nft made; ruleset of nft's JSON
    schema (libnftables-json(5)). sysctls: names with dots -> value, those that decide on packets.
    unread: what could not be read, in words: part -> why.
    """

    id: str
    kind: str
    inode: int
    links: tuple[Link, ...] = ()
    addresses: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()
    rules: tuple[PolicyRule, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()
    fdb: tuple[FdbEntry, ...] = ()
    nft: tuple[Mapping[str, Any], ...] = ()
    iptables: tuple[IptablesTable, ...] = ()
    ipsets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    connections: tuple[Connection, ...] = ()
    sockets: tuple[Socket, ...] = ()
    sysctls: Mapping[str, str] = field(default_factory=dict)
    resolv_conf: str = ""
    unread: Mapping[str, str] = field(default_factory=dict)

    def link(self, name: str) -> Link | None:
        return next((one for one in self.links if one.name == name), None)


@dataclass(frozen=True, slots=True)
class KeptResult:
    """A result of ADD that the runtime keeps until its DEL (libcni's cache). netns: the path of the
    pod's namespace, "" if not told."""

    path: str
    network: str
    container_id: str
    ifname: str
    addresses: tuple[str, ...]
    netns: str = ""


@dataclass(frozen=True, slots=True)
class Reserved:
    """An address that the plugin host-local holds for a container: a file that is called as it is.
    age: seconds since it was written."""

    path: str
    address: str
    container_id: str
    age: float


@dataclass(frozen=True, slots=True)
class Attachments:
    """What ledger and runtime say of the node's pods.

    has_ledger: there is one of this boot. pods: sandbox ids that the runtime runs, None when it
    could not be asked; told_by: who said so, or why nobody did. mode: "bridge", "transparent",
    "kubenet", "" for a node without pods of ours. conflist: path and text of what the runtime uses.
    """

    has_ledger: bool = False
    mode: str = ""
    bridge: str = "azure0"
    leases: tuple[Lease, ...] = ()
    addresses: tuple[AddressState, ...] = ()
    pools: tuple[Pool, ...] = ()
    pods: tuple[str, ...] | None = None
    told_by: str = "nobody was asked"
    kept: tuple[KeptResult, ...] = ()
    conflist: tuple[str, str] = ("", "")
    own: tuple[str, ...] = ()
    """Container ids that `podwire cni add` attached."""
    inhabited: tuple[int, ...] = ()
    """Inodes of the network namespaces in which processes live."""
    abandoned: tuple[int, ...] = ()
    """Ids of the leases whose call died in the middle of its work."""
    reserved: tuple[Reserved, ...] = ()
    """Of nodes whose addresses host-local gives: kubenet's."""


@dataclass(frozen=True, slots=True)
class Node:
    """A machine, or a lab's node. space: the id of its own network namespace; pods: the ids of its
    pods' spaces, by address. cluster: "" outside of a lab and when no API server was asked.

    facts: kernel release, Podwire's version, agent and plugin versions, uptime, ...: name -> text.
    """

    name: str
    space: str
    pods: tuple[str, ...] = ()
    attachments: Attachments = field(default_factory=Attachments)
    cluster: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plugged:
    """A NIC in its VNet. node: the name of the node that has it, "" for another machine's;
    port: the fabric's end of its cable."""

    nic: Nic
    node: str = ""
    port: str = ""


@dataclass(frozen=True, slots=True)
class Balancer:
    """A load balancer. healthy: "RULE BACKEND" of those whose probe succeeds."""

    balancer: LoadBalancer
    healthy: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VirtualNetwork:
    """A lab's VNet. space: the id of its fabric's. drops: packets that the fabric dropped, by
    cause ("spoofed", "spoofed_arp", "unowned", "denied"). outbound: a way to the machine's net."""

    vnet: VNet
    space: str
    nics: tuple[Plugged, ...] = ()
    balancers: tuple[Balancer, ...] = ()
    drops: Mapping[str, int] = field(default_factory=dict)
    outbound: bool = False


@dataclass(frozen=True, slots=True)
class Snapshot:
    """taken: Unix time of its begin; took: seconds. lab: the lab's name, "" for a machine's own.

    changed: what became different while it was taken, in words: then parts may not fit together.
    """

    taken: float
    took: float
    lab: str = ""
    nodes: tuple[Node, ...] = ()
    spaces: tuple[Space, ...] = ()
    clusters: tuple[Cluster, ...] = ()
    vnets: tuple[VirtualNetwork, ...] = ()
    changed: tuple[str, ...] = ()
    version: int = VERSION

    def space(self, id: str) -> Space | None:  # noqa: A002  what it is called everywhere
        return next((one for one in self.spaces if one.id == id), None)

    def node(self, name: str) -> Node | None:
        return next((one for one in self.nodes if one.name == name), None)


OF = "@"
"""Before the cluster's name, where a name alone does not tell: of pods' spaces, and of people's
words."""


def pod_of(space_id: str, cluster: str) -> str:
    """The id of a pod's space where another cluster has a pod of that name, too."""
    return f"{space_id}{OF}{cluster}"


def spaces_of(lease: Lease, node: Node) -> tuple[str, ...]:
    """The ids that the space of a lease's pod may have."""
    named = f"pod/{lease.pod_namespace}/{lease.pod_name}"
    return pod_of(named, node.cluster), named, f"pod/{lease.container_id}"
