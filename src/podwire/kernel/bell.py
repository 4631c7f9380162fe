"""A bell that the kernel rings when links, addresses or routes of a namespace change, or of one
that a link of it leads to: one socket for a node and all of its pods.

It says that something is different, never what: whoever hears it looks. Neighbours do not ring,
they change with every packet. Source: netlink(7), NETLINK_LISTEN_ALL_NSID.
"""

from __future__ import annotations

import socket

from podwire.kernel.netns import NetNamespace
from podwire.kernel.watch import Listener

_SOL_NETLINK, _LISTEN_ALL_NSID = 270, 8
_LINKS, _IPV4_ADDRESSES, _IPV4_ROUTES, _IPV6_ADDRESSES = 1, 5, 7, 9


class Bell(Listener):
    """Of one namespace, for a selector or an event loop. Raises KernelError when made."""

    def __init__(self, namespace: NetNamespace) -> None:
        groups = (_LINKS, _IPV4_ADDRESSES, _IPV4_ROUTES, _IPV6_ADDRESSES)
        super().__init__(namespace, socket.NETLINK_ROUTE, groups)
        self._socket.setsockopt(_SOL_NETLINK, _LISTEN_ALL_NSID, 1)

    def fileno(self) -> int:
        return self._socket.fileno()

    def rang(self) -> bool:
        """Since the last time; also when the kernel had to drop what it wanted to tell."""
        return self.told() != []
