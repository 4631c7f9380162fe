"""Where nodes pull from: the lab's own registry, and a mirror of docker.io when that answers.

Both are Debian's docker-registry, unpacked and never installed. Must not know what images are made
of. Source: distribution 2.8, "Configuring a registry" (read in JSON, which is YAML as well).
"""

from __future__ import annotations

import hashlib
import json
import ssl
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from podwire.cluster.files import write_file
from podwire.cluster.images.store import ImageSet
from podwire.cluster.packages import unpack
from podwire.kernel.process import Program
from podwire.model.progress import Progress, silent

DOCKER_HUB = "https://registry-1.docker.io"
_CRI = 'plugins."io.containerd.grpc.v1.cri".registry'
_CLEAN = ("/usr/bin/env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin")
_SERVE_SOCKET = 'rm -f -- "$2" && exec "$1" serve "$3"'


def registry_program(
    cache: Path,
    images: ImageSet,
    address: str,
    port: int,
    log: Path,
    netns: str | None = None,
    progress: Progress = silent,
    *,
    owner: str = "",
) -> Program:
    """The lab's registry, which serves `images`, read only, at `address`:`port` alone.

    owner: whose it is, when there are several.

    Raises UnavailableError when docker-registry is not to be had.
    """
    binary = registry_binary(cache, progress)
    storage = {
        "filesystem": {"rootdirectory": str(images.storage)},
        "maintenance": {"uploadpurging": {"enabled": False}, "readonly": {"enabled": True}},
    }
    config = _config(cache, storage, {"addr": f"{address}:{port}"})
    # A clean environment: REGISTRY_* variables of the user's would override the configuration.
    argv = (*_CLEAN, str(binary), "serve", str(config))
    return Program("registry", argv, log, node=owner, netns=netns)


def mirror_program(
    cache: Path,
    socket: Path,
    log: Path,
    *,
    upstream: str = DOCKER_HUB,
    progress: Progress = silent,
    owner: str = "",
) -> Program:
    """A pull-through mirror of `upstream` at the unix socket `socket`, in the machine's network.

    What it pulled stays in the cache and is served again for a week. It ends at once when upstream
    does not answer at its start. Raises UnavailableError when docker-registry is not to be had.
    """
    storage_root = cache / "mirror"
    storage_root.mkdir(parents=True, exist_ok=True)
    binary = registry_binary(cache, progress)
    storage = {"filesystem": {"rootdirectory": str(storage_root)}}
    http = {"net": "unix", "addr": str(socket)}
    config = _config(cache, storage, http, proxy={"remoteurl": upstream})
    argv = ("/bin/sh", "-c", _SERVE_SOCKET, "sh", str(binary), str(socket), str(config))
    return Program("mirror", argv, log, node=owner)


def registry_binary(cache: Path, progress: Progress = silent) -> Path:
    tree = unpack(["docker-registry"], cache / "tools" / "docker-registry", progress, cache=cache)
    return tree / "usr/bin/docker-registry"


def _config(cache: Path, storage: dict[str, Any], http: dict[str, Any], **more: Any) -> Path:
    """Write a configuration, named by its content: it depends on nothing else."""
    document = {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {**storage, "cache": {"blobdescriptor": "inmemory"}},
        "http": {**http, "secret": "nothing is uploaded"},
        "health": {"storagedriver": {"enabled": False}},
        **more,
    }
    text = json.dumps(document, indent=1).encode()
    path = cache / "registry" / f"{hashlib.sha256(text).hexdigest()[:16]}.yml"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, text)
    return path


def docker_hub_answers(timeout: float = 5.0, url: str = f"{DOCKER_HUB}/v2/") -> bool:
    """Whether a registry speaks at `url` within `timeout` seconds, name resolution included."""
    found: list[bool] = []
    asking = threading.Thread(target=lambda: found.append(_answers(url, timeout)), daemon=True)
    asking.start()
    asking.join(timeout)
    return found == [True]


def _answers(url: str, timeout: float) -> bool:
    """A registry answers 200, or 401 when it wants a token first, and names its protocol."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as response:
            headers = response.headers
    except urllib.error.HTTPError as error:
        if error.code != 401:
            return False
        headers = error.headers
    except (OSError, ValueError, ssl.SSLError):
        return False
    return str(headers.get("Docker-Distribution-Api-Version", "")).startswith("registry/2")


def containerd_mirrors(local: str, mirror: str | None = None) -> str:
    """The part of containerd's configuration (1.5 to 2.x) that names the registries to ask.

    local, mirror: as in http://172.31.0.4:5000. The mirror is asked first, for docker.io alone;
    then the local registry, for any host; at last, by containerd's own rule, that host itself.
    """
    hub = [mirror, local] if mirror else [local]
    lines = [f"[{_CRI}.mirrors]"]
    for host, endpoints in (("docker.io", hub), ("*", [local])):
        lines += [f'[{_CRI}.mirrors."{host}"]', f"  endpoint = {json.dumps(endpoints)}"]
    return "\n".join(lines) + "\n"
