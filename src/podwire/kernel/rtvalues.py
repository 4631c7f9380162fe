"""What rtnetlink tells of links, addresses, routes and neighbours, as small values.

Source: linux/if_link.h, linux/if_addr.h, linux/rtnetlink.h, linux/neighbour.h.
"""

from __future__ import annotations

import errno
import socket
import struct
from typing import NamedTuple

from podwire.kernel.netlink import attributes
from podwire.model.errors import KernelError

IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_LINK, IFLA_MASTER = 1, 3, 4, 5, 10
IFLA_QDISC, IFLA_CARRIER = 6, 33
IFLA_NUM_TX_QUEUES, IFLA_NUM_RX_QUEUES = 31, 32
IFLA_PROTINFO, IFLA_LINKINFO, IFLA_NET_NS_FD, IFLA_EXT_MASK = 12, 18, 28, 29
IFLA_LINK_NETNSID = 37
IFLA_INFO_KIND, IFLA_INFO_DATA, IFLA_INFO_SLAVE_KIND, IFLA_INFO_SLAVE_DATA = 1, 2, 4, 5
IFLA_BR_STP_STATE = 5
IFLA_BRPORT_MODE, IFLA_BRPORT_NEIGH_SUPPRESS = 4, 32
IFA_ADDRESS, IFA_LOCAL, IFA_FLAGS = 1, 2, 8
IFA_F_NODAD, IFA_F_NOPREFIXROUTE = 0x02, 0x200
RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY, RTA_TABLE = 1, 4, 5, 6, 15
NDA_DST, NDA_LLADDR = 1, 2
IFF_UP = 0x1
RTNH_F_ONLINK = 0x4
NUD_PERMANENT = 0x80
NTF_PROXY = 0x08

IFINFO = struct.Struct("=BxHiII")
IFADDR = struct.Struct("=BBBBi")
RTMSG = struct.Struct("=BBBBBBBBI")
NDMSG = struct.Struct("=BxxxiHBB")
_U32 = struct.Struct("=I")
_S32 = struct.Struct("=i")


class Link(NamedTuple):
    """One link as seen from its namespace.

    master: index of its bridge, 0 for none; kind: "veth", "bridge", ..., "" for a real NIC.
    peer: index of the other end (IFLA_LINK), 0 for none; peer_nsid: which namespace that end is
    in, as this one numbers them, None for this one itself.
    active: it passes frames (a link is set up first, and passes frames some time after it has a
    carrier: until then its queueing discipline is "noop").
    hairpin, neigh_suppress: flags of a bridge port.
    """

    ifindex: int
    name: str
    mac: str
    mtu: int
    up: bool
    active: bool
    master: int
    kind: str
    peer: int
    peer_nsid: int | None
    hairpin: bool
    neigh_suppress: bool


class AddressEntry(NamedTuple):
    """cidr: as in 10.220.2.4/24; scope 0 is global."""

    ifindex: int
    cidr: str
    scope: int


class RouteEntry(NamedTuple):
    """A unicast route of the main table. via: None when the destination is on the link."""

    dst: str
    ifindex: int
    via: str | None
    onlink: bool
    metric: int
    protocol: int


class NeighbourEntry(NamedTuple):
    ifindex: int
    ip: str
    mac: str
    permanent: bool


def pack_mac(mac: str) -> bytes:
    """Raises KernelError."""
    try:
        packed = bytes.fromhex(mac.replace(":", ""))
    except ValueError:
        packed = b""
    if len(packed) != 6:
        raise KernelError(f"{mac} is no MAC address", errno=errno.EINVAL)
    return packed


def pack_ip(ip: str) -> tuple[int, bytes]:
    """The address family and the bytes. Raises KernelError."""
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    try:
        return family, socket.inet_pton(family, ip)
    except OSError:
        raise KernelError(f"{ip} is no IP address", errno=errno.EINVAL) from None


def split_cidr(cidr: str) -> tuple[int, bytes, int]:
    """Family, bytes and prefix length; without one, that of a single address.

    Raises KernelError.
    """
    ip, _, length = cidr.partition("/")
    family, packed = pack_ip(ip)
    longest = 8 * len(packed)
    if not length:
        return family, packed, longest
    if not length.isdecimal() or int(length) > longest:
        raise KernelError(f"{cidr} has no valid prefix length", errno=errno.EINVAL)
    return family, packed, int(length)


def u32(data: bytes | None) -> int:
    """0 for an attribute that is not there."""
    return _U32.unpack(data)[0] if data else 0


def _mac(data: bytes) -> str:
    return data.hex(":") if data else ""


def text_of(data: bytes | None) -> str:
    """ "" for an attribute that is not there."""
    return (data or b"").rstrip(b"\0").decode(errors="replace")


def parse_link(body: bytes) -> Link:
    _, _, index, flags, _ = IFINFO.unpack_from(body)
    have = attributes(body[IFINFO.size :])
    info = attributes(have.get(IFLA_LINKINFO, b""))
    is_port = info.get(IFLA_INFO_SLAVE_KIND, b"").startswith(b"bridge\0")
    port = attributes(info.get(IFLA_INFO_SLAVE_DATA, b"")) if is_port else {}
    nsid = have.get(IFLA_LINK_NETNSID)
    return Link(
        ifindex=index,
        name=text_of(have.get(IFLA_IFNAME, b"")),
        mac=_mac(have.get(IFLA_ADDRESS, b"")),
        mtu=u32(have.get(IFLA_MTU)),
        up=bool(flags & IFF_UP),
        active=have.get(IFLA_CARRIER) == b"\1" and have.get(IFLA_QDISC) != b"noop\0",
        master=u32(have.get(IFLA_MASTER)),
        kind=text_of(info.get(IFLA_INFO_KIND, b"")),
        peer=u32(have.get(IFLA_LINK)),
        peer_nsid=None if nsid is None else _S32.unpack(nsid)[0],
        hairpin=port.get(IFLA_BRPORT_MODE) == b"\1",
        neigh_suppress=port.get(IFLA_BRPORT_NEIGH_SUPPRESS) == b"\1",
    )


def parse_address(body: bytes) -> AddressEntry:
    family, length, _, scope, index = IFADDR.unpack_from(body)
    have = attributes(body[IFADDR.size :])
    packed = have.get(IFA_LOCAL) or have[IFA_ADDRESS]
    return AddressEntry(index, f"{socket.inet_ntop(family, packed)}/{length}", scope)


def parse_route(body: bytes) -> RouteEntry:
    family, length, _, _, _, protocol, _, _, flags = RTMSG.unpack_from(body)
    have = attributes(body[RTMSG.size :])
    dst = have.get(RTA_DST) or bytes(16 if family == socket.AF_INET6 else 4)
    via = have.get(RTA_GATEWAY)
    return RouteEntry(
        dst=f"{socket.inet_ntop(family, dst)}/{length}",
        ifindex=u32(have.get(RTA_OIF)),
        via=None if via is None else socket.inet_ntop(family, via),
        onlink=bool(flags & RTNH_F_ONLINK),
        metric=u32(have.get(RTA_PRIORITY)),
        protocol=protocol,
    )


def parse_neighbour(body: bytes) -> NeighbourEntry:
    family, index, state, _, _ = NDMSG.unpack_from(body)
    have = attributes(body[NDMSG.size :])
    ip = socket.inet_ntop(family, have[NDA_DST])
    return NeighbourEntry(index, ip, _mac(have.get(NDA_LLADDR, b"")), bool(state & NUD_PERMANENT))
