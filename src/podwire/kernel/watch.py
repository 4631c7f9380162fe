"""Whether the kernel told of a change to certain links and what is on them, or to nftables.

It asks nothing: the kernel's notifications of what others did wait in two sockets. They are there
before the call that made the change has returned. Elements of sets are not told of: they come and
go with pods, as other links do, of which a filter in the kernel lets nothing through.
Source: rtnetlink(7), net/netfilter/nf_tables_api.c (nft_notify), linux/filter.h.
"""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
from collections.abc import Collection

from podwire.kernel.netlink import Message, NetlinkSocket, attributes, messages
from podwire.kernel.netns import NetNamespace
from podwire.model.errors import KernelError

_NETFILTER = 12
_SOL_NETLINK, _ADD_MEMBERSHIP = 270, 1
_LINKS, _IPV4_ADDRESSES, _IPV4_ROUTES, _IPV6_ADDRESSES, _IPV6_ROUTES = 1, 5, 7, 9, 11
_IPV4_SETTINGS = 24
_NFTABLES = 7
_ROUTES = range(24, 27)
_RTA_OIF, _RTMSG_SIZE = 4, 12
_NETCONFA_IFINDEX, _NETCONF_SIZE = 1, 4
_SETTINGS = range(80, 82)
"""RTM_NEWNETCONF, RTM_DELNETCONF: ip_forward of one link or of all (net/ipv4/devinet.c)."""
_INDEX = struct.Struct("=4xi")
"""ifinfomsg and ifaddrmsg have the index at the same place."""
_NUMBER = struct.Struct("=i")
_OF_LINKS = (16, 17, 20, 21)
"""RTM_NEWLINK, RTM_DELLINK, RTM_NEWADDR, RTM_DELADDR."""
_OF_ROUTES = (24, 25)
"""RTM_NEWROUTE, RTM_DELROUTE: IPv6 makes some of each pod's link."""
_SO_ATTACH_FILTER = 26
_KIND_AT, _INDEX_AT, _HEADER_SIZE = 4, 20, 16
_LOAD_16, _LOAD_32, _EQUAL, _RETURN = 0x28, 0x20, 0x15, 0x06
_SET_A, _SET_X, _COPY_TO_X, _LOAD_32_X, _JUMP = 0x00, 0x01, 0x07, 0x40, 0x05
_FIND_ATTRIBUTE = 0xFFFFF000 + 12
"""A load from there is of where the attribute X is, after offset A (SKF_AD_NLATTR); 0: nowhere."""
_ALL = 0xFFFFFFFF
_SIZE = 1 << 16
_INSTRUCTION = struct.Struct("=HBBI")
_SUBSYSTEM = 10 << 8
_OF_ELEMENTS = frozenset(_SUBSYSTEM | one for one in (12, 14, 15))
"""New and deleted elements, and the number of the generation that every transaction makes."""


class Watch:
    """Notifications of one namespace. One thread at a time. Raises KernelError when made."""

    def __init__(self, namespace: NetNamespace) -> None:
        routes = (_IPV4_ADDRESSES, _IPV4_ROUTES, _IPV6_ADDRESSES, _IPV6_ROUTES)
        links = (_LINKS, *routes, _IPV4_SETTINGS)
        self._route = Listener(namespace, socket.NETLINK_ROUTE, links)
        self._filter = Listener(namespace, _NETFILTER, (_NFTABLES,))
        self._followed: frozenset[int] = frozenset()
        self.follow(())

    def follow(self, indices: Collection[int]) -> None:
        """From now on, changes to these links count. Raises KernelError."""
        self._followed = frozenset((*indices, 0))
        self._route.let_through(indices)

    def changed(self) -> bool:
        """Since the last time, also when the kernel had to drop what it wanted to tell."""
        route, filtering = self._route.told(), self._filter.told()
        if route is None or filtering is None:
            return True
        return any(one.kind not in _OF_ELEMENTS for one in filtering) or any(
            _link(one) in self._followed for one in route
        )

    def close(self) -> None:
        self._route.close()
        self._filter.close()


