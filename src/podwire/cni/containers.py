"""Which containers the runtime knows, as far as it can be seen without its API.

Two witnesses: a command that prints ids (crictl where it is on PATH), and the results of ADD that
libcni and `podwire cni` keep until their DEL. Must not know leases.
Source: libcni's cache (containernetworking/cni, libcni/api.go: results/NETWORK-CONTAINER-IFNAME).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from podwire.cni.libcni import CACHES
from podwire.cni.runtime import all_attachments
from podwire.model.errors import InvalidInputError, UnavailableError

CRICTL = ("crictl", "pods", "-q", "--no-trunc")
TIMEOUT = 15.0
_CRI_ID = re.compile(r"[0-9a-f]{64}")
_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]*")
_SHORTEST = 12
"""Characters of an id that tell it from all others: what `docker ps -q` prints."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A result of ADD that a runtime keeps. addresses: without prefix length; path: its file.

    netns: path of the pod's namespace, "" if not told; pod_namespace, pod_name: of Kubernetes.
    """

    path: str
    network: str
    container_id: str
    ifname: str
    addresses: tuple[str, ...]
    netns: str = ""
    pod_namespace: str = ""
    pod_name: str = ""


@dataclass(frozen=True, slots=True)
class Containers:
    """ids: those that the runtime lists, None when nobody could be asked; told_by: who said so, or
    why nobody did. kept: results of libcni; own: ids that `podwire cni add` attached."""

    ids: frozenset[str] | None = None
    told_by: str = "nobody was asked"
    kept: tuple[Kept, ...] = ()
    own: frozenset[str] = frozenset()

    def lacks(self, container_id: str) -> bool:
        """Whether the runtime was asked and does not know it. Only of ids as a CRI runtime gives
        them: what an operator attached by hand is none of its containers."""
        if self.ids is None or not _CRI_ID.fullmatch(container_id) or container_id in self.own:
            return False
        return not any(container_id.startswith(one) for one in self.ids)


def look(command: Iterable[str] = (), caches: Iterable[str] = CACHES) -> Containers:
    """What is seen now. command: argv that prints one id a line; crictl when it is empty.

    Raises InvalidInputError when the given command fails or prints no ids. crictl may fail: then
    nobody is asked.
    """
    kept = tuple(one for place in caches for one in _kept(place))
    own = frozenset(one.container_id for one in all_attachments())
    argv = list(command)
    if argv:
        return Containers(_listed(argv), " ".join(argv), kept, own)
    if shutil.which(CRICTL[0]) is None:
        return Containers(None, "there is no crictl; name another by --runtime", kept, own)
    try:
        return Containers(_listed(list(CRICTL)), "crictl", kept, own)
    except InvalidInputError as error:
        return Containers(None, str(error), kept, own)


def _listed(argv: list[str]) -> frozenset[str]:
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, errors="replace", timeout=TIMEOUT, check=False
        )
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise InvalidInputError(f"the runtime cannot be asked by {argv[0]!r}: {error}") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["nothing"]
        raise InvalidInputError(
            f"the runtime cannot be asked: {' '.join(argv)} ended with {done.returncode} "
            f"and said: {said[-1][:200]}"
        )
    words = done.stdout.split()
    for word in words:
        if len(word) < _SHORTEST or not _ID.fullmatch(word):
            raise InvalidInputError(
                f"{' '.join(argv)} printed {word[:80]!r}, which is no container id of at least "
                f"{_SHORTEST} characters; it must print ids alone, as `crictl pods -q` does"
            )
    return frozenset(words)


def _kept(place: str) -> Iterator[Kept]:
    """Those of this boot: a reboot ends every attachment, but not its file."""
    booted = _boot_time()
    with suppress(OSError):
        for name in sorted(os.listdir(place)):
            path = os.path.join(place, name)
            with suppress(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
                if os.stat(path).st_mtime >= booted:
                    yield _parse(path)


def _parse(path: str) -> Kept:
    """Versions 0.3 to 1.1 of the result; raises ValueError, KeyError, TypeError, AttributeError."""
    with open(path, "rb") as file:
        raw: dict[str, Any] = json.load(file)
    network, container_id, ifname = (raw[one] for one in ("networkName", "containerId", "ifName"))
    if not all(isinstance(one, str) and one for one in (network, container_id, ifname)):
        raise ValueError(path)
    found = [str(one["address"]) for one in raw["result"].get("ips") or ()]
    addresses = tuple(one.partition("/")[0] for one in found)
    links = raw["result"].get("interfaces") or ()
    args = {str(name): str(value) for name, value in raw.get("cniArgs") or ()}
    return Kept(
        *(path, network, container_id, ifname, addresses),
        netns=next((str(one["sandbox"]) for one in links if one.get("sandbox")), ""),
        pod_namespace=args.get("K8S_POD_NAMESPACE", ""),
        pod_name=args.get("K8S_POD_NAME", ""),
    )


def _boot_time() -> float:
    """Unix time. Raises UnavailableError without /proc. Source: proc(5), btime in /proc/stat."""
    with suppress(OSError, ValueError), open("/proc/stat") as file:
        for line in file:
            if line.startswith("btime "):
                return float(line.split()[1])
    raise UnavailableError("/proc/stat does not tell when the machine was booted; mount /proc")
