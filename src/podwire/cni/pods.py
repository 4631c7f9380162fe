"""One pod's network and its lease, together: made, removed, and what a dead call left recovered.

The order is the promise that nothing leaks: a lease is in the ledger before the first kernel
object and until after the last one.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, replace
from functools import partial
from typing import Any

from podwire.cni import modes
from podwire.cni.addresses import NEEDS_LINK, give_back
from podwire.cni.log import Log
from podwire.cni.narrate import Narrator
from podwire.cni.node import Node, telling
from podwire.ipam.lease import ATTACHED, OWN_IPAM, RELEASING, Holder, Lease
from podwire.ipam.ledger import Ledger
from podwire.kernel.netns import NetNamespace
from podwire.kernel.wire import cut, observe, realise, unwire
from podwire.model.bridge_mode import (
    HOST,
    POD,
    PodNetwork,
    Uplink,
    endpoint_id,
    host_veth_name,
)
from podwire.model.cni import Request
from podwire.model.errors import PodwireError
from podwire.model.wiring import BridgePort, KernelObject, Route, Veth, Wiring, diff

Places = Mapping[str, NetNamespace]

_PAUSE = 0.003
"""Seconds between two looks at what others are about to finish; a link takes them 20 ms."""
_ANY_UPLINK = Uplink("", "", 1500, (), "")
"""A pod's objects are told apart by names that do not depend on the card."""


def wiring_of(lease: Lease, node: Node) -> Wiring:
    """What the lease's pod has in the kernel."""
    return modes.of_lease(lease).pod_wiring(node.uplink, node.bridge, network(lease))


def wire(ledger: Ledger, lease: Lease, wiring: Wiring, places: Places, log: Log) -> None:
    """Make a pending lease's network and mark it attached. Raises PodwireError; then undo."""
    log.write(modes.of_lease(lease).client)
    log.flush()
    narrator = Narrator(wiring, netns=lease.netns, endpoint=_endpoint(lease))
    realise(wiring, places, told=telling(log, narrator))
    for line in narrator.made():
        log.write(line)
    ledger.attach(lease)


def wire_link(holder: Holder, node: Node, places: Places) -> None:
    """The pod's link alone, on the bridge, before the pod has an address."""
    link, mtu = holder.host_link, node.uplink.mtu
    pair = Veth(HOST, link, POD, holder.ifname, peer_mac=holder.mac, mtu=mtu)
    realise(Wiring.of([pair, BridgePort(HOST, link, node.bridge, hairpin=True)]), places)


def remove(
    ledger: Ledger,
    lease: Lease,
    request: Request,
    host: NetNamespace,
    log: Log,
    later: Callable[[Callable[[], None]], None] | None = None,
    waiting: Callable[[], bool] = lambda: True,
) -> bool:
    """Remove the lease's network, give back its address, free it. False: another call does.

    later: takes what is left to do when nothing of the pod's network is to be seen any more: to
    wait for the kernel, and then to free the address; None: all of it now. waiting: whether the
    caller still wants it when it begins. Raises PodwireError when something cannot be removed; the
    lease then stays, and with the end of this thread any later call tries again.
    """
    claimed = ledger.begin_release(lease, waiting)
    if claimed is None:
        return False
    wiring = _doomed(ledger, claimed)
    for line in _told(claimed, wiring):
        log.write(line)
    if later is None or claimed.ipam != OWN_IPAM:
        unwire(wiring, {HOST: host})
        give_back(claimed, request)
        ledger.free(claimed)
    else:
        done = cut(wiring, {HOST: host})

        def finish() -> None:
            done()
            ledger.free(claimed)

        later(finish)
    log.write(f"[cni] Plugin {claimed.ipam} returned err:<nil>.")
    return True


def _doomed(ledger: Ledger, lease: Lease) -> Wiring:
    """What of the lease's pod there may be in the kernel."""
    wired = lease.address and (lease.host_link or lease.mac)
    if wired and not _link_is_anothers(ledger, lease):
        return _removal(lease)
    if lease.bridge and lease.ipam in NEEDS_LINK:  # its plugin gave no address
        return Wiring.of([Veth(HOST, lease.host_link, POD, lease.ifname)])
    return Wiring()


def _told(lease: Lease, wiring: Wiring) -> Iterator[str]:
    """The log's lines of a removal, the link last: the pod's own objects go with it."""
    narrator = Narrator(wiring, endpoint=_endpoint(lease))
    for one in sorted(wiring, key=lambda one: isinstance(one, Veth)):
        yield from narrator.removing(one)
    yield f"Releasing ipv4 address :{lease.address} pool: {lease.subnet}"
    if lease.address6:
        yield f"Releasing ipv6 address :{lease.address6} pool: {lease.subnet6}"
    yield f"[cni] Calling plugin {lease.ipam} DEL."


def restore(ledger: Ledger, host: NetNamespace, log: Log) -> None:
    """Make again what pods that are there had on the host, after a repair of the node took it."""
    places = {HOST: host}
    for lease in ledger.leases():
        if lease.state == RELEASING or lease.abandoned or not has_link(lease):
            continue
        if _link_is_anothers(ledger, lease):
            continue
        wiring = host_objects(lease)
        if not diff(wiring, observe(wiring, places)):
            continue
        log.write(f"[net] Restoring endpoint {_endpoint(lease)} of {lease.address}.")
        try:
            ledger.while_held(lease, partial(realise, wiring, places))
        except PodwireError as error:  # its own CHECK tells; this call's pod must not suffer
            log.write(f"[net] Cannot restore endpoint {_endpoint(lease)}: {error}")


