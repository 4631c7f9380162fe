"""Peered VNets: a link between two fabrics, there while each of the two VNets has a peering.

What passes it decide the two fabrics, each for its side. A packet goes one link far and no further:
what comes from a peer is for the VNet itself, so that peering is not transitive.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations

from podwire.kernel import wire
from podwire.model.peering import connect_peerings
from podwire.model.vnet import FABRIC_MAC, VNet
from podwire.model.wiring import Element, Neighbour, Veth, Wiring
from podwire.vnet.fabric import Fabric
from podwire.vnet.segments import FABRIC, FAR, TABLE, TRUSTED
from podwire.vnet.steering import NEXT_FABRIC

_MTU = 9000
"""More than any NIC has."""


def join(fabrics: Iterable[Fabric], changed: Iterable[VNet] = ()) -> None:
    """Make every fabric, and the links between them, be as their VNets' peerings say.

    fabrics: all that are running; changed: new values of some of their VNets. Call it after a
    fabric has come or gone, and in place of `Fabric.update` when there are peerings. Raises
    InvalidInputError when the address spaces of two peered VNets overlap, or as `Fabric.update`
    does, and nothing has changed then; KernelError when the kernel refuses.
    """
    running = {one.vnet.key: one for one in fabrics}
    values = {key: one.vnet for key, one in running.items()} | {one.key: one for one in changed}
    vnets = connect_peerings(values[key] for key in running)
    wanted = {frozenset(pair) for pair in _connected(vnets.values())}
    for key, fabric in running.items():
        fabric.check(vnets[key])
    for key, fabric in running.items():
        fabric.update(vnets[key])
        for other in [one for one in fabric.peers if {one, key} not in wanted]:
            fabric.unlink(other)
    for one, other in combinations(running, 2):
        if {one, other} in wanted:
            _link(running[one], running[other])


def _connected(vnets: Iterable[VNet]) -> Iterator[tuple[str, str]]:
    for vnet in vnets:
        yield from ((vnet.key, one.remote.lower()) for one in vnet.peerings if one.connected)


def _link(near: Fabric, far: Fabric) -> None:
    """Each side knows the link before it lets anything in from there."""
    if far.vnet.key in near.peers and near.vnet.key in far.peers:
        return
    near.unlink(far.vnet.key)  # to a fabric of that VNet that is gone
    far.unlink(near.vnet.key)
    here, there = near.free_link("peer"), far.free_link("peer")
    cable = Veth(FABRIC, here, FAR, there, FABRIC_MAC, FABRIC_MAC, _MTU)
    wire.realise(Wiring((cable,)), {FABRIC: near.namespace, FAR: far.namespace})
    near.link(far.vnet.key, here, peer_wiring(here))
    far.link(near.vnet.key, there, peer_wiring(there))


def peer_wiring(link: str) -> Wiring:
    """What one fabric holds of a link to another, besides the cable and the routes."""
    return Wiring(
        (
            Neighbour(FABRIC, link, NEXT_FABRIC, FABRIC_MAC),
            Element(FABRIC, "ip", TABLE, TRUSTED, link),
        )
    )
