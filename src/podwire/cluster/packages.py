"""Debian packages: small tools installed by name, daemons unpacked into a directory instead.

Installing etcd-server, containerd, docker-registry or nginx would start and enable a service on the
user's machine; unpacked, they are only files. So `ensure_installed` takes names from a closed list
alone, and `unpack` runs no maintainer script: no users, no alternatives, no ldconfig.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from podwire.cluster import apt
from podwire.cluster.apt import Apt, Archive
from podwire.cluster.cache import inspect, locked, replacing, seal
from podwire.cluster.commands import run
from podwire.model.errors import InvalidInputError, ProcessError, UnavailableError
from podwire.model.layout import CACHE
from podwire.model.progress import Progress, silent

INSTALLABLE: Final = frozenset(
    {
        "bind9-dnsutils",
        "bridge-utils",
        "conntrack",
        "curl",
        "dpkg-dev",
        "ebtables",
        "gcc",
        "iproute2",
        "ipset",
        "iptables",
        "iputils-ping",
        "kmod",
        "libc6-dev",
        "make",
        "net-tools",
        "nftables",
        "patch",
        "procps",
        "slirp4netns",
        "sudo",
        "tcpdump",
        "util-linux",
        "xz-utils",
    }
)
"""Packages that start and enable no service."""
_APT: Final = ("apt-get", "-q", "-o", "DPkg::Lock::Timeout=400")
_KEEP_CONFIGURATION: Final = (
    *("-o", "Dpkg::Options::=--force-confdef"),
    *("-o", "Dpkg::Options::=--force-confold"),
)
_INSTALL: Final = (*_APT, *_KEEP_CONFIGURATION, "-y", "--no-install-recommends", "install")
_QUIET: Final = {
    "DEBIAN_FRONTEND": "noninteractive",
    "APT_LISTCHANGES_FRONTEND": "none",
    "NEEDRESTART_SUSPEND": "1",
}
_SBIN: Final = "/usr/local/sbin:/usr/sbin:/sbin"
_MERGED: Final = ("bin", "sbin", "lib", "lib64")


def ensure_installed(
    commands: Mapping[str, str], progress: Progress = silent, *, path: str | None = None
) -> tuple[str, ...]:
    """Install the packages of those `commands` (command -> package) that this machine lacks.

    A command that is an absolute path (/usr/include/stdio.h) stands for that file.
    path: where commands are looked for, default $PATH and the sbin directories.
    Returns the packages that were installed. Raises InvalidInputError for a package outside
    INSTALLABLE, UnavailableError without apt or when it fails, ProcessError when a command is
    missing even then.
    """
    refused = sorted(set(commands.values()) - INSTALLABLE)
    if refused:
        raise InvalidInputError(
            f"{', '.join(refused)}: may not be installed on a user's machine; unpack() takes any"
        )
    missing = _missing(commands, path)
    if not missing:
        return ()
    packages = sorted(set(missing.values()))
    _install(packages, missing, progress)
    if still := _missing(missing, path):
        raise ProcessError(
            f"installed {', '.join(packages)}, but {', '.join(still)} is still not in the PATH"
        )
    return tuple(packages)


def _missing(commands: Mapping[str, str], path: str | None) -> dict[str, str]:
    where = path if path is not None else f"{os.environ.get('PATH', '')}:{_SBIN}"
    return {name: of for name, of in commands.items() if not _is_there(name, where)}


def _is_there(command: str, where: str) -> bool:
    return Path(command).exists() if command[:1] == "/" else bool(shutil.which(command, path=where))


def _install(packages: Sequence[str], missing: Mapping[str, str], progress: Progress) -> None:
    by_hand = (
        f"missing: {', '.join(missing)}. Install them by hand, as root: "
        f"apt-get install --no-install-recommends {' '.join(packages)}"
    )
    if shutil.which("apt-get") is None:
        raise UnavailableError(
            f"there is no apt on this machine; {by_hand} (Debian's names; yours may differ)"
        )
    progress(f"installing {', '.join(packages)}", None)
    try:
        run([*_INSTALL, *packages], env=_QUIET)
    except ProcessError:
        apt.machine(CACHE).update(progress)
        try:
            run([*_INSTALL, *packages], env=_QUIET)
        except ProcessError as error:
            raise UnavailableError(f"{by_hand}\n{error}") from error


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a tree was asked to hold; another wish means another tree."""

    packages: tuple[str, ...]
    suite: str | None
    with_dependencies: bool
    leave_out: tuple[str, ...]
    essential: bool

    def facts(self) -> dict[str, Any]:
        return {
            "packages": list(self.packages),
            "suite": self.suite,
            "with_dependencies": self.with_dependencies,
            "leave_out": list(self.leave_out),
            "essential": self.essential,
        }


