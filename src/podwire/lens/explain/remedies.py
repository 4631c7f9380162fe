"""The commands that give a namespace back the address and the route it should have. Pure.

What it should have is its mode's: model.bridge_mode, model.transparent_mode, and of kubenet the
reference plugins' bridge.
"""

from __future__ import annotations

from podwire.lens.explain.world import Stack, World
from podwire.lens.snapshot import Node
from podwire.model.transparent_mode import NEXT_HOP


def address(world: World, stack: Stack, ip: str, link: str) -> str:
    """For a pod that has not its address."""
    return f"ip address add {ip}/{_prefix_length(world, stack.node, ip)} dev {link}"


def default_route(world: World, stack: Stack) -> str:
    """For a pod or a node; "" when nothing tells its gateway."""
    node = stack.node
    if node is None:
        return ""
    if stack.space.kind == "pod" and node.attachments.mode == "transparent":
        link_route = f"ip route replace {NEXT_HOP} dev eth0 scope link"
        return f"sh -c '{link_route} && ip route replace default via {NEXT_HOP} dev eth0'"
    is_pod = stack.space.kind == "pod"
    gateway = _of_pod(world, stack, node) if is_pod else _of_node(world, node)
    link = "eth0" if is_pod or node.attachments.mode != "bridge" else node.attachments.bridge
    return f"ip route replace default via {gateway} dev {link}" if gateway else ""


def _of_pod(world: World, stack: Stack, node: Node) -> str:
    for lease in node.attachments.leases:
        if lease.gateway and world.meant(lease.address) == stack.id:
            return lease.gateway
    return _bridge(world, node).partition("/")[0]


def _of_node(world: World, node: Node) -> str:
    for vnet in world.snapshot.vnets:
        for one in vnet.nics:
            if one.node == node.name:
                return one.nic.subnet.gateway
    return next((one.gateway for one in node.attachments.pools), "")


def _prefix_length(world: World, node: Node | None, ip: str) -> str:
    if node is None or node.attachments.mode == "transparent":
        return "32"
    leases = (one.cidr for one in node.attachments.leases if one.address == ip)
    return next(leases, _bridge(world, node)).partition("/")[2] or "24"


def _bridge(world: World, node: Node) -> str:
    """The address of the bridge that pods are ports of, with its prefix length."""
    host, name = world.stack(node.space), node.attachments.bridge
    addresses = host.space.addresses if host else ()
    return next((one.cidr for one in addresses if one.link == name and "." in one.cidr), "")
