"""What a node of kubenet has that no ledger tells of: its bridge's address, its pods' ports, the
rule that masquerades, host-local's files, and the VNet's route to its range. Pure.

None of it is this product's: the reference plugins, the node's keeper and the cloud's route
controller made it, so each finding has a command and `--fix` touches nothing. Whether cbr0 is
promiscuous is not looked at: ports are in hairpin mode, and the keeper sees to it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_network
from typing import Any

from podwire.lens.doctor.catalog import found
from podwire.lens.doctor.room import kube_node
from podwire.lens.doctor.values import Finding
from podwire.lens.kube_chains import SNAT
from podwire.lens.kube_values import KubeNode
from podwire.lens.snapshot import MAIN, Link, Node, Plugged, Snapshot, Space, VirtualNetwork
from podwire.model.effective_routes import USER_SOURCE, EffectiveRoute, effective_routes, route_to
from podwire.model.route_table import NextHop
from podwire.model.vnet import Subnet

YOUNG = 60.0
"""Seconds: host-local's file of an ADD that is under way is older than what the runtime lists."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the node's conflist says. subnet: its range, whose first address is the bridge's."""

    bridge: str
    subnet: IPv4Network
    hairpin: bool

    @property
    def gateway(self) -> str:
        return f"{self.subnet[1]}/{self.subnet.prefixlen}"


def findings(snapshot: Snapshot, node: Node) -> Iterator[Finding]:
    space = snapshot.space(node.space)
    if node.attachments.mode != "kubenet" or space is None:
        return
    plan = _plan(node)
    bridge = space.link(plan.bridge) if plan else None
    if plan is not None and bridge is not None and bridge.up:
        yield from _of_bridge(space, node, plan)
        yield from _ports(snapshot, space, node, plan)
    yield from _masquerade(snapshot, space, node)
    yield from _reserved(node)
    yield from _routed(snapshot, node)


def _plan(node: Node) -> Plan | None:
    with suppress(ValueError, LookupError, TypeError):
        first: dict[str, Any] = json.loads(node.attachments.conflist[1])["plugins"][0]
        subnet = IPv4Network(first["ipam"]["subnet"])
        return Plan(node.attachments.bridge, subnet, bool(first.get("hairpinMode")))
    return None


def _wiring(thing: str, evidence: str, remedy: str, node: Node) -> Finding:
    return found("kubenet-wiring", thing, evidence, remedy, node=node.name)


def _of_bridge(space: Space, node: Node, plan: Plan) -> Iterator[Finding]:
    """Its address goes first: the kernel makes the route with it."""
    if {"addresses", "routes"} & set(space.unread):
        return
    thing, gateway = f"link {space.id} {plan.bridge}", plan.gateway
    if (plan.bridge, gateway) not in {(one.link, one.cidr) for one in space.addresses}:
        evidence = f"{plan.bridge} has not {gateway}, the gateway of the node's pods"
        yield _wiring(thing, evidence, f"ip addr add {gateway} dev {plan.bridge}", node)
        return
    mine = (one for one in space.routes if (one.link, one.table) == (plan.bridge, MAIN))
    if str(plan.subnet) not in {one.dst for one in mine}:
        route = f"{plan.subnet} dev {plan.bridge}"
        remedy = f"ip route add {route} src {plan.subnet[1]}"
        yield _wiring(thing, f"the node has no route {route}", remedy, node)


def _ports(snapshot: Snapshot, space: Space, node: Node, plan: Plan) -> Iterator[Finding]:
    for name in node.pods:
        port = _port(snapshot.space(name), space)
        if port is None:
            continue
        thing, hairpin = f"link {space.id} {port.name}", ""
        if plan.hairpin:
            hairpin = f"bridge link set dev {port.name} hairpin on"
        whose = f"{port.name} of {name.replace('/', ' ', 1)}"
        if port.master != plan.bridge:
            remedy = f"ip link set {port.name} master {plan.bridge}"
            remedy += f" && {hairpin}" if hairpin else ""
            yield _wiring(thing, f"{whose} is no port of {plan.bridge}", remedy, node)
        elif hairpin and not port.hairpin:
            evidence = f"hairpin mode of {whose} is off: no service leads the pod to itself"
            yield _wiring(thing, evidence, hairpin, node)


def _port(pod: Space | None, space: Space) -> Link | None:
    """The host's end of the pod's link."""
    for one in pod.links if pod else ():
        if one.peer and one.peer[0] == space.id:
            return space.link(one.peer[1])
    return None


