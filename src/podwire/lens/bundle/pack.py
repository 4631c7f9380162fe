"""The archive: each item read, freed of secrets, written; what was done with it in the MANIFEST."""

from __future__ import annotations

import io
import tarfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import BinaryIO

from podwire.lens.bundle.items import Item, Text
from podwire.lens.bundle.redact import redact, redact_json
from podwire.model.errors import PodwireError

MANIFEST = "MANIFEST"
LIMIT = 64 << 20
"""Bytes of all texts together; what comes after is left out, and told."""
_MODE = 0o600
_HEAD = """\
A support bundle of Podwire {version}, made {made}.
Each file: its bytes, where it is from, what was left out, what was removed (marked [removed]).
Names and addresses of nodes, pods and services are in it, and what programs logged: what is
removed is what is named or looks like a secret. Read it before you send it.
"""


@dataclass(frozen=True, slots=True)
class Packed:
    """One item as it was packed. size: bytes; missing: why it is not there, "" when it is."""

    item: Item
    size: int = 0
    cut: int = 0
    removed: Counter[str] = field(default_factory=Counter)
    missing: str = ""


def pack(
    items: Iterable[Item], out: BinaryIO, top: str, version: str, readers: Executor
) -> tuple[Packed, ...]:
    """Write a tar.gz with all in the directory `top`. readers: read while others are packed.

    Raises OSError when it cannot be written.
    """
    read = [(one, readers.submit(_read, one)) for one in items]
    done: list[Packed] = []
    left = LIMIT
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for item, reading in read:
            text = reading.result()
            packed, said = _clean(item, text) if isinstance(text, Text) else (text, b"")
            if packed.size > left:
                packed = Packed(item, missing=f"left out: the bundle is full ({LIMIT >> 20} MiB)")
            if not packed.missing:
                left -= packed.size
                _add(tar, f"{top}/{item.name}", said)
            done.append(packed)
        head = _HEAD.format(version=version, made=time.strftime("%Y-%m-%d %H:%M:%S %Z"))
        _add(tar, f"{top}/{MANIFEST}", "\n".join([head, *map(_line, done), ""]).encode())
    return tuple(done)


def _read(item: Item) -> Text | Packed:
    try:
        return item.read()
    except PodwireError as error:
        return Packed(item, missing=str(error))
    except OSError as error:
        return Packed(item, missing=error.strerror or str(error))


def _clean(item: Item, read: Text) -> tuple[Packed, bytes]:
    said, removed = _cleaned(item.name, read.text)
    written = said.encode()
    return Packed(item, len(written), read.cut, removed), written


def _cleaned(name: str, text: str) -> tuple[str, Counter[str]]:
    if name.endswith(".json"):
        try:
            return redact_json(text)
        except ValueError:  # a program that says in words why there is no JSON
            pass
    return redact(text)


def _add(tar: tarfile.TarFile, name: str, text: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = len(text), _MODE, int(time.time())
    tar.addfile(info, io.BytesIO(text))


def _line(one: Packed) -> str:
    # An origin may be a command with a password, and an error may tell what it was about.
    told, _ = redact(f"{one.item.name}\n  from {one.item.origin}")
    return "\n".join([told, *(f"  {redact(line)[0]}" for line in _notes(one))])


def _notes(one: Packed) -> Iterator[str]:
    if one.missing:
        yield f"missing: {one.missing}"
        return
    yield f"{one.size} bytes"
    if one.cut:
        yield f"the {one.cut} bytes before it were left out"
    if one.removed:
        yield "removed: " + ", ".join(f"{kind} {n}" for kind, n in sorted(one.removed.items()))
