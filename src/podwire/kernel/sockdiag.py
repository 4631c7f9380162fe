"""The sockets that wait for packets, by netlink's socket diagnosis: what `ss -lun` and `-ltn` ask.

/proc/net/tcp tells the same, but for each namespace walks the whole machine's table of connections
(milliseconds each); here the kernel looks at those that listen alone.
Source: sock_diag(7), linux/inet_diag.h, net/ipv4/inet_diag.c, udp_diag.c.
"""

from __future__ import annotations

import errno
import socket
import struct

from podwire.kernel import procnet
from podwire.kernel.netlink import DUMP, NetlinkSocket
from podwire.kernel.netns import NetNamespace
from podwire.kernel.procnet import SocketEntry
from podwire.model.errors import KernelError

_NETLINK_SOCK_DIAG = 4
_BY_FAMILY = 20
_CLOSE, _LISTEN = 7, 10
_REQUEST = struct.Struct("=BBBxI48x")
"""inet_diag_req_v2: family, protocol, extensions, states; an empty inet_diag_sockid."""
_SPORT, _SOURCE, _INODE = 4, 8, 68
"""Offsets in inet_diag_msg."""
_PROTOCOLS = (("tcp", socket.IPPROTO_TCP, _LISTEN), ("udp", socket.IPPROTO_UDP, _CLOSE))
_FAMILIES = (socket.AF_INET, socket.AF_INET6)


def listening(namespace: NetNamespace) -> list[SocketEntry]:
    """TCP sockets that listen, UDP sockets that are bound and not connected. Raises KernelError."""
    try:
        return _asked(namespace)
    except KernelError as error:
        if error.errno not in (errno.ENOENT, errno.EPROTONOSUPPORT, errno.EINVAL):
            raise
        return procnet.listening(namespace)  # a kernel without CONFIG_INET_DIAG, _UDP_DIAG


def _asked(namespace: NetNamespace) -> list[SocketEntry]:
    found: list[SocketEntry] = []
    with NetlinkSocket(namespace, _NETLINK_SOCK_DIAG) as door:
        for name, protocol, state in _PROTOCOLS:
            for family in _FAMILIES:
                body = _REQUEST.pack(family, protocol, 0, 1 << state)
                found += [_entry(name, one) for one in door.request(_BY_FAMILY, body, DUMP)]
    return [one for one in found if one.port]


def _entry(protocol: str, said: bytes) -> SocketEntry:
    family = said[0]
    size = 4 if family == socket.AF_INET else 16
    address = socket.inet_ntop(family, said[_SOURCE : _SOURCE + size])
    (port,) = struct.unpack_from("!H", said, _SPORT)
    (inode,) = struct.unpack_from("=I", said, _INODE)
    return SocketEntry(protocol, address, port, inode)
