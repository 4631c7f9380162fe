"""The six programs of a Kubernetes release, downloaded from its site and verified.

Source: kubernetes.io/docs/tasks/tools (release URL layout): BASE/VERSION/bin/linux/ARCH/NAME, its
digest in NAME.sha256 or NAME.sha512.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from podwire.cluster.cache import digest
from podwire.cluster.download import fetch, read_text
from podwire.model.errors import UnavailableError
from podwire.model.progress import Progress, portion

RELEASES = "https://dl.k8s.io/release"
ANSWER_LIMIT = 5.0
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "ppc64le": "ppc64le", "s390x": "s390x"}
_LENGTHS = {"sha256": 64, "sha512": 128}


def release_url(base: str, version: str, machine: str = "") -> str:
    """Where the programs of `version` lie. machine: as `uname -m` says, default this one."""
    machine = machine or platform.machine()
    return f"{base.rstrip('/')}/{version}/bin/linux/{_ARCHITECTURES.get(machine, machine)}"


def published_digest(url: str, *, limit: float) -> tuple[str, str]:
    """(algorithm, hex digest) that the site publishes for `url`.

    Raises UnavailableError when the site does not answer within `limit` seconds, or has none.
    """
    for algorithm, length in _LENGTHS.items():
        text = read_text(f"{url}.{algorithm}", limit=limit)
        found = re.match(rf"[0-9a-f]{{{length}}}\b", (text or "").strip().lower())
        if found:
            return algorithm, found[0]
    raise UnavailableError(f"{url}: no .sha256 and no .sha512 of it is published")


def published_digests(
    names: Sequence[str], root: str, *, limit: float = ANSWER_LIMIT
) -> dict[str, tuple[str, str]]:
    """`published_digest` of each of `names` below `root`: whether the site is there, too."""
    return {name: published_digest(f"{root}/{name}", limit=limit) for name in names}


def download_release(
    digests: Mapping[str, tuple[str, str]], root: str, directory: Path, progress: Progress
) -> None:
    """Put the programs that `digests` names into `directory`, executable.

    What is there whole already is kept. Raises UnavailableError when the download is cut (the next
    call resumes), ProcessError for a wrong digest.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for count, (name, (algorithm, expected)) in enumerate(digests.items()):
        target = directory / name
        if not (target.exists() and digest(target, algorithm) == expected):
            step = portion(progress, count / len(digests), (count + 1) / len(digests))
            fetch(f"{root}/{name}", target, expected, algorithm, step)
            target.chmod(0o755)