def _link_is_anothers(ledger: Ledger, lease: Lease) -> bool:
    """Whether the lease has nothing in the kernel yet: a routed pod that was made again under its
    name has its predecessor's link's name until it is given its own, just before it is wired."""
    return not lease.bridge and any(one.id < lease.id for one in ledger.of_link(lease.host_link))


def has_link(lease: Lease) -> bool:
    """Whether the lease's pod is there: its link goes with its namespace."""
    return bool(lease.host_link) and _link_exists(lease.host_link)


def host_wiring(lease: Lease) -> Wiring:
    """The host's side of what the lease's pod has in the kernel."""
    return Wiring.of(one for one in _removal(lease) if one.place == HOST)


def host_objects(lease: Lease) -> Wiring:
    """The same without its link."""
    return Wiring.of(one for one in host_wiring(lease) if not isinstance(one, Veth))


def pod_routes(lease: Lease) -> list[Route]:
    """Those that the lease's pod was given."""
    return [one for one in _removal(lease) if isinstance(one, Route) and one.place == POD]


def unwire_link(name: str, ifname: str, host: NetNamespace) -> None:
    """Remove a pod's link that no lease tells of, if it is there."""
    unwire(Wiring.of([Veth(HOST, name, POD, ifname)]), {HOST: host})


def recover(
    ledger: Ledger,
    request: Request,
    host: NetNamespace,
    log: Log,
    unfinished: Iterable[Lease] | None = None,
) -> None:
    """Undo what calls that were killed in the middle of their work left.

    unfinished: the leases that calls work on, when they are known.
    """
    found = ledger.unfinished() if unfinished is None else unfinished
    for lease in (one for one in found if one.abandoned):
        log.write(
            f"[cni-net] Recovering {lease.state} endpoint {_endpoint(lease)} of "
            f"{lease.address or 'no address'}: process {lease.owner_pid} is gone."
        )
        _remove_quietly(ledger, lease, request, host, log)


def reclaim(ledger: Ledger, request: Request, host: NetNamespace, log: Log) -> int:
    """Free what pods that are gone still hold, though no DEL came. Returns how many."""
    gone = [one for one in ledger.leases() if one.state == ATTACHED and _is_gone(one)]
    for lease in gone:
        log.write(f"[cni-net] Reclaiming {lease.address} of {_endpoint(lease)}: its pod is gone.")
    return sum(_remove_quietly(ledger, one, request, host, log) for one in gone)


def await_release(ledger: Ledger, seconds: float, container_id: str = "") -> bool:
    """Whether an address, or what the container had, was freed by others at work on it now."""
    before = _releasing(ledger, container_id)
    deadline = time.monotonic() + seconds
    while before and time.monotonic() < deadline:
        time.sleep(_PAUSE)
        if before - _releasing(ledger, container_id):
            return True
    return False


def _releasing(ledger: Ledger, container_id: str) -> set[int]:
    return {
        one.id
        for one in ledger.unfinished()
        if one.state == RELEASING and not one.abandoned and container_id in ("", one.container_id)
    }


def is_leaked(lease: Lease) -> bool:
    """Whether nobody can use or give back what it holds: its pod is gone, or its call died."""
    return lease.abandoned or (lease.state == ATTACHED and _is_gone(lease))


def _is_gone(lease: Lease) -> bool:
    """A veth goes with its pod's namespace; without one of ours, the namespace's path tells."""
    if lease.host_link:
        return not _link_exists(lease.host_link)
    return not lease.container_id or bool(lease.netns and not os.path.exists(lease.netns))


def _link_exists(name: str) -> bool:
    try:
        socket.if_nametoindex(name)
    except OSError:
        return False
    return True


def _remove_quietly(
    ledger: Ledger, lease: Lease, request: Request, host: NetNamespace, log: Log
) -> bool:
    """Another pod's leftovers must not fail this call."""
    try:
        return remove(ledger, lease, request, host, log)
    except PodwireError as error:
        log.write(f"[cni-net] Cannot remove {_endpoint(lease)} yet: {error}")
        return False


def _removal(lease: Lease) -> Wiring:
    wiring = modes.of_lease(lease).pod_wiring(_ANY_UPLINK, lease.bridge, network(lease))
    if lease.container_id:
        return wiring
    # Only the kernel told of this one: its link's name cannot be derived, but it is known.
    derived = host_veth_name(lease.network, lease.container_id, lease.ifname)
    renamed = (_renamed(one, derived, lease.host_link) for one in wiring)
    return Wiring.of(one for one in renamed if one is not None)


def _renamed(one: KernelObject, old: str, new: str) -> KernelObject | None:
    """The same object of another link; None when there is no such link."""
    values = {field.name: getattr(one, field.name) for field in fields(one)}
    named = {name: text for name, text in values.items() if isinstance(text, str) and old in text}
    if named and not new:
        return None
    changed: dict[str, Any] = {name: text.replace(old, new) for name, text in named.items()}
    return replace(one, **changed)


def network(lease: Lease) -> PodNetwork:
    """The lease as a mode's functions want it."""
    return PodNetwork(
        container_id=lease.container_id,
        network_id=lease.network,
        ifname=lease.ifname,
        cidr=lease.cidr,
        gateway=lease.gateway,
        mac=lease.mac,
        host_link=lease.host_link,
        cidr6=lease.cidr6,
    )


def _endpoint(lease: Lease) -> str:
    return endpoint_id(lease.container_id, lease.ifname) if lease.container_id else "unknown"