def unpack(
    packages: Sequence[str],
    destination: Path,
    progress: Progress = silent,
    *,
    suite: str | None = None,
    with_dependencies: bool = False,
    leave_out: Sequence[str] = (),
    essential: bool = True,
    cache: Path = CACHE,
) -> Path:
    """Make `destination` a tree of the files of `packages`; returns it. Installs nothing.

    A tree that is whole and holds just that is left as it is, without asking apt. suite: take
    them from this suite of the machine's mirrors, as in "bullseye". with_dependencies: also all
    that they depend on, first alternatives; leave_out: dependencies not to take or follow;
    essential=False: nor those that every Debian has (dpkg, perl-base, tar, ...).
    The manifest's facts hold "contents": ["etcd-server=3.4.23-4+b4", ...] and "archives", their
    .deb files with digests. Raises UnavailableError when apt or a package is not to be had.
    """
    wanted = _Wanted(
        tuple(sorted(packages)), suite, with_dependencies, tuple(sorted(leave_out)), essential
    )
    if _is_unpacked(destination, wanted):
        return destination
    with locked(destination, destination.name, progress):
        if not _is_unpacked(destination, wanted):
            tool = apt.private(cache, suite) if suite else apt.machine(cache)
            names = _names(tool, wanted, progress)
            archives = tool.download(names, cache / "debs", progress)
            _extract(archives, cache / "debs", destination, wanted, progress)
    return destination


def _is_unpacked(destination: Path, wanted: _Wanted) -> bool:
    found = inspect(destination)
    return found is not None and not found.damage and found.facts.get("wanted") == wanted.facts()


def _names(tool: Apt, wanted: _Wanted, progress: Progress) -> list[str]:
    if not wanted.with_dependencies:
        return list(wanted.packages)
    progress(f"finding what {', '.join(wanted.packages)} depends on", None)
    names = tool.closure(wanted.packages, progress, leave_out=wanted.leave_out)
    if wanted.essential:
        return names
    leave_out = {*wanted.leave_out, *tool.essential(names)} - set(wanted.packages)
    return tool.closure(wanted.packages, progress, leave_out=sorted(leave_out))


def _extract(
    archives: Sequence[Archive],
    debs: Path,
    destination: Path,
    wanted: _Wanted,
    progress: Progress,
) -> None:
    with replacing(destination) as tree:
        merge_usr(tree)
        for count, archive in enumerate(archives):
            progress(f"unpacking {archive.version}", count / len(archives))
            extract(debs / archive.file, tree)
        facts = {
            "wanted": wanted.facts(),
            "contents": [one.version for one in archives],
            "archives": {one.file: f"{one.algorithm}:{one.digest}" for one in archives},
        }
        seal(tree, _key_files(tree), facts)


def merge_usr(tree: Path) -> None:
    """The links of a merged /usr, made first: packages bring either spelling of a directory."""
    for name in _MERGED:
        (tree / "usr" / name).mkdir(parents=True, exist_ok=True)
        (tree / name).symlink_to(f"usr/{name}")


def extract(deb: Path, tree: Path) -> None:
    """The files of one .deb into `tree`, through links to directories that are there already."""
    into = ["tar", "-x", "--keep-directory-symlink", "-C", str(tree)]
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE
    ) as source:
        done = subprocess.run(into, stdin=source.stdout, capture_output=True, text=True)
        if source.stdout:
            source.stdout.close()
    if done.returncode or source.returncode:
        raise ProcessError(f"cannot unpack {deb}: {done.stderr.strip() or 'dpkg-deb failed'}")


def _key_files(tree: Path) -> list[str]:
    """Programs and shared libraries: the files whose damage would show as a riddle later."""
    found = []
    for directory, _, names in os.walk(tree):
        for name in names:
            path = Path(directory, name)
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode) and (mode & 0o111 or ".so" in name):
                found.append(str(path.relative_to(tree)))
    return found
