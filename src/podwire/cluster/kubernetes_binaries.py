"""Where the six programs of Kubernetes come from, in this order: a given directory, the cache, the
official release, Debian's source.

Must not know how any of these works inside, only what it gives and when it cannot.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from podwire.cluster import kubernetes_source
from podwire.cluster.cache import inspect, locked, seal, swap_in
from podwire.cluster.commands import run
from podwire.cluster.kubernetes_release import (
    ANSWER_LIMIT,
    RELEASES,
    download_release,
    published_digests,
    release_url,
)
from podwire.model.errors import InvalidInputError, ProcessError, UnavailableError
from podwire.model.layout import CACHE
from podwire.model.progress import Progress, portion, silent

DEFAULT_VERSION: Final = "v1.20.2"
"""The release that Debian's source gives too, so that a cluster is the same wherever it is from."""
PROGRAMS: Final = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
)
_VERSION = re.compile(r"v\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?")
_WISH = re.compile(r"v?(\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?)")


@dataclass(frozen=True, slots=True)
class KubernetesBinaries:
    """Six programs in `directory`. version: as in v1.20.2; origin: where from, for people."""

    version: str
    directory: Path
    origin: str

    def program(self, name: str) -> Path:
        return self.directory / name


@dataclass(frozen=True, slots=True)
class _Wish:
    """What is looked for: version None takes the default, or what Debian's source gives."""

    store: Path
    cache: Path
    version: str | None
    releases: str
    answer_limit: float
    progress: Progress


def find_kubernetes(
    *,
    cache: Path = CACHE,
    directory: Path | None = None,
    version: str | None = None,
    progress: Progress = silent,
    releases: str = RELEASES,
    answer_limit: float = ANSWER_LIMIT,
) -> KubernetesBinaries:
    """The programs of Kubernetes, fetched or built on the first call and from the cache later.

    directory: take them from there; version: as in 1.20.2 or v1.20.2. releases: the download
    site's base URL, asked only when it answers within `answer_limit` seconds. Two callers share
    one download or build; an interrupted one goes on at the next call.
    Raises InvalidInputError for a directory or a version that will not do, UnavailableError when
    the programs cannot be had now, ProcessError when a build or a checksum fails.
    """
    wanted = _normal(version)
    if directory is not None:
        return _given(directory, wanted)
    store = cache / "kubernetes"
    wish = _Wish(store, cache, wanted, releases, answer_limit, progress)
    if found := _cached(wish):
        return found
    with locked(store / "programs", "Kubernetes", progress):
        return _cached(wish) or _downloaded(wish) or _built(wish)


def check_wish(directory: Path | None, version: str | None) -> None:
    """Raise InvalidInputError for what `find_kubernetes` would refuse at once; gets nothing."""
    wanted = _normal(version)
    if directory is not None:
        _given(directory, wanted)


def _normal(version: str | None) -> str | None:
    if version is None:
        return None
    if match := _WISH.fullmatch(version):
        return f"v{match[1]}"
    raise InvalidInputError(f"Kubernetes version {version!r} is not of the form 1.20.2")


def _given(directory: Path, wanted: str | None) -> KubernetesBinaries:
    """(a) All six are there, run, and agree on the version."""
    lacking = [name for name in PROGRAMS if not os.access(directory / name, os.X_OK)]
    if lacking:
        raise InvalidInputError(
            f"{directory} has no executable {', '.join(lacking)}; needed are {', '.join(PROGRAMS)}"
        )
    versions = program_versions(directory)
    if len(set(versions.values())) > 1:
        listed = ", ".join(f"{name} {version}" for name, version in versions.items())
        raise InvalidInputError(f"the programs in {directory} are of several versions: {listed}")
    version = versions[PROGRAMS[0]]
    if wanted not in (None, version):
        raise InvalidInputError(f"{directory} has Kubernetes {version}, but {wanted} is asked for")
    return KubernetesBinaries(version, directory.resolve(), f"directory {directory}")


