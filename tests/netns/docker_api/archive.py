"""An OCI image archive made of one static program, for `ctr images import`."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

PAUSE_IMAGE = "mcr.microsoft.com/oss/kubernetes/pause:1.3.1"
NGINX_IMAGE = "docker.io/library/nginx:latest"


def _blob(tar: tarfile.TarFile, data: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(data).hexdigest()
    _add(tar, f"blobs/sha256/{digest}", data)
    return {"digest": f"sha256:{digest}", "size": len(data)}


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0o755
    tar.addfile(info, io.BytesIO(data))


def _layer(program: bytes, names: tuple[str, ...]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as layer:
        for name in names:
            _add(layer, name, program)
    return buffer.getvalue()


def write_archive(
    target: Path, program: bytes, image: str, names: tuple[str, ...], args: list[str]
) -> None:
    """Write `image`: `program` under each of `names`, the first of them the entry point."""
    layer = _layer(program, names)
    with tarfile.open(target, "w") as tar:
        config = {
            "architecture": "amd64",
            "os": "linux",
            "created": "2020-11-06T13:56:29Z",
            "config": {"Entrypoint": [f"/{names[0]}"], "Cmd": args, "Env": ["PATH=/"]},
            "rootfs": {
                "type": "layers",
                "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"],
            },
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                **_blob(tar, json.dumps(config).encode()),
            },
            "layers": [
                {"mediaType": "application/vnd.oci.image.layer.v1.tar", **_blob(tar, layer)}
            ],
        }
        entry = {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "annotations": {"io.containerd.image.name": image},
            **_blob(tar, json.dumps(manifest).encode()),
        }
        _add(tar, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
        _add(tar, "index.json", json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode())
