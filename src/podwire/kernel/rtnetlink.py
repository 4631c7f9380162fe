"""Links, addresses, routes and neighbours of one namespace by rtnetlink messages made by hand.

Each method is one request and says what the kernel says: an object that is there already, or is
not there, is a KernelError with its errno (EEXIST, ENODEV, ESRCH, ...); wire/ makes that
idempotent. Links are named by their index, `index(name)` finds it.
Source: rtnetlink(7), linux/if_link.h, net/core/rtnetlink.c, drivers/net/veth.c.
"""

from __future__ import annotations

import errno
import socket
import struct

from podwire.kernel import rtvalues as rt
from podwire.kernel.netlink import (
    CREATE,
    DUMP,
    EXCLUSIVE,
    REPLACE,
    NetlinkSocket,
    attribute,
    attributes,
    nested,
    number,
    text,
)
from podwire.kernel.netns import NetNamespace
from podwire.kernel.rtvalues import AddressEntry, Link, NeighbourEntry, RouteEntry
from podwire.model.errors import KernelError

__all__ = ["AddressEntry", "Link", "NeighbourEntry", "RouteEntry", "RtNetlink"]

_NEWLINK, _DELLINK, _GETLINK, _SETLINK = 16, 17, 18, 19
_NEWADDR, _DELADDR, _GETADDR = 20, 21, 22
_NEWROUTE, _DELROUTE, _GETROUTE = 24, 25, 26
_NEWNEIGH, _DELNEIGH, _GETNEIGH = 28, 29, 30
_GETNSID = 90
_NSID, _NSID_FD = 1, 3
_MAIN_TABLE, _STATIC, _UNICAST = 254, 4, 1
_SCOPE_GLOBAL, _SCOPE_LINK, _SCOPE_NOWHERE = 0, 253, 255
_SKIP_STATISTICS = number(rt.IFLA_EXT_MASK, 8)
_ONE_QUEUE = number(rt.IFLA_NUM_TX_QUEUES, 1) + number(rt.IFLA_NUM_RX_QUEUES, 1)
"""A veth needs no more (it has no lock to share): else the kernel makes one for each processor."""
_VETH_PEER = 1
_NDA_IFINDEX = 8


