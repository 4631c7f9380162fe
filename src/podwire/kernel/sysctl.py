"""Sysctls below /proc/sys, as one network namespace sees them.

A name is written in slashes, as in net/ipv6/conf/azure0/accept_ra.
"""

from __future__ import annotations

import os

from podwire.kernel.netns import NetNamespace
from podwire.model.errors import KernelError

_ROOT = "/proc/sys/"
_LONGEST = 4096


def read(namespace: NetNamespace, name: str) -> str | None:
    """The value without its line end; None when there is no such sysctl."""
    with namespace.entered():
        try:
            with open(_ROOT + name, encoding="ascii") as file:
                return file.read().rstrip("\n")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _refused("read", name, error) from error


def write(namespace: NetNamespace, name: str, value: str) -> bool:
    """Set it, unless it has the value already. False: there is no such sysctl."""
    with namespace.entered():
        try:
            file = os.open(_ROOT + name, os.O_RDWR | os.O_CLOEXEC)
            try:
                if os.read(file, _LONGEST).rstrip(b"\n") != value.encode():
                    os.pwrite(file, value.encode(), 0)
            finally:
                os.close(file)
            return True
        except FileNotFoundError:
            return False
        except OSError as error:
            raise _refused("write", name, error) from error


def has_ipv6(namespace: NetNamespace) -> bool:
    """Whether the kernel has IPv6 at all."""
    return read(namespace, "net/ipv6/conf/all/forwarding") is not None


def _refused(verb: str, name: str, error: OSError) -> KernelError:
    return KernelError(f"cannot {verb} {_ROOT}{name}: {error.strerror}", errno=error.errno or 0)
