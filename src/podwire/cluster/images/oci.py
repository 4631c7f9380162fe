"""OCI images from files: layer, configuration, manifest, archive; byte for byte the same each time.

Must not know where blobs are kept nor what is in an image.
Source: OCI image specification 1.0 (layer, config, manifest, image layout).
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from podwire.cluster.images.rootfs import Entry

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
INDEX = "application/vnd.oci.image.index.v1+json"
GZIP_LEVEL = 4
EPOCH = "1970-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Settings:
    """How a container of the image is run (the `config` object of an image configuration)."""

    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: tuple[str, ...] = ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",)
    ports: tuple[str, ...] = ()
    stop_signal: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        every = {
            "Entrypoint": list(self.entrypoint),
            "Cmd": list(self.cmd),
            "Env": list(self.env),
            "ExposedPorts": {port: {} for port in self.ports},
            "StopSignal": self.stop_signal,
            "Labels": dict(self.labels),
        }
        return {name: value for name, value in every.items() if value}


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes and what they are; the digest names them."""

    media_type: str
    data: bytes

    @property
    def digest(self) -> str:
        return f"sha256:{hashlib.sha256(self.data).hexdigest()}"

    def descriptor(self) -> dict[str, Any]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.data)}


@dataclass(frozen=True, slots=True)
class Packed:
    """A finished image. blobs: configuration and layer; unpacked: bytes of the layer's tar."""

    manifest: Blob
    blobs: tuple[Blob, ...]
    unpacked: int


def pack(entries: Iterable[Entry], settings: Settings, architecture: str) -> Packed:
    """One-layer image of `entries` (in that order). architecture: as Go names it, amd64."""
    plain = layer_tar(entries)
    layer = Blob(LAYER, gzip.compress(plain, GZIP_LEVEL, mtime=0))
    config = Blob(CONFIG, _json(_configuration(plain, settings, architecture)))
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config.descriptor(),
        "layers": [layer.descriptor()],
    }
    return Packed(Blob(MANIFEST, _json(document)), (config, layer), len(plain))


def _configuration(plain: bytes, settings: Settings, architecture: str) -> dict[str, Any]:
    return {
        "created": EPOCH,
        "architecture": architecture,
        "os": "linux",
        "config": settings.document(),
        "rootfs": {"type": "layers", "diff_ids": [Blob("", plain).digest]},
        "history": [{"created": EPOCH, "created_by": "podwire"}],
    }


def layer_tar(entries: Iterable[Entry]) -> bytes:
    """Everything owned by 0:0 and dated 1970."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for entry in entries:
            _append(tar, entry)
    return buffer.getvalue()


def _append(tar: tarfile.TarFile, entry: Entry) -> None:
    header = tarfile.TarInfo(entry.path)
    header.mode = entry.mode
    if entry.target is not None:
        header.type, header.linkname = tarfile.SYMTYPE, entry.target
    elif entry.content is None:
        header.type = tarfile.DIRTYPE
    data = entry.read()
    header.size = len(data)
    tar.addfile(header, io.BytesIO(data))


def archive(image: Packed, names: Iterable[str]) -> bytes:
    """An OCI image layout in a tar, which `ctr images import` takes; `names`: full references."""
    index = {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [
            {**image.manifest.descriptor(), "annotations": {"io.containerd.image.name": name}}
            for name in names
        ],
    }
    files = {
        "oci-layout": _json({"imageLayoutVersion": "1.0.0"}),
        "index.json": _json(index),
        **{f"blobs/sha256/{one.digest[7:]}": one.data for one in (image.manifest, *image.blobs)},
    }
    return layer_tar(Entry(path, 0o644, data) for path, data in sorted(files.items()))


def _json(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
