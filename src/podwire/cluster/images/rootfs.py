"""The files of one image, as a value: what lies where, taken from an unpacked package tree.

Must not know what an image is for (that is `recipes`) nor how it is packed (that is `oci`).
The image has a merged /usr, as Debian has, and nothing in it depends on when or by whom it was
built.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from podwire.model.errors import UnavailableError

MERGED = ("bin", "sbin", "lib", "lib64")
_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NULL, _DT_NEEDED, _DT_STRTAB, _DT_RPATH, _DT_RUNPATH = 0, 1, 5, 15, 29


@dataclass(frozen=True, slots=True)
class Entry:
    """One path of an image, without a leading slash; owned by root.

    content: bytes, or the file that holds them; None for a directory. target: of a symbolic link.
    """

    path: str
    mode: int
    content: bytes | Path | None = None
    target: str | None = None

    def read(self) -> bytes:
        return self.content.read_bytes() if isinstance(self.content, Path) else self.content or b""


class RootFs:
    """Entries by path. Parents appear by themselves; a path added twice keeps the later one."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        for name in MERGED:
            self.directory(f"usr/{name}")
            self.link(name, f"usr/{name}")

    def __iter__(self) -> Iterator[Entry]:
        return iter(sorted(self._entries.values(), key=lambda one: one.path.split("/")))

    def __contains__(self, path: str) -> bool:
        return _merged(path) in self._entries

    def directory(self, path: str, mode: int = 0o755) -> None:
        self._add(Entry(_merged(path), mode))

    def link(self, path: str, target: str) -> None:
        self._add(Entry(_merged(path), 0o777, target=target))

    def file(self, path: str, content: bytes | Path, mode: int = 0o644) -> None:
        self._add(Entry(_merged(path), mode, content))

    def _add(self, entry: Entry) -> None:
        parent = os.path.dirname(entry.path)
        if parent and parent not in self._entries:
            self.directory(parent)
        self._entries[entry.path] = entry

    def take(self, tree: Path, *paths: str) -> None:
        """Take files, links with what they lead to, and whole folders out of `tree`.

        An ELF file brings its interpreter and every library that it needs.
        Raises UnavailableError when a path or a library is not in the tree.
        """
        for path in map(_merged, paths):
            if path in self and self._entries[path].content is not None:
                continue
            source = tree / path
            if source.is_symlink():
                target = os.readlink(source)
                self.link(path, target)
                self.take(tree, _joined(path, target))
            elif source.is_dir():
                self.directory(path)
                self.take(tree, *(f"{path}/{name}" for name in sorted(os.listdir(source))))
            elif source.is_file():
                self._take_file(tree, path, source)
            else:
                raise UnavailableError(f"{path} is not in the packages unpacked to {tree}")

    def take_library(self, tree: Path, name: str) -> None:
        """Take a library that no ELF file names because it is loaded while running."""
        self.take(tree, _find_library(tree, name, (), "the image"))

    def _take_file(self, tree: Path, path: str, source: Path) -> None:
        executable = bool(source.stat().st_mode & stat.S_IXUSR)
        self.file(path, source, 0o755 if executable else 0o644)
        elf = read_elf(source)
        if elf is None:
            return
        if elf.interpreter:
            self.take(tree, elf.interpreter)
        folders = [one.replace("$ORIGIN", os.path.dirname(path)) for one in elf.search]
        for library in elf.needed:
            self.take(tree, _find_library(tree, library, folders, path))

    def drop(self, *paths: str) -> None:
        """Leave out paths and what lies below them. What is not there is no error."""
        for path in list(self._entries):
            if any(path == one or path.startswith(f"{one}/") for one in paths):
                del self._entries[path]


def _merged(path: str) -> str:
    """`path` as it is called under a merged /usr: /lib64/x is usr/lib64/x."""
    parts = PurePosixPath("/", path).parts[1:]
    plain = "/".join(parts)
    return f"usr/{plain}" if len(parts) > 1 and parts[0] in MERGED else plain


def _joined(link: str, target: str) -> str:
    """Where a link at `link` leads, as a path of the tree."""
    if target.startswith("/"):
        return _merged(target)
    return _merged(os.path.normpath(os.path.join(os.path.dirname(link), target)))


def _find_library(tree: Path, name: str, folders: Iterable[str], wanted_by: str) -> str:
    for folder in (*folders, *library_folders(tree)):
        path = _merged(f"{folder}/{name}")
        if os.path.lexists(tree / path):
            return path
    raise UnavailableError(f"{wanted_by} needs {name}, which no package in {tree} has")


def library_folders(tree: Path) -> list[str]:
    """Where the dynamic loader of Debian looks without a cache: the multiarch folder first."""
    multiarch = sorted(path.name for path in (tree / "usr/lib").glob("*-linux-gnu*"))
    return [*(f"usr/lib/{name}" for name in multiarch), "usr/lib", "usr/lib64"]


@dataclass(frozen=True, slots=True)
class Elf:
    """What the dynamic loader reads of a program. search: its RUNPATH (or RPATH) folders."""

    interpreter: str
    needed: tuple[str, ...]
    search: tuple[str, ...]


def read_elf(path: Path) -> Elf | None:
    """The dynamic section of a 64-bit little-endian ELF file; None when it is not one.

    Source: System V ABI, "Object Files" and "Dynamic Linking".
    """
    with path.open("rb") as file:
        if file.read(6) != b"\x7fELF\x02\x01":
            return None
    data = path.read_bytes()
    table, size, count = *struct.unpack_from("<Q", data, 32), *struct.unpack_from("<HH", data, 54)
    segments = [_segment(data, table + size * index) for index in range(count)]
    loads = [
        (address, offset, size) for kind, offset, address, size in segments if kind == _PT_LOAD
    ]
    interpreter, dynamic = "", []
    for kind, offset, _, length in segments:
        if kind == _PT_INTERP:
            interpreter = _text(data, offset)
        elif kind == _PT_DYNAMIC:
            dynamic = list(struct.iter_unpack("<qQ", data[offset : offset + length - length % 16]))
    return _dynamic(data, interpreter, dynamic, loads)


def _segment(data: bytes, at: int) -> tuple[int, int, int, int]:
    kind, _, offset, address, _, size = struct.unpack_from("<IIQQQQ", data, at)
    return kind, offset, address, size


def _dynamic(
    data: bytes,
    interpreter: str,
    dynamic: list[tuple[int, int]],
    loads: list[tuple[int, int, int]],
) -> Elf:
    names = next((value for tag, value in dynamic if tag == _DT_STRTAB), 0)
    strings = next((o + names - a for a, o, size in loads if a <= names < a + size), 0)
    found: dict[int, list[str]] = {_DT_NEEDED: [], _DT_RPATH: [], _DT_RUNPATH: []}
    for tag, value in dynamic:
        if tag == _DT_NULL:
            break
        if tag in found:
            found[tag].append(_text(data, strings + value))
    search = found[_DT_RUNPATH] or found[_DT_RPATH]
    folders = tuple(part for one in search for part in one.split(":") if part)
    return Elf(interpreter, tuple(found[_DT_NEEDED]), folders)


def _text(data: bytes, at: int) -> str:
    return data[at : data.index(b"\0", at)].decode()