def program_versions(directory: Path, names: Sequence[str] = PROGRAMS) -> dict[str, str]:
    """What each program says of itself. Raises InvalidInputError when one says nothing."""

    def ask(name: str) -> str:
        arguments = ["version", "--client"] if name == "kubectl" else ["--version"]
        path = str((directory / name).resolve())
        try:
            said = run([path, *arguments])
        except ProcessError as error:
            raise InvalidInputError(f"{path} does not run here: {error}") from error
        if match := _VERSION.search(said):
            return match[0]
        raise InvalidInputError(f"{path} does not tell its version: {said.strip()[:200]!r}")

    with ThreadPoolExecutor(len(names)) as pool:
        return dict(zip(names, pool.map(ask, names), strict=True))


def _cached(wish: _Wish) -> KubernetesBinaries | None:
    """(b) What lies in the cache, if it is whole."""
    asked = wish.version or DEFAULT_VERSION
    others = sorted(wish.store.glob("v*"), reverse=True) if wish.version is None else []
    for place in [wish.store / asked, *others]:
        found = inspect(place)
        if found is None or not (place.name == asked or found.facts.get("default")):
            continue
        if not found.damage:
            return KubernetesBinaries(place.name, place, str(found.facts.get("origin", "cache")))
        names = ", ".join(found.damage)
        wish.progress(f"{place} is damaged ({names}); getting Kubernetes anew", None)
    return None


def _downloaded(wish: _Wish) -> KubernetesBinaries | None:
    """(c) The official release; None when its site does not answer in time or has none such."""
    version = wish.version or DEFAULT_VERSION
    root = release_url(wish.releases, version)
    wish.progress(f"asking {root}", None)
    try:
        digests = published_digests(PROGRAMS, root, limit=wish.answer_limit)
    except UnavailableError as error:
        wish.progress(f"no download: {error}", None)
        return None
    parts = wish.store / f".{version}.download"
    download_release(digests, root, parts, wish.progress)
    return _keep(wish, parts, version, f"downloaded from {root}")


def _built(wish: _Wish) -> KubernetesBinaries:
    """(d) Debian's source, if it is of the version that is wanted."""
    try:
        source = kubernetes_source.source_package(wish.cache, wish.progress)
    except UnavailableError as error:
        raise UnavailableError(
            f"Kubernetes {wish.version or DEFAULT_VERSION} can neither be downloaded from "
            f"{wish.releases} nor built from Debian's source; give a directory that holds "
            f"{', '.join(PROGRAMS)}. {error}"
        ) from error
    if wish.version not in (None, source.version):
        raise UnavailableError(
            f"Kubernetes {wish.version} cannot be downloaded from {wish.releases} now; to be had "
            f"are {source.version}, built from Debian's source, and any version from a directory"
        )
    root = wish.store / f".build-{source.debian}"
    step = portion(wish.progress, 0.0, 0.99)
    out, go = kubernetes_source.build(source, PROGRAMS, root, wish.cache, step)
    origin = f"built from Debian's kubernetes {source.debian} with {go}"
    kept = _keep(wish, out, source.version, origin)
    for workshop in wish.store.glob(".build-*"):
        shutil.rmtree(workshop, ignore_errors=True)
    return kept


def _keep(wish: _Wish, made: Path, version: str, origin: str) -> KubernetesBinaries:
    """Move six programs that run and are of one version into the cache, sealed."""
    versions = program_versions(made)
    if set(versions.values()) != {version}:
        shutil.rmtree(made)
        raise ProcessError(f"{made} should hold Kubernetes {version}, but holds {versions}")
    place = wish.store / version
    default = version == DEFAULT_VERSION or wish.version is None
    seal(made, PROGRAMS, {"version": version, "origin": origin, "default": default})
    swap_in(made, place)
    return KubernetesBinaries(version, place, origin)
