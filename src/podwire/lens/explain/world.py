"""A snapshot indexed for walking: each namespace's stack, who owns an address, which command shows.

Everything is looked up lazily, so that a thousand services cost what the one asked for does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network

from podwire.lens.commands import on_node
from podwire.lens.kube_values import KubeNode, Pod, Service
from podwire.lens.snapshot import (
    IptablesChain,
    Link,
    Node,
    Route,
    Snapshot,
    Space,
    VirtualNetwork,
    spaces_of,
)


class Stack:
    """One namespace's network stack. label: how people call it; node: where it is, or None."""

    def __init__(self, space: Space, label: str, node: Node | None) -> None:
        self.space, self.label, self.node = space, label, node
        self.id = space.id

    @cached_property
    def links(self) -> Mapping[str, Link]:
        return {one.name: one for one in self.space.links}

    @cached_property
    def local(self) -> Mapping[str, str]:
        """IPv4 address -> the link that has it."""
        return {one.ip: one.link for one in self.space.addresses if ":" not in one.cidr}

    @cached_property
    def tables(self) -> Mapping[int, tuple[tuple[IPv4Network, Route], ...]]:
        """IPv4 routes by table, those of the longest prefix and lowest metric first."""
        found: dict[int, list[tuple[IPv4Network, Route]]] = {}
        for one in self.space.routes:
            if ":" not in one.dst:
                found.setdefault(one.table, []).append((IPv4Network(one.dst, strict=False), one))
        for routes in found.values():
            routes.sort(key=lambda pair: (-pair[0].prefixlen, pair[1].metric))
        return {table: tuple(routes) for table, routes in found.items()}

    @cached_property
    def chains(self) -> Mapping[str, Mapping[str, IptablesChain]]:
        """iptables' IPv4 tables: name -> chains by name."""
        return {
            one.name: {chain.name: chain for chain in one.chains}
            for one in self.space.iptables
            if one.family == 4
        }

    @cached_property
    def neighbours(self) -> Mapping[tuple[str, str], tuple[str, str]]:
        """(link, address) -> (MAC, state)."""
        return {
            (one.link, one.ip): (one.mac, one.state)
            for one in self.space.neighbours
            if not one.proxy
        }

    @cached_property
    def fdb(self) -> Mapping[tuple[str, str], str]:
        """(bridge, MAC) -> port, of what was learned or set."""
        return {(one.bridge, one.mac): one.port for one in self.space.fdb if not one.local}

    def ports(self, bridge: str) -> list[Link]:
        return [one for one in self.space.links if one.master == bridge]

    def sysctl(self, name: str, default: str = "0") -> str:
        return self.space.sysctls.get(name, default)

    def conf(self, link: str, name: str) -> int:
        """The larger one of conf/all's and the link's, as rp_filter and accept_local count."""
        every = self.sysctl(f"net.ipv4.conf.all.{name}")
        return max(int(every), int(self.sysctl(f"net.ipv4.conf.{link}.{name}")))

    def link_object(self, name: str) -> str:
        return f"link {self.id} {name}"