class RtNetlink(NetlinkSocket):
    """The rtnetlink door of one namespace."""

    def __init__(self, namespace: NetNamespace) -> None:
        super().__init__(namespace, socket.NETLINK_ROUTE)
        self.indices: dict[str, int] = {}
        """Of links that outlive many requests, for whoever wants to keep them here."""

    # Links

    def link(self, name: str) -> Link | None:
        """The link called `name`, None when there is none."""
        body = rt.IFINFO.pack(0, 0, 0, 0, 0) + text(rt.IFLA_IFNAME, name) + _SKIP_STATISTICS
        try:
            return rt.parse_link(self.get(_GETLINK, body))
        except KernelError as error:
            if error.errno in (errno.ENODEV, errno.EINVAL, errno.ERANGE):
                return None
            raise

    def see_carrier(self, index: int) -> None:
        """Make the kernel see the link's carrier now, as whoever asks for a link does."""
        self.get(_GETLINK, rt.IFINFO.pack(0, 0, index, 0, 0) + _SKIP_STATISTICS)

    def links(self) -> list[Link]:
        body = rt.IFINFO.pack(0, 0, 0, 0, 0) + _SKIP_STATISTICS
        return [rt.parse_link(one) for one in self.request(_GETLINK, body, DUMP)]

    def index(self, name: str) -> int:
        """Raises KernelError (ENODEV)."""
        found = self.link(name)
        if found is None:
            raise KernelError(f"there is no link {name}", errno=errno.ENODEV)
        return found.ifindex

    def create_bridge(self, name: str, mac: str, mtu: int) -> None:
        """A bridge, up, STP off. A MAC that is given at birth never follows the ports'."""
        data = nested(rt.IFLA_INFO_DATA, number(rt.IFLA_BR_STP_STATE, 0))
        info = nested(rt.IFLA_LINKINFO, text(rt.IFLA_INFO_KIND, "bridge"), data)
        body = rt.IFINFO.pack(0, 0, 0, rt.IFF_UP, rt.IFF_UP) + _identity(name, mac, mtu) + info
        self.request(_NEWLINK, body, CREATE | EXCLUSIVE)

    def create_veth(
        self,
        name: str,
        peer_name: str,
        peer_namespace: NetNamespace,
        *,
        mac: str | None = None,
        peer_mac: str | None = None,
        mtu: int = 1500,
        index: int | None = None,
    ) -> None:
        """A veth pair: this end up, the peer born in its namespace and down (up is refused).

        index: the peer's interface index, this end's is one more; EBUSY when either is taken.
        """
        mine, other = (index + 1, index) if index else (0, 0)
        peer = rt.IFINFO.pack(0, 0, other, 0, 0) + _identity(peer_name, peer_mac, mtu)
        peer += _ONE_QUEUE + number(rt.IFLA_NET_NS_FD, peer_namespace.fd)
        data = nested(rt.IFLA_INFO_DATA, nested(_VETH_PEER, peer))
        info = nested(rt.IFLA_LINKINFO, text(rt.IFLA_INFO_KIND, "veth"), data)
        head = rt.IFINFO.pack(0, 0, mine, rt.IFF_UP, rt.IFF_UP)
        body = head + _identity(name, mac, mtu) + _ONE_QUEUE + info
        self.request(_NEWLINK, body, CREATE | EXCLUSIVE)

    def set_link(
        self,
        index: int,
        *,
        up: bool | None = None,
        mac: str | None = None,
        mtu: int | None = None,
        master: int | None = None,
    ) -> None:
        """Change what is given; master 0 frees the link. All flags but UP stay as they are."""
        flags, change = (rt.IFF_UP if up else 0), (0 if up is None else rt.IFF_UP)
        body = rt.IFINFO.pack(0, 0, index, flags, change) + _identity(None, mac, mtu)
        if master is not None:
            body += number(rt.IFLA_MASTER, master)
        self.request(_NEWLINK, body)

    def set_port(self, index: int, *, hairpin: bool, neigh_suppress: bool) -> None:
        """The flags of a bridge port."""
        flags = attribute(rt.IFLA_BRPORT_MODE, bytes([hairpin]))
        flags += attribute(rt.IFLA_BRPORT_NEIGH_SUPPRESS, bytes([neigh_suppress]))
        head = rt.IFINFO.pack(socket.AF_BRIDGE, 0, index, 0, 0)
        self.request(_SETLINK, head + nested(rt.IFLA_PROTINFO, flags))

    def delete_link(self, index: int) -> None:
        """Blocks for 10 to 30 ms (RCU); a veth takes its peer along."""
        self.request(_DELLINK, rt.IFINFO.pack(0, 0, index, 0, 0))

    def nsid(self, other: NetNamespace) -> int | None:
        """The number under which this namespace knows `other`; None when it has given none."""
        body = struct.pack("=Bxxx", 0) + number(_NSID_FD, other.fd)
        found = struct.unpack("=i", attributes(self.get(_GETNSID, body)[4:])[_NSID])[0]
        return None if found < 0 else found

    # Addresses

    def add_address(self, index: int, cidr: str, *, prefix_route: bool = True) -> None:
        """Scope global, no broadcast address. prefix_route: with the kernel's connected route.

        An IPv6 address is usable at once: that nobody else has it is its giver's promise.
        """
        flags = (0 if prefix_route else rt.IFA_F_NOPREFIXROUTE) | (
            rt.IFA_F_NODAD if ":" in cidr else 0
        )
        body = _address(index, cidr) + (number(rt.IFA_FLAGS, flags) if flags else b"")
        self.request(_NEWADDR, body, CREATE | EXCLUSIVE)

    def delete_address(self, index: int, cidr: str) -> None:
        self.request(_DELADDR, _address(index, cidr))

    def addresses(self, index: int = 0) -> list[AddressEntry]:
        """Those of one link, or of all."""
        bodies = self.request(_GETADDR, rt.IFADDR.pack(0, 0, 0, 0, index), DUMP)
        return [rt.parse_address(one) for one in bodies]

    # Routes (main table)

    def set_route(
        self, dst: str, index: int, via: str | None = None, onlink: bool = False, metric: int = 0
    ) -> None:
        """Make this the only route of this metric to `dst`; no change when it is that already."""
        body = _route(dst, index, via, onlink=onlink)
        body += number(rt.RTA_PRIORITY, metric) if metric else b""
        self.request(_NEWROUTE, body, CREATE | REPLACE)

    def delete_route(self, dst: str, index: int) -> None:
        """The route to `dst` through this link, of any metric, gateway and protocol."""
        self.request(_DELROUTE, _route(dst, index, None, deletion=True))

    def routes(self, family: int = socket.AF_INET, index: int = 0) -> list[RouteEntry]:
        """The unicast routes of the main table, those of one link or of all."""
        body = rt.RTMSG.pack(family, 0, 0, 0, _MAIN_TABLE, 0, 0, _UNICAST, 0)
        body += number(rt.RTA_TABLE, _MAIN_TABLE)
        body += number(rt.RTA_OIF, index) if index else b""
        return [rt.parse_route(one) for one in self.request(_GETROUTE, body, DUMP)]

    # Neighbours

    def set_neighbour(self, index: int, ip: str, mac: str) -> None:
        """A permanent entry, in place of any other."""
        body = _neighbour(index, ip) + attribute(rt.NDA_LLADDR, rt.pack_mac(mac))
        self.request(_NEWNEIGH, body, CREATE | REPLACE)

    def delete_neighbour(self, index: int, ip: str) -> None:
        self.request(_DELNEIGH, _neighbour(index, ip))

    def neighbour(self, index: int, ip: str) -> NeighbourEntry | None:
        family, packed = rt.pack_ip(ip)
        body = rt.NDMSG.pack(family, index, 0, 0, 0) + attribute(rt.NDA_DST, packed)
        try:
            return rt.parse_neighbour(self.get(_GETNEIGH, body))
        except KernelError as error:
            if error.errno == errno.ENOENT:
                return None
            raise

    def neighbours(self, index: int, family: int = socket.AF_INET) -> list[NeighbourEntry]:
        body = rt.NDMSG.pack(family, 0, 0, 0, 0) + number(_NDA_IFINDEX, index)
        return [rt.parse_neighbour(one) for one in self.request(_GETNEIGH, body, DUMP)]

    def add_proxy(self, index: int, ip: str) -> None:
        """Answer for `ip` on this link; one that is there is fine."""
        self.request(_NEWNEIGH, _proxy(index, ip), CREATE)

    def delete_proxy(self, index: int, ip: str) -> None:
        self.request(_DELNEIGH, _proxy(index, ip))

    def has_proxy(self, index: int, ip: str) -> bool:
        try:
            return bool(self.request(_GETNEIGH, _proxy(index, ip)))
        except KernelError as error:
            if error.errno == errno.ENOENT:
                return False
            raise


