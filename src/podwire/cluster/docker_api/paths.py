"""Paths inside a node, followed as the node follows them.

/proc/PID/root leads into a node's mount namespace, but an absolute symbolic link below it (Debian's
/var/run -> /run) would lead out again, to the machine's own files.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from pathlib import Path, PurePosixPath

_MAX_LINKS = 40


def resolve_in_root(root: Path, path: str | PurePosixPath) -> Path:
    """`path` (absolute, as the node writes it) as this process reaches it; it need not exist.

    Raises OSError (ELOOP) for a loop of links.
    """
    here, links = PurePosixPath("/"), 0
    todo = deque(PurePosixPath(path).parts)
    while todo:
        part = todo.popleft()
        if part == "..":
            here = here.parent
            continue
        if part.startswith("/"):
            here = PurePosixPath("/")
            continue
        target = _link(root / str(here / part).lstrip("/"))
        if target is None:
            here = here / part
            continue
        links += 1
        if links > _MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        todo.extendleft(reversed(PurePosixPath(target).parts))
    return root / str(here).lstrip("/")


def _link(path: Path) -> str | None:
    try:
        return os.readlink(path)
    except OSError:
        return None
