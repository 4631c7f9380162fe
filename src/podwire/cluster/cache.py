"""Directories of the cache that are whole or not there: locked, sealed by a manifest, swapped in.

Must not know what lies in them. A maker holds the lock of its target, builds in a sibling, seals it
and swaps it in; so a directory of the target's name is whole unless something spoiled it later,
which `inspect` notices.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from podwire.cluster.files import write_file
from podwire.model.errors import UnavailableError
from podwire.model.progress import Progress

MANIFEST = "manifest.json"
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Seal:
    """What a manifest says. facts: its maker's own; damage: the files that are missing or other."""

    facts: Mapping[str, Any]
    damage: tuple[str, ...]


@contextmanager
def locked(target: Path, what: str, progress: Progress) -> Iterator[None]:
    """Hold the lock of `target` (a file beside it), waiting for whoever makes it now.

    Raises UnavailableError when nothing can be written there.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = (target.parent / f".{target.name}.lock").open("w")
    except OSError as error:
        raise UnavailableError(
            f"cannot write the cache {target.parent}: {error}; run as root or choose another cache"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress(f"another podwire is making {what}; waiting for it", None)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A new empty directory beside `target` that takes its place when the block ends well.

    The caller holds the lock; what a killed predecessor left there is removed first.
    """
    new = target.parent / f".{target.name}.new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    try:
        yield new
        swap_in(new, target)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def swap_in(new: Path, target: Path) -> None:
    """Rename `new` to `target`, removing a directory that was there."""
    old = target.parent / f".{target.name}.old"
    shutil.rmtree(old, ignore_errors=True)
    with suppress(FileNotFoundError):
        target.rename(old)
    new.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def seal(directory: Path, files: Collection[str], facts: Mapping[str, Any]) -> None:
    """Write the manifest: `facts`, and size, mtime and sha256 of each of `files` (relative).

    Their content is on the disk first, so that a power loss cannot leave a seal on an empty file.
    """
    for name in files:
        _sync(directory / name)
    _write(directory, facts, {name: _entry(directory / name) for name in sorted(files)})


def inspect(directory: Path) -> Seal | None:
    """The seal of `directory`, None when it has none.

    Reads only the files whose mtime differs, and remembers the new mtime of those that are right.
    """
    try:
        manifest = json.loads((directory / MANIFEST).read_text())
        files: dict[str, dict[str, Any]] = manifest["files"]
        facts: dict[str, Any] = manifest["facts"]
        if manifest["format"] != _FORMAT:
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    states = {name: _state(directory / name, entry) for name, entry in files.items()}
    damage = tuple(name for name, state in states.items() if state is None)
    if not damage and states != files:
        with suppress(OSError):
            _write(directory, facts, states)
    return Seal(facts, damage)


def sha256(path: Path) -> str:
    return digest(path, "sha256")


def digest(path: Path, algorithm: str) -> str:
    """The hex digest of a file. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def _state(path: Path, entry: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The entry as it should stand now, None when the file is not the one that was sealed."""
    try:
        status = path.stat()
        if status.st_size != entry["size"]:
            return None
        if status.st_mtime_ns == entry["mtime_ns"]:
            return entry
        now = _entry(path)
    except (OSError, KeyError, TypeError):
        return None
    return now if now["sha256"] == entry["sha256"] else None


def _entry(path: Path) -> dict[str, Any]:
    status = path.stat()
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "sha256": sha256(path)}


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _write(directory: Path, facts: Mapping[str, Any], files: Mapping[str, Any]) -> None:
    manifest = {"format": _FORMAT, "facts": dict(facts), "files": dict(files)}
    write_file(directory / MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode())