def _masquerade(snapshot: Snapshot, space: Space, node: Node) -> Iterator[Finding]:
    cluster = next((one for one in snapshot.clusters if one.name == node.cluster), None)
    tables = [one for one in space.iptables if (one.family, one.name) == (4, "nat")]
    if cluster is None or not cluster.pod_cidr or not tables:
        return
    rules = (rule.text for one in tables for chain in one.chains for rule in chain.rules)
    if not any(SNAT in one for one in rules):
        yield _wiring(
            f"space {space.id}",
            f'POSTROUTING lacks the rule "{SNAT}"; who should bring it back within 5 s is '
            "kubenet-keeper, on the node",
            f"iptables -t nat -A POSTROUTING ! -d {cluster.pod_cidr} -m addrtype ! --dst-type LOCAL"
            f" -m comment --comment '{SNAT}' -j MASQUERADE",
            node,
        )


def _reserved(node: Node) -> Iterator[Finding]:
    """Of containers that the runtime does not know."""
    known = node.attachments.pods
    for one in node.attachments.reserved if known is not None else ():
        if one.container_id not in (known or ()) and one.age > YOUNG:
            yield found(
                "lease-leaked",
                f"node {node.name}",
                f"{one.address}: host-local holds it for container {one.container_id[:12]}, which "
                f"{node.attachments.told_by} does not know",
                f"rm {one.path}",
                node=node.name,
            )


def _routed(snapshot: Snapshot, node: Node) -> Iterator[Finding]:
    """As the VNet's effective routes lead from another node's NIC, or from its own. Other clusters'
    subnets need no routes to it."""
    known = kube_node(node, snapshot)
    if known is None or not known.pod_cidr:
        return
    mates = {one.name for one in snapshot.nodes if one.cluster == node.cluster}
    for vnet in snapshot.vnets:
        nics = {one.node: one for one in vnet.nics if one.node in mates}
        mine = nics.get(node.name)
        if mine is not None:
            others = [one for name, one in nics.items() if name != node.name]
            yield from _leads_to(known, mine, next(iter(others), mine), vnet, node)


def _leads_to(
    known: KubeNode, mine: Plugged, other: Plugged, vnet: VirtualNetwork, node: Node
) -> Iterator[Finding]:
    cidr, address = known.pod_cidr, mine.nic.primary
    taken = route_to(str(ip_network(cidr)[2]), effective_routes(other.nic, vnet.vnet))
    subnet = vnet.vnet.subnet_of(other.nic) or other.nic.subnet
    if (taken.next_hop_type, taken.next_hop_ip) != (NextHop.VIRTUAL_APPLIANCE, address):
        hop = f"{taken.prefix} {taken.next_hop_type} {taken.next_hop_ip}".rstrip()
        yield found(
            "pod-range-unrouted",
            f"subnet {vnet.vnet.key} {subnet.name}",
            f"{cidr}, the range of {node.name}, is led by {hop}, not to {address}",
            _rerouted(taken, subnet, known, address),
            node=node.name,
        )
    if not mine.nic.ip_forwarding:
        yield found(
            "pod-range-unrouted",
            f"nic {mine.nic.name}",
            f"IP forwarding of NIC {mine.nic.name} is off: the fabric drops what its pods send, "
            "and what is for them",
            f"az network nic update -g {_group('nic', mine.nic.name)} -n {mine.nic.name} "
            "--ip-forwarding true",
            node=node.name,
        )


def _rerouted(taken: EffectiveRoute, subnet: Subnet, known: KubeNode, address: str) -> str:
    """A user's route that is narrower than the range has to go; of the same prefix it is mended."""
    if subnet.route_table is None:
        return f"give subnet {subnet.name} a route table that leads {known.pod_cidr} to {address}"
    table = subnet.route_table.name
    words = f"-g {_group('route-table', table)} --route-table-name {table}"
    is_users = taken.source == USER_SOURCE
    if is_users and taken.network.prefixlen > ip_network(known.pod_cidr).prefixlen:
        return f"az network route-table route delete {words} -n {taken.name}"
    verb, name = "create", known.name
    if is_users and taken.prefix == known.pod_cidr:
        verb, name = "update", taken.name
    return (
        f"az network route-table route {verb} {words} -n {name} --address-prefix {known.pod_cidr} "
        f"--next-hop-type VirtualAppliance --next-hop-ip-address {address}"
    )


def _group(kind: str, name: str) -> str:
    """A snapshot does not have it; the shell asks."""
    return f"$(az network {kind} list --query \"[?name=='{name}'].resourceGroup\" -o tsv)"
