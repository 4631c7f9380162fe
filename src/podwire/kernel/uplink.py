"""Finding the node's NIC, also when its addresses have moved to its bridge already."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable

from podwire.kernel import sysctl
from podwire.kernel.netns import NetNamespace
from podwire.kernel.rtnetlink import AddressEntry, Link, RouteEntry, RtNetlink
from podwire.model.bridge_mode import DEFAULT_ROUTE, Uplink
from podwire.model.dual_stack import DEFAULT_ROUTE6
from podwire.model.errors import KernelError

_POD_PORTS = "azv"
_LOOPBACK = 1


def find_uplink(namespace: NetNamespace, mac: str | None, bridge: str) -> Uplink:
    """The NIC with this MAC, else the one that the default route or the bridge uses.

    mac: with or without colons, any case (the wire server's has none); None: not known.
    bridge: our own bridge; it has the NIC's MAC and addresses, but is never chosen.
    addresses: those of global scope on the NIC and the bridge; () and gateway "" when the bridge
    was deleted behind our back and took them along (the caller then knows them or asks the wire
    server). Raises KernelError when there is no such NIC. Whether pods get IPv6 is not known here:
    dual_stack stays False.
    """
    with RtNetlink(namespace) as door:
        links = door.links()
        routes = [one for one in door.routes() if one.dst == DEFAULT_ROUTE]
        own = next((one for one in links if one.name == bridge and one.kind == "bridge"), None)
        nic = _choose(links, own, mac, routes)
        holders = [nic.ifindex, *([own.ifindex] if own else [])]
        entries = [one for one in door.addresses() if one.scope == 0]
        found = list(dict.fromkeys(_cidrs(entries, reversed(holders))))
        addresses6 = tuple(one for one in found if ":" in one)
        routes6 = door.routes(socket.AF_INET6) if addresses6 else []
    return Uplink(
        nic.name,
        nic.mac,
        nic.mtu,
        tuple(one for one in found if ":" not in one),
        _gateway(routes, holders),
        addresses6,
        _gateway((one for one in routes6 if one.dst == DEFAULT_ROUTE6), holders),
        advertised=bool(addresses6) and _takes_advertisements(namespace, nic.name),
    )


def _cidrs(entries: list[AddressEntry], holders: Iterable[int]) -> Iterable[str]:
    return (one.cidr for holder in holders for one in entries if one.ifindex == holder)


def _gateway(routes: Iterable[RouteEntry], holders: list[int]) -> str:
    return next((one.via for one in routes if one.ifindex in holders and one.via), "")


def _takes_advertisements(namespace: NetNamespace, link: str) -> bool:
    """Not when a program does so for the kernel, as systemd-networkd: it sets accept_ra to 0."""
    return sysctl.read(namespace, f"net/ipv6/conf/{link}/accept_ra") in ("1", "2")


def _choose(links: list[Link], own: Link | None, mac: str | None, routes: list[RouteEntry]) -> Link:
    own_index = own.ifindex if own else 0
    nics = [
        one
        for one in links
        if one.ifindex != _LOOPBACK
        and one.kind != "bridge"
        and not one.name.startswith(_POD_PORTS)
        and (mac is None or _bare(one.mac) == _bare(mac))
    ]
    free = [one for one in nics if one.master in (0, own_index)]
    if mac is None:
        ports = [one for one in free if own and one.master == own_index]
        routed = {one.ifindex for one in routes}
        free = ports or [one for one in free if one.ifindex in routed]
    if not free:
        raise KernelError(_explain(links, nics, mac), errno=errno.ENODEV)
    return free[0]


def _explain(links: list[Link], nics: list[Link], mac: str | None) -> str:
    names = {one.ifindex: one.name for one in links}
    which = f"with MAC {mac}" if mac else "with a default route"
    taken = "".join(
        f"; {one.name} has it, but is a port of {names.get(one.master, 'another link')}"
        for one in nics
        if mac and one.master
    )
    return f"there is no free NIC {which} among the links {', '.join(names.values())}{taken}"


def _bare(mac: str) -> str:
    return mac.replace(":", "").replace("-", "").lower()