class World:
    """A snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._spaces = {one.id: one for one in snapshot.spaces}
        self._stacks: dict[str, Stack] = {}

    def stack(self, space_id: str) -> Stack | None:
        if space_id not in self._stacks and space_id in self._spaces:
            self._stacks[space_id] = self._made(self._spaces[space_id])
        return self._stacks.get(space_id)

    def _made(self, space: Space) -> Stack:
        node = self._homes.get(space.id)
        kind, _, name = space.id.partition("/")
        return Stack(space, f"{kind} {name}", node)

    @cached_property
    def _homes(self) -> Mapping[str, Node]:
        """Space -> the node that it is on."""
        nodes = self.snapshot.nodes
        found = {one: node for node in nodes for one in node.pods}
        return found | {node.space: node for node in nodes}

    @cached_property
    def pods(self) -> Mapping[str, Pod]:
        """By space, those that have one of their own."""
        every = (pod for one in self.snapshot.clusters for pod in one.pods)
        return {pod.space: pod for pod in every if pod.space and not pod.host_network}

    @cached_property
    def pod_addresses(self) -> Mapping[str, Pod]:
        """By the address that the API server says, those that have one of their own."""
        every = (pod for one in reversed(self.snapshot.clusters) for pod in one.pods)
        alive = (one for one in every if one.phase not in ("Succeeded", "Failed"))
        return {pod.address: pod for pod in alive if pod.address and not pod.host_network}

    @cached_property
    def owners(self) -> Mapping[str, tuple[str, ...]]:
        """IPv4 address -> the pods' and nodes' spaces that have it."""
        found: dict[str, list[str]] = {}
        for space in self.snapshot.spaces:
            if space.kind in ("pod", "node", "plane", "other"):
                for one in space.addresses:
                    address = one.ip
                    if not address.startswith("127."):
                        found.setdefault(address, []).append(space.id)
        return {address: tuple(dict.fromkeys(ids)) for address, ids in found.items()}

    def meant(self, address: str) -> str:
        """The space that should have the address, whether or not it has; "" for nobody's."""
        pod = self.pod_addresses.get(address)
        if pod is not None and pod.space:
            return pod.space
        return next(iter(self.owners.get(address, ())), "") or self._leased.get(address, "")

    @cached_property
    def _leased(self) -> Mapping[str, str]:
        """Of pods without an API server: what the ledger says."""
        names: dict[str, str] = {}
        for node in self.snapshot.nodes:
            for one in node.attachments.leases:
                for name in (n for n in spaces_of(one, node) if n in self._spaces):
                    names[one.address] = name
        return names

    def pod_range(self, address: str) -> KubeNode | None:
        """The node whose range of a pod CIDR has the address: kubenet's."""
        for cluster in self.snapshot.clusters:
            for one in cluster.nodes if cluster.pod_cidr else ():
                if one.pod_cidr and IPv4Address(address) in IPv4Network(one.pod_cidr):
                    return one
        return None

    def service_at(self, address: str) -> Service | None:
        for cluster in self.snapshot.clusters:
            for one in cluster.services:
                if address == one.cluster_ip or address in one.external:
                    return one
        return None

    def vnet_of(self, space_id: str) -> VirtualNetwork | None:
        return next((one for one in self.snapshot.vnets if one.space == space_id), None)

    def far_ends(self, stack: Stack, bridge: str) -> Iterator[tuple[Link, Stack, Link]]:
        """Of a bridge's ports: (port, the stack at its other end, the link there)."""
        for port in stack.ports(bridge):
            far = self.stack(port.peer[0]) if port.peer else None
            link = far.links.get(port.peer[1]) if far and port.peer else None
            if far is not None and link is not None:
                yield port, far, link

    def command(self, stack: Stack, command: str) -> str:
        """How to run a command in that namespace."""
        if stack.space.kind == "pod":
            command = f"nsenter --net={self._netns(stack)} {command}"
        elif stack.space.kind == "fabric":
            return f"{command}  # in the fabric's namespace"
        node = stack.node
        return on_node(self.snapshot.lab, node.name) + command if node else command

    def _netns(self, stack: Stack) -> str:
        for one in stack.node.attachments.leases if stack.node else ():
            if one.netns and stack.node and stack.id in spaces_of(one, stack.node):
                return one.netns
        own = {one.ip for one in stack.space.addresses}
        own |= {self.pods[stack.id].address} if stack.id in self.pods else set()
        for kept in stack.node.attachments.kept if stack.node else ():
            if kept.netns and own & set(kept.addresses) and kept.ifname in stack.links:
                return kept.netns
        name = stack.id.removeprefix("pod/")
        return f"/run/netns/NETNS-OF-{name.replace('/', '-')}"
