"""Whole files or none: write beside the target, then rename over it.

Must not know what the files are for.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path


def write_file(
    path: Path,
    content: bytes,
    *,
    mode: int = 0o644,
    owner: tuple[int, int] | None = None,
    sync: bool = False,
) -> None:
    """Replace `path` by `content`; a reader sees the old file or the new one, never a part.

    owner: uid and gid, None for this process's own. sync: survive a power loss as well.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            if owner is not None:
                os.fchown(file.fileno(), *owner)
            file.write(content)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(name)
        raise
    if sync:
        _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
