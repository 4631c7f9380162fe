"""A tap: a link whose other end is a program that opens it by name. Source: linux/if_tun.h."""

from __future__ import annotations

import errno
import fcntl
import os
import struct

from podwire.kernel.netns import NetNamespace
from podwire.model.errors import KernelError

KIND = "tun"
_DEVICE = "/dev/net/tun"
_TUNSETIFF, _TUNSETPERSIST = 0x400454CA, 0x400454CB
_IFF_TAP, _IFF_NO_PI = 0x0002, 0x1000
_REQUEST = struct.Struct("16sH22x")


def create_tap(namespace: NetNamespace, name: str) -> None:
    """Make it, down; it stays while no program has it open. One that is there is fine.

    Raises KernelError.
    """
    request = _REQUEST.pack(name.encode(), _IFF_TAP | _IFF_NO_PI)
    with namespace.entered():
        try:
            fd = os.open(_DEVICE, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.ioctl(fd, _TUNSETIFF, request)
                fcntl.ioctl(fd, _TUNSETPERSIST, 1)
            finally:
                os.close(fd)
        except OSError as error:
            if error.errno == errno.EBUSY:
                return  # its program has it open
            raise KernelError(
                f"cannot make tap {name} with {_DEVICE}: {error.strerror}", errno=error.errno or 0
            ) from error