class Listener(NetlinkSocket):
    """Notifications of groups, as they wait. Raises KernelError when made."""

    def __init__(self, namespace: NetNamespace, protocol: int, groups: Collection[int]) -> None:
        super().__init__(namespace, protocol)
        try:
            self._socket.bind((0, 0))  # as 0, it would count as the sender of what the kernel tells
            for group in groups:
                self._socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
        except OSError as error:
            self.close()
            raise KernelError(
                f"cannot listen to the kernel: {error.strerror}", errno=error.errno or 0
            ) from error
        self._socket.setblocking(False)

    def let_through(self, indices: Collection[int]) -> None:
        """Of links, addresses and routes only what concerns these. Raises KernelError."""
        code = b"".join(_INSTRUCTION.pack(*one) for one in _program(indices))
        room = ctypes.create_string_buffer(code)
        program = struct.pack("@HP", len(code) // _INSTRUCTION.size, ctypes.addressof(room))
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
        except OSError as error:
            raise KernelError(
                f"cannot filter what the kernel tells: {error.strerror}", errno=error.errno or 0
            ) from error

    def told(self) -> list[Message] | None:
        """None: something was lost."""
        found: list[Message] = []
        while True:
            try:
                found.extend(messages(self._socket.recv(_SIZE)))
            except BlockingIOError:
                return found
            except OSError as error:
                if error.errno == errno.ENOBUFS:
                    return None
                raise KernelError(
                    f"cannot hear the kernel: {error.strerror}", errno=error.errno or 0
                ) from error


def _program(indices: Collection[int]) -> list[tuple[int, int, int, int]]:
    """Instructions: code, jump if true, jump if false, operand. One message is one packet here."""
    compare = [(_EQUAL, len(indices) - at, 0, _swapped(one)) for at, one in enumerate(indices)]
    to_end = len(compare) + 1
    of_route = [
        (_SET_A, 0, 0, _HEADER_SIZE + _RTMSG_SIZE),
        (_SET_X, 0, 0, _RTA_OIF),
        (_LOAD_32, 0, 0, _FIND_ATTRIBUTE),
        (_EQUAL, to_end + 2, 0, 0),
        (_COPY_TO_X, 0, 0, 0),
        (_LOAD_32_X, 0, 0, 4),
    ]
    of_link = [(_LOAD_32, 0, 0, _INDEX_AT), (_JUMP, 0, 0, len(of_route))]
    kinds = (*_OF_LINKS, *_OF_ROUTES)
    found = [(_LOAD_16, 0, 0, _KIND_AT)]
    for at, kind in enumerate(kinds):  # the first after the last of them returns
        further = len(of_link) * (kind in _OF_ROUTES)
        number = int.from_bytes(struct.pack("=H", kind), "big")
        found.append((_EQUAL, len(kinds) - at + further, 0, number))
    found += [(_RETURN, 0, 0, _ALL), *of_link, *of_route, *compare]
    return [*found, (_RETURN, 0, 0, 0), (_RETURN, 0, 0, _ALL)]


def _swapped(number: int) -> int:
    """As a load, which is big endian, shows the machine's number."""
    return int.from_bytes(_NUMBER.pack(number), "big")


def _link(one: Message) -> int:
    """The link's index; 0 when it is not told, and when it is all of them; -1 when it does not
    matter: a route to one IPv6 address is a pod's."""
    if one.kind in _SETTINGS:
        whose = attributes(one.body[_NETCONF_SIZE:]).get(_NETCONFA_IFINDEX)
        return max(0, _NUMBER.unpack(whose)[0]) if whose else 0
    if one.kind not in _ROUTES:
        return int(_INDEX.unpack_from(one.body)[0])
    if one.body[0] == socket.AF_INET6 and one.body[1] == 128:
        return -1
    out = attributes(one.body[_RTMSG_SIZE:]).get(_RTA_OIF)
    return int(_NUMBER.unpack(out)[0]) if out else 0
