"""What a ledger is valid for: a schema, a boot, a network namespace."""

from __future__ import annotations

import os
import socket

from podwire.ipam import rows

_SO_NETNS_COOKIE = 71


def generation(*, everywhere: bool) -> str:
    """What a ledger is valid for: this schema, this boot, and this node's network namespace.

    A node that was taken down and made again in the same boot has other links and addresses. Who
    only reads, perhaps from outside the node, takes the ledger of any namespace (a prefix).
    """
    return f"{rows.SCHEMA} {_boot_id()} {'' if everywhere else _namespace_cookie()}"


def _boot_id() -> str:
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


def _namespace_cookie() -> str:
    """Never used twice in a boot, unlike the namespace's inode (socket(7), Linux 5.14)."""
    with socket.socket(socket.AF_UNIX) as any_socket:
        try:
            return any_socket.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8).hex()
        except OSError:
            return f"inode-{os.stat('/proc/thread-self/ns/net').st_ino}"
