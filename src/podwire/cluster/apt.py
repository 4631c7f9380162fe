"""Asking apt for packages without installing any: which files, what they depend on, get them.

Nothing here writes to /etc/apt or to dpkg's state: apt runs with an empty package status (so that
what is installed does not change what is chosen) and, for other suites, with sources and lists of
its own below the cache.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote

from podwire.cluster import apt_sources
from podwire.cluster.cache import digest, locked
from podwire.cluster.commands import run
from podwire.cluster.files import write_file
from podwire.model.errors import ProcessError, UnavailableError
from podwire.model.progress import Progress

_T = TypeVar("_T")
_URI = re.compile(
    r"^'(?P<uri>[^']+)' (?P<file>\S+) (?P<size>\d+) (?P<hash>\w+):(?P<digest>[0-9a-f]+)"
)
_SOURCE = ("source", "--download-only", "--only-source")
_LOCKED = "Could not get lock"
_LOCK_TIMEOUT = 400.0


@dataclass(frozen=True, slots=True)
class Archive:
    """A file that apt can get. algorithm, digest: as in ("sha256", "8669d2...")."""

    file: str
    size: int
    algorithm: str
    digest: str

    def lies_in(self, directory: Path) -> bool:
        """Whether the whole file is there already, its digest verified."""
        path = directory / self.file
        if not path.is_file() or path.stat().st_size != self.size:
            return False
        return digest(path, self.algorithm) == self.digest

    @property
    def version(self) -> str:
        """The version as in `package=version`: from package_version_architecture.deb."""
        name, version, *_ = self.file.split("_")
        return f"{name}={unquote(version)}"


@dataclass(frozen=True, slots=True)
class Apt:
    """apt with these options. lists: directory of its private lists, None for the machine's own."""

    options: tuple[str, ...]
    lists: Path | None = None

    def archives(self, packages: Sequence[str], progress: Progress) -> list[Archive]:
        """The .deb files of `packages`. Raises UnavailableError when one is not to be had."""
        return self._fresh(lambda: self._archives(packages), packages, progress)

    def _archives(self, packages: Sequence[str]) -> list[Archive]:
        return parse_uris(self._get("download", "--print-uris", *packages))

    def download(
        self, packages: Sequence[str], directory: Path, progress: Progress
    ) -> list[Archive]:
        """The .deb files of `packages`, whole and verified in `directory`."""

        def attempt() -> list[Archive]:
            found = self._archives(packages)
            missing = [one for one in found if not one.lies_in(directory)]
            if missing:
                names = [one.version for one in missing]
                self._fetch(("download", *names), missing, directory, progress)
            return found

        with locked(directory, "the package cache", progress):
            directory.mkdir(parents=True, exist_ok=True)
            return self._fresh(attempt, packages, progress)

    def source_archives(self, package: str, progress: Progress) -> list[Archive]:
        """The files of a source package (`name` or `name=version`), without getting them."""
        return self._fresh(lambda: self._source_archives(package), [package], progress)

    def _source_archives(self, package: str) -> list[Archive]:
        return parse_uris(self._get(*_SOURCE, "--print-uris", package))

    def source(self, package: str, directory: Path, progress: Progress) -> list[Archive]:
        """The files of a source package, verified in `directory`."""

        def attempt() -> list[Archive]:
            found = self._source_archives(package)
            if not all(one.lies_in(directory) for one in found):
                self._fetch((*_SOURCE, package), found, directory, progress)
            return found

        with locked(directory, "the package cache", progress):
            directory.mkdir(parents=True, exist_ok=True)
            return self._fresh(attempt, [package], progress)

    def closure(
        self, packages: Sequence[str], progress: Progress, *, leave_out: Sequence[str] = ()
    ) -> list[str]:
        """`packages` and all that they depend on, sorted; `leave_out` is not followed."""
        kinds = ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")
        flags = ["--recurse", *(f"--no-{kind}" for kind in kinds)]

        def attempt() -> list[str]:
            graph = parse_depends(self._cache("depends", *flags, *packages))
            return reach(graph, packages, leave_out)

        return self._fresh(attempt, packages, progress)

    def essential(self, packages: Sequence[str]) -> list[str]:
        """Those of `packages` that every Debian system has anyway."""
        text = self._cache("show", "--no-all-versions", *packages)
        stanzas = [stanza for stanza in text.split("\n\n") if "\nEssential: yes" in stanza]
        names = [re.search(r"^Package: (\S+)$", stanza, re.MULTILINE) for stanza in stanzas]
        return [match[1] for match in names if match]

    def update(self, progress: Progress) -> None:
        """Fetch the lists; waits while another apt holds them. A mirror that fails is no error."""
        progress("reading the package lists", None)
        if self.lists is None:
            self._update()
            return
        with locked(self.lists, "the package lists", progress):
            (self.lists / "partial").mkdir(parents=True, exist_ok=True)
            self._update()

    def _update(self) -> None:
        end = time.monotonic() + _LOCK_TIMEOUT
        while True:
            try:
                run(["apt-get", *self.options, "-q", "update"])
            except ProcessError as error:
                if _LOCKED in str(error) and time.monotonic() < end:
                    time.sleep(2)
                    continue
            return

    def _fresh(self, attempt: Callable[[], _T], packages: Sequence[str], progress: Progress) -> _T:
        """`attempt`, once more with new lists when it fails: they may be empty or stale."""
        try:
            return attempt()
        except ProcessError:
            self.update(progress)
        try:
            return attempt()
        except ProcessError as error:
            raise UnavailableError(f"apt cannot get {', '.join(packages)}: {error}") from error

    def _get(self, *args: str) -> str:
        return run(["apt-get", *self.options, "-q", *args])

    def _cache(self, *args: str) -> str:
        return run(["apt-cache", *self.options, "-q", *args])

    def _fetch(
        self,
        command: Sequence[str],
        archives: Sequence[Archive],
        directory: Path,
        progress: Progress,
    ) -> None:
        """Run the download, telling how many bytes have come, and verify what came."""
        paths = [directory / one.file for one in archives]
        total = sum(one.size for one in archives)
        what = f"downloading {len(archives)} packages ({total / 1e6:.0f} MB)"

        def tick() -> None:
            have = sum(path.stat().st_size for path in paths if path.exists())
            progress(what, min(1.0, have / total) if total else None)

        for path in paths:
            path.unlink(missing_ok=True)
        run(["apt-get", *self.options, "-q", *command], cwd=directory, tick=tick)
        broken = [one.file for one in archives if not one.lies_in(directory)]
        if broken:
            raise ProcessError(f"after the download {', '.join(broken)} is not what apt promised")


