"""A container image of one static program, as `docker save` writes it."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

from podwire.cluster.containerd import SANDBOX_IMAGE


def write_image(target: Path, program: Path) -> Path:
    layer = _tar({"pause": program.read_bytes()})
    digest = hashlib.sha256(layer).hexdigest()
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": ["/pause"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    entry = {"Config": "config.json", "RepoTags": [SANDBOX_IMAGE], "Layers": ["layer.tar"]}
    files = {
        "layer.tar": layer,
        "config.json": json.dumps(config).encode(),
        "manifest.json": json.dumps([entry]).encode(),
    }
    target.write_bytes(_tar(files))
    return target


def _tar(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o755
            tar.addfile(info, io.BytesIO(content))
    return made.getvalue()
