"""Which port of a bridge a frame leaves by, and whether it may.

Sources: net/bridge/br_input.c (br_handle_frame_finish), br_forward.c (should_deliver), br_fdb.c.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from podwire.lens.explain.skb import BROADCAST, Skb
from podwire.lens.explain.values import Entry
from podwire.lens.explain.world import Stack, World
from podwire.lens.snapshot import Link

FORWARDING = ("", "forwarding")


@dataclass(frozen=True, slots=True)
class Way:
    """up: to the bridge itself; ports: by those, more than one when several would answer."""

    up: bool = False
    ports: tuple[Link, ...] = ()
    entry: Entry | None = None
    flooded: bool = False


def way_of(world: World, stack: Stack, bridge: str, skb: Skb, arrived: str) -> Way:
    """arrived: the port by which the frame came, "" when the bridge itself sends it."""
    own = {stack.links[bridge].mac, *(one.mac for one in stack.ports(bridge))}
    if skb.dmac == BROADCAST:
        return _asked(world, stack, bridge, skb, arrived)
    if arrived and (skb.dmac in own):
        return Way(up=True)
    port = stack.links.get(stack.fdb.get((bridge, skb.dmac), ""))
    if port is not None and port.master == bridge:
        return Way(ports=(port,), entry=fdb_entry(stack, bridge, skb.dmac, port.name))
    return _flooded(world, stack, bridge, skb, arrived)


def fdb_entry(stack: Stack, bridge: str, mac: str, port: str) -> Entry:
    text = f"{mac} dev {port} master {bridge}"
    return Entry("fdb", text, stack.link_object(port), f"bridge fdb show br {bridge}")


def _asked(world: World, stack: Stack, bridge: str, skb: Skb, arrived: str) -> Way:
    """An ARP request is flooded; what counts is who answers."""
    asked = skb.arp.target_ip if skb.arp else skb.dst
    if arrived and asked in stack.local:
        return Way(up=True)
    return _toward(world, stack, bridge, asked, arrived)


def _flooded(world: World, stack: Stack, bridge: str, skb: Skb, arrived: str) -> Way:
    """A MAC that was not learned: every port gets the frame, its owner takes it."""
    far = [port for port, _, link in world.far_ends(stack, bridge) if link.mac == skb.dmac]
    if far:
        return Way(ports=tuple(far), flooded=True)
    return _toward(world, stack, bridge, skb.dst, arrived)


def _toward(world: World, stack: Stack, bridge: str, address: str, arrived: str) -> Way:
    having = [
        port
        for port, far, _ in world.far_ends(stack, bridge)
        if address in far.local and port.name != arrived
    ]
    if having:
        return Way(ports=tuple(having), flooded=True)
    meant = world.meant(address)
    pods = [port for port, far, _ in world.far_ends(stack, bridge) if far.id == meant]
    return Way(ports=tuple(pods or uplinks(world, stack, bridge)), flooded=True)


def uplinks(world: World, stack: Stack, bridge: str) -> Iterator[Link]:
    """Ports that lead out of the node: to a fabric, or out of the snapshot."""
    for port in stack.ports(bridge):
        far = world.stack(port.peer[0]) if port.peer else None
        outside = far is None and not port.name.startswith(("azv", "veth"))
        if outside or (far is not None and far.space.kind == "fabric"):
            yield port