def machine(cache: Path) -> Apt:
    """apt with the machine's own sources and lists. Raises UnavailableError without apt."""
    return Apt(_options(cache))


def private(cache: Path, suite: str, kind: str = "deb") -> Apt:
    """apt for another suite (`bullseye`) of the machine's mirrors; kind: deb or deb-src.

    Raises UnavailableError without apt, or when no source of the machine is a Debian archive.
    """
    own = apt_sources.codename()
    found = apt_sources.for_suite(apt_sources.machine_sources(), own, suite, kind)
    if not found:
        raise UnavailableError(
            f"no apt source of this machine is a Debian archive (suite {own or 'unknown'}, "
            f"component main), so {suite} cannot be asked for packages; add one to /etc/apt"
        )
    home = cache / "apt" / f"{suite}-{kind}"
    (home / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    sources = home / "mirrors.sources"
    write_file(sources, "\n".join(source.stanza() for source in found).encode())
    options = {
        "Dir::Etc::sourcelist": str(sources),
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "Dir::State::lists": str(home / "lists"),
        "Dir::Cache": str(home),
        "Acquire::Languages": "none",
    }
    pairs = (text for item in options.items() for text in ("-o", "=".join(item)))
    return Apt((*_options(cache), *pairs), home / "lists")


def _options(cache: Path) -> tuple[str, ...]:
    if shutil.which("apt-get") is None:
        raise UnavailableError(
            "there is no apt on this machine: Debian packages cannot be unpacked"
        )
    status = cache / "apt" / "no-packages"
    status.parent.mkdir(parents=True, exist_ok=True)
    status.touch()
    empty = ("Dir::Cache::pkgcache=", "Dir::Cache::srcpkgcache=", f"Dir::State::status={status}")
    return tuple(text for option in empty for text in ("-o", option))


def parse_uris(text: str) -> list[Archive]:
    """What `apt-get --print-uris` prints: 'URI' file size ALGORITHM:digest."""
    found = (_URI.match(line) for line in text.splitlines())
    return [
        Archive(one["file"], int(one["size"]), one["hash"].lower(), one["digest"])
        for one in found
        if one
    ]


def parse_depends(text: str) -> dict[str, list[list[str]]]:
    """What `apt-cache depends --recurse` prints: package -> groups.

    One member of each group is needed: a group is a row of alternatives (`|Depends:` and the line
    that ends it); a virtual `<name>` is followed by the packages that provide it.
    """
    graph: dict[str, list[list[str]]] = {}
    group: list[str] = []
    joined = False
    for line in text.splitlines():
        match = re.match(r"^(?: ([ |])(?:Pre)?Depends: |(    ))?(\S+)$", line)
        if not match:
            continue
        mark, provider, name = match.groups()
        if mark is None and provider is None:
            package = graph.setdefault(name, [])
            joined = False
        elif provider is not None:
            group.append(name)
        else:
            if not joined:
                group = []
                package.append(group)
            group.append(name)
            joined = mark == "|"
    return graph


def reach(
    graph: dict[str, list[list[str]]], packages: Sequence[str], leave_out: Sequence[str] = ()
) -> list[str]:
    """What `packages` need: of each group a member already taken, else the first real package."""
    taken: dict[str, None] = dict.fromkeys(packages)
    queue = list(packages)
    while queue:
        for group in graph.get(queue.pop(0), []):
            real = [name for name in group if not name.startswith("<")]
            if any(name in taken or name in leave_out for name in real) or not real:
                continue
            taken[real[0]] = None
            queue.append(real[0])
    return sorted(taken)
