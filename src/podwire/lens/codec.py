"""A snapshot as JSON and back. The form is versioned: `snapshot.VERSION`."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zlib
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import cattrs
from cattrs.errors import BaseValidationError
from cattrs.gen import make_dict_unstructure_fn

from podwire.lens.snapshot import VERSION, Snapshot
from podwire.model.errors import InvalidInputError

BUNDLED = "snapshot.json"
"""What the snapshot's file is called in a support bundle."""
_GZIP = b"\x1f\x8b"
_TAR = slice(257, 262), b"ustar"
_converter = cattrs.Converter()
_converter.register_unstructure_hook_factory(
    lambda kind: hasattr(kind, "__dataclass_fields__"),
    lambda kind: make_dict_unstructure_fn(kind, _converter, _cattrs_omit_if_default=True),
)


def to_json(snapshot: Snapshot) -> str:
    """What has its default value is left out, but the version."""
    raw = {"version": snapshot.version, **_converter.unstructure(snapshot)}
    return json.dumps(raw, separators=(",", ":"))


def from_json(text: str | bytes, source: str = "the snapshot") -> Snapshot:
    """Raises InvalidInputError that names `source` when it is none, or of another version."""
    try:
        raw: Any = json.loads(text)
    except ValueError as error:
        raise InvalidInputError(f"{source} is no JSON: {error}") from error
    version = raw.get("version") if isinstance(raw, Mapping) else None
    if version != VERSION:
        raise InvalidInputError(
            f"{source} is no snapshot of version {VERSION} (its version: {version!r}); "
            "make one with `podwire snapshot` of this release"
        )
    try:
        return _converter.structure(raw, Snapshot)
    except BaseValidationError as error:
        said = "; ".join(cattrs.transform_error(error)[:3])
        raise InvalidInputError(f"{source} is no whole snapshot: {said}") from error


def load(path: Path) -> Snapshot:
    """Also one that gzip made smaller, or out of a support bundle. Raises InvalidInputError."""
    try:
        read = path.read_bytes()
    except OSError as error:
        raise InvalidInputError(f"cannot read the snapshot {path}: {error.strerror}") from error
    return from_bytes(read, str(path))


def from_bytes(read: bytes, source: str = "the snapshot") -> Snapshot:
    """As `load`, of a file's contents."""
    try:
        if read.startswith(_GZIP):
            read = gzip.decompress(read)
        where, magic = _TAR
        if read[where] == magic:
            read = _bundled(read, source)
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise InvalidInputError(f"cannot read the snapshot {source}: {error}") from error
    return from_json(read, source)


def bundled(path: Path, pattern: str) -> dict[str, bytes]:
    """The files of a support bundle whose path below its directory fits, as in "logs/*.log".

    Raises InvalidInputError for what is no bundle.
    """
    try:
        return _members(gzip.decompress(path.read_bytes()), pattern)
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise InvalidInputError(
            f"{path} is no support bundle ({error}); `podwire support-bundle` makes one"
        ) from error


def _bundled(bundle: bytes, source: str) -> bytes:
    for content in _members(bundle, BUNDLED).values():
        return content
    raise InvalidInputError(f"{source} has no {BUNDLED}: its MANIFEST says why none was made")


def _members(tar: bytes, pattern: str) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        wanted = [one for one in archive if fnmatch(one.name.partition("/")[2], pattern)]
        files = ((one.name, archive.extractfile(one)) for one in wanted)
        return {name: file.read() for name, file in files if file is not None}