def _identity(name: str | None, mac: str | None, mtu: int | None) -> bytes:
    parts = text(rt.IFLA_IFNAME, name) if name else b""
    parts += attribute(rt.IFLA_ADDRESS, rt.pack_mac(mac)) if mac else b""
    return parts + (number(rt.IFLA_MTU, mtu) if mtu else b"")


def _address(index: int, cidr: str) -> bytes:
    family, packed, length = rt.split_cidr(cidr)
    head = rt.IFADDR.pack(family, length, 0, _SCOPE_GLOBAL, index)
    return head + attribute(rt.IFA_LOCAL, packed) + attribute(rt.IFA_ADDRESS, packed)


def _route(
    dst: str, index: int, via: str | None, *, onlink: bool = False, deletion: bool = False
) -> bytes:
    """A deletion names what identifies the route and leaves the rest open."""
    family, packed, length = rt.split_cidr(dst)
    scope = _SCOPE_GLOBAL if via else _SCOPE_LINK
    kind = (0, _SCOPE_NOWHERE, 0) if deletion else (_STATIC, scope, _UNICAST)
    flags = rt.RTNH_F_ONLINK if onlink else 0
    body = rt.RTMSG.pack(family, length, 0, 0, _MAIN_TABLE, *kind, flags)
    body += attribute(rt.RTA_DST, packed) if length else b""
    body += attribute(rt.RTA_GATEWAY, rt.pack_ip(via)[1]) if via else b""
    return body + number(rt.RTA_OIF, index)


def _neighbour(index: int, ip: str) -> bytes:
    family, packed = rt.pack_ip(ip)
    head = rt.NDMSG.pack(family, index, rt.NUD_PERMANENT, 0, _UNICAST)
    return head + attribute(rt.NDA_DST, packed)


def _proxy(index: int, ip: str) -> bytes:
    family, packed = rt.pack_ip(ip)
    head = rt.NDMSG.pack(family, index, 0, rt.NTF_PROXY, 0)
    return head + attribute(rt.NDA_DST, packed)
