"""What a node and its pods should have in the kernel, from a snapshot: the plugins' own wirings of
the leases, for a card that is known by what the ledger's source and the kernel say of it.

Pure. Must not compare: `wiring` does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from podwire.cni import pods
from podwire.cni.modes import DEFAULT_BRIDGE, MODES
from podwire.cni.node import Node as WiredNode
from podwire.ipam.lease import ATTACHED, Lease, Pool
from podwire.lens.doctor.seen import members
from podwire.lens.snapshot import MAIN, Link, Node, Snapshot, Space, spaces_of
from podwire.model.bridge_mode import DEFAULT_ROUTE, TABLE_FAMILY, TABLE_NAME, Uplink
from podwire.model.dual_stack import DEFAULT_ROUTE6
from podwire.model.wiring import Wiring

_PLUGIN = "azure-vnet"
_POD_LINKS = "azv"


@dataclass(frozen=True, slots=True)
class Host:
    """A node whose pods this product wires. node: as the plugins have it."""

    seen: Node
    space: Space
    card: Link
    node: WiredNode


def host(snapshot: Snapshot, node: Node) -> Host | None:
    """None: its pods are not ours, nothing was wired yet, it moves to another mode just now, or
    its card or its links cannot be told."""
    mode = MODES.get(node.attachments.mode)
    space = snapshot.space(node.space)
    if mode is None or space is None or "links" in space.unread or not node.attachments.has_ledger:
        return None
    pool = next((one for one in node.attachments.pools if ":" not in one.subnet), None)
    bridge = _bridge(node) if mode.bridged else ""
    card = _card(space, pool, bridge)
    if card is None:
        return None
    uplink = _uplink(node, space, card, pool, bridge)
    if not uplink.addresses or not uplink.gateway:
        return None
    wiring = mode.node_wiring(uplink, bridge, _host_routed(node))
    return Host(node, space, card, WiredNode(uplink, bridge, wiring))


def leases(node: Node) -> Iterator[Lease]:
    """Those whose pod's network shall be whole: no call works on them, and it is of this plugin."""
    for one in node.attachments.leases:
        if one.state == ATTACHED and one.address and one.host_link:
            yield one


def of_lease(lease: Lease, here: Host) -> Wiring:
    """What the lease's pod shall have. Of one that only the kernel told of: the host's part."""
    return pods.wiring_of(lease, here.node) if lease.container_id else pods.host_objects(lease)


def space_of(lease: Lease, node: Node, snapshot: Snapshot) -> Space | None:
    """The pod's: where its link leads, else the one that has its name."""
    mine = snapshot.space(node.space)
    link = mine.link(lease.host_link) if mine else None
    if link and link.peer:
        return snapshot.space(link.peer[0])
    ids = (one for one in spaces_of(lease, node) if one in node.pods)
    return next((snapshot.space(one) for one in ids), None)


def plugin(node: Node) -> dict[str, Any]:
    """The plugin's object in the configuration that the runtime takes, {} without one."""
    with suppress(ValueError, LookupError, TypeError):
        for one in json.loads(node.attachments.conflist[1])["plugins"]:
            if one["type"] == _PLUGIN:
                return dict(one)
    return {}


def _host_routed(node: Node) -> tuple[str, ...]:
    return tuple(str(one) for one in plugin(node).get("ipsToRouteViaHost") or ())


def _bridge(node: Node) -> str:
    """A lease tells it; without one the configuration does."""
    if any(one.bridge for one in node.attachments.leases):
        return node.attachments.bridge
    return str(plugin(node).get("bridge") or node.attachments.bridge or DEFAULT_BRIDGE)


def _card(space: Space, pool: Pool | None, bridge: str) -> Link | None:
    """By the MAC that the source told, else the bridge's port that is no pod's, else the one with
    the default route."""
    nics = [
        one
        for one in space.links
        if one.kind != "bridge" and one.ifindex != 1 and not one.name.startswith(_POD_LINKS)
    ]
    if pool and pool.mac:
        return next((one for one in nics if one.mac == pool.mac), None)
    ports = [one for one in nics if bridge and one.master == bridge]
    routed = {one.link for one in space.routes if one.dst == DEFAULT_ROUTE}
    return next(iter(ports or [one for one in nics if one.name in routed]), None)


def _uplink(node: Node, space: Space, card: Link, pool: Pool | None, bridge: str) -> Uplink:
    four, six = _addresses(space, (bridge, card.name))
    own = set(members(space, TABLE_FAMILY, TABLE_NAME, "node_ip"))
    four = [one for one in four if one.partition("/")[0] in own] or four
    if pool and pool.primary and pool.primary not in {one.partition("/")[0] for one in four}:
        four.append(f"{pool.primary}/{pool.subnet.partition('/')[2]}")
    both = any(one.address6 for one in node.attachments.leases)
    return Uplink(
        card.name,
        card.mac,
        card.mtu,
        tuple(four),
        _gateway(space, DEFAULT_ROUTE, (bridge, card.name)) or (pool.gateway if pool else ""),
        tuple(six),
        _gateway(space, DEFAULT_ROUTE6, (bridge, card.name)),
        dual_stack=both,
        advertised=bool(six) and _takes_advertisements(space, card.name),
    )


def _addresses(space: Space, links: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Those of global scope, each once, the bridge's first: IPv4, IPv6."""
    mine = [
        one.cidr
        for link in links
        for one in space.addresses
        if one.link == link and one.scope == "global"
    ]
    found = list(dict.fromkeys(mine))
    return [one for one in found if ":" not in one], [one for one in found if ":" in one]


def _gateway(space: Space, dst: str, links: tuple[str, ...]) -> str:
    found = (one for one in space.routes if one.dst == dst and one.table == MAIN)
    return next((one.via for one in found if one.via and one.link in links), "")


def _takes_advertisements(space: Space, link: str) -> bool:
    return space.sysctls.get(f"net.ipv6.conf.{link.replace('.', '/')}.accept_ra") in ("1", "2")
