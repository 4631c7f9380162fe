"""In which network namespaces processes live: a pod has one at least, its pause container.

Must not know pods. Source: namespaces(7), proc(5).
"""

from __future__ import annotations

import os
from contextlib import suppress

_INITIAL_PID_NAMESPACE = 0xEFFFFFFC
"""Its inode (include/linux/proc_ns.h, PROC_PID_INIT_INO)."""


def inhabited() -> dict[int, int]:
    """Inode of each network namespace with a process that is seen from here -> one such process."""
    found: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if name.isdecimal():
            with suppress(OSError):  # it ended, or is another user's
                found.setdefault(os.stat(f"/proc/{name}/ns/net").st_ino, int(name))
    return found


def sees_all(found: dict[int, int]) -> bool:
    """Whether a namespace that is not in `found` has no process.

    In a pid namespace of its own (a container on the node's network) a caller sees its own alone;
    a lab's node has one too, and sees its pods.
    """
    return os.stat("/proc/self/ns/pid").st_ino == _INITIAL_PID_NAMESPACE or len(found) > 1


def paths_of(inodes: set[int]) -> dict[int, str]:
    """Where each of the namespaces can be opened: by a process in it, or one that holds it open."""
    found = {one: f"/proc/{pid}/ns/net" for one, pid in inhabited().items() if one in inodes}
    for name in os.listdir("/proc"):
        if len(found) == len(inodes):
            break
        if name.isdecimal():
            with suppress(OSError):
                found |= _held(name, inodes - found.keys())
    return found


def _held(pid: str, inodes: set[int]) -> dict[int, str]:
    found: dict[int, str] = {}
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with suppress(OSError, ValueError):
            path = f"/proc/{pid}/fd/{fd}"
            kind, _, rest = os.readlink(path).partition(":[")
            if kind == "net" and int(rest.rstrip("]")) in inodes:
                found[int(rest.rstrip("]"))] = path
    return found
