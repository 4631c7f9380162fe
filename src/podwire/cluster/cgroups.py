"""The cgroups of a lab: where they are on this machine, which a program joins, and their end.

Must not know what runs in them. Source: cgroups(7), Documentation/admin-guide/cgroup-v2.rst.

On v1 and hybrid machines the lab is nested under the caller's own cgroup in every hierarchy, so
that limits which the caller has hold for the lab too. On a v2 machine it is put at the hierarchy's
top: a login session's scope ends with the session. There a cgroup that hands controllers on holds
no processes, so a node's own programs live in a leaf of it.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from podwire.model.errors import KernelError, UnavailableError
from podwire.model.layout import LabLayout

V2_CONTROLLERS = ("cpuset", "cpu", "io", "memory", "hugetlb", "pids")
"""What a kubelet and runc use of v2; those that the kernel has are handed on to the nodes."""
_V2_NEEDED = frozenset({"cpuset", "cpu", "memory", "pids"})
_V1_FLAGS = frozenset({"rw", "ro", "xattr", "noprefix", "clone_children", "cpuset_v2_mode"})
_LEAF = "init"


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """One mounted cgroup hierarchy.

    options: what mounts it again, as in "cpu,cpuacct" or "name=systemd"; "" for v2.
    own: the directory of the process that asked.
    """

    mount: Path
    options: str
    own: Path

    @property
    def v2(self) -> bool:
        return not self.options


def hierarchies(mountinfo: str, own_cgroups: str) -> tuple[Hierarchy, ...]:
    """The hierarchies in the texts of /proc/self/mountinfo and /proc/self/cgroup, each once."""
    own = dict(line.split(":", 2)[1:] for line in own_cgroups.splitlines() if line)
    found: dict[str, Hierarchy] = {}
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        root, point = before.split()[3:5]
        kind, _, flags = after.split()[:3]
        if not kind.startswith("cgroup"):
            continue
        options = "" if kind == "cgroup2" else _options(flags)
        path = own.get(options, "/")
        inside = path[len(root) :] if root != "/" and path.startswith(root) else path
        directory = Path(point) / inside.lstrip("/")
        found.setdefault(options, Hierarchy(Path(point), options, directory))
    return tuple(found.values())


def _options(flags: str) -> str:
    parts = [one for one in flags.split(",") if one not in _V1_FLAGS]
    return ",".join(one for one in parts if not one.startswith("release_agent="))


def of_this_machine() -> tuple[Hierarchy, ...]:
    """Raises UnavailableError when no cgroup hierarchy is mounted."""
    proc = Path("/proc/self")
    found = hierarchies((proc / "mountinfo").read_text(), (proc / "cgroup").read_text())
    if not found:
        raise UnavailableError(
            "no cgroup hierarchy is mounted; mount one, as in "
            "`mount -t cgroup2 none /sys/fs/cgroup`, or start with an init that does"
        )
    return found


def is_v2(found: Iterable[Hierarchy]) -> bool:
    """Whether the controllers are those of v2: a hybrid machine's count as v1."""
    return all(one.v2 for one in found)


@dataclass(frozen=True, slots=True)
class NodeCgroups:
    """root: what the node sees as its "/", to be joined before its cgroup namespace is made.

    leaf: what the node's own programs join; on v1 the same directories.
    """

    root: tuple[Path, ...]
    leaf: tuple[Path, ...]
    v2: bool

    def settle(self, pids: Iterable[int]) -> None:
        """Move the node's first processes into the leaf, then hand the controllers on (v2)."""
        if not self.v2:
            return
        for pid in pids:
            _write(self.leaf[0] / "cgroup.procs", str(pid))
        _hand_on(self.root[0])


@dataclass(frozen=True, slots=True)
class LabCgroups:
    """The lab's directory in every hierarchy.

    lent: v2 controllers that were not handed on at the hierarchy's top before this lab.
    """

    roots: tuple[Path, ...]
    v2: bool
    record: Path
    lent: tuple[str, ...] = ()

    @classmethod
    def create(cls, layout: LabLayout) -> LabCgroups:
        """Make the directories, or take those that are there. They are recorded first, so that
        `find` knows of them from any session and after any crash.

        Raises UnavailableError when the machine's cgroups cannot carry a node, KernelError.
        """
        made = cls.find(layout)
        if made is None:
            made = planned(of_this_machine(), layout)
            made.save()
        made.make()
        return made

    @classmethod
    def find(cls, layout: LabLayout) -> LabCgroups | None:
        """The lab's cgroups as `create` recorded them, whether or not they still exist."""
        record = _record(layout)
        try:
            text = json.loads(record.read_text())
            roots = tuple(Path(one) for one in text["roots"])
            return cls(roots, text["v2"], record, tuple(text["lent"]))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def group(self, name: str) -> tuple[Path, ...]:
        """Make `<lab>/<name>` ("daemon", "control-plane"): the directories to join."""
        made = tuple(root / name for root in self.roots)
        for one in made:
            _make(one)
        return made

    def node(self, name: str) -> NodeCgroups:
        """Make the cgroups of a node."""
        root = self.group(name)
        if not self.v2:
            return NodeCgroups(root, root, v2=False)
        return NodeCgroups(root, self.group(f"{name}/{_LEAF}"), v2=True)

    def pids(self, name: str = "") -> set[int]:
        """Who is in the lab's cgroups, or in those of `name`."""
        return {pid for root in self.roots for one in _tree(root / name) for pid in _pids(one)}

    def kill(self, name: str = "", *, timeout: float = 5.0) -> None:
        """SIGKILL all in them but the caller, and wait until they are gone.

        Raises KernelError when some are still there after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while left := self.pids(name) - {os.getpid()}:
            if time.monotonic() > deadline:
                raise KernelError(f"processes {sorted(left)} do not end after SIGKILL; see `ps`")
            self._thaw(name)
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)

    def remove(self, name: str = "") -> None:
        """Remove the lab's cgroups, or those of `name`; call `kill` first. The caller leaves them.

        Raises KernelError naming who is still inside.
        """
        if os.getpid() in self.pids(name):
            for root in self.roots:
                _write(root.parent / "cgroup.procs", "0")
        for root in self.roots:
            for one in sorted(_tree(root / name), key=lambda path: -len(path.parts)):
                _rmdir(one)
        if not name:
            self._give_back()
            self.record.unlink(missing_ok=True)

    def save(self) -> None:
        """Write the record."""
        self.record.parent.mkdir(parents=True, exist_ok=True)
        text = {"roots": [str(one) for one in self.roots], "v2": self.v2, "lent": self.lent}
        half = self.record.with_suffix(".new")
        half.write_text(json.dumps(text) + "\n")
        half.replace(self.record)

    def make(self) -> None:
        """Make what is missing of the lab's own directories."""
        if self.v2:
            _hand_on(self.roots[0].parent)
        for root in self.roots:
            _make(root)
        if self.v2:
            _hand_on(self.roots[0])

    def _thaw(self, name: str) -> None:
        """A frozen process does not even die (v1's freezer)."""
        for root in self.roots:
            for one in _tree(root / name):
                if (one / "freezer.state").exists():
                    with suppress(OSError):
                        (one / "freezer.state").write_text("THAWED")

    def _give_back(self) -> None:
        for one in self.lent:
            with suppress(OSError):  # somebody else may use it by now
                (self.roots[0].parent / "cgroup.subtree_control").write_text(f"-{one}")


def planned(found: Sequence[Hierarchy], layout: LabLayout) -> LabCgroups:
    """Where a new lab's cgroups belong. Raises UnavailableError when v2 lacks a controller."""
    v2 = is_v2(found)
    parents = [one.mount if v2 else one.own for one in found]
    roots = tuple(one / f"podwire-{layout.name}" for one in parents)
    return LabCgroups(roots, v2, _record(layout), _lent(parents[0]) if v2 else ())


def _record(layout: LabLayout) -> Path:
    return layout.run / "cgroups.json"


def _make(path: Path) -> None:
    try:
        path.mkdir(exist_ok=True)
    except FileNotFoundError as error:
        raise KernelError(f"the cgroup {path.parent} is gone; run `podwire down`") from error
    except OSError as error:
        message = f"cannot make cgroup {path}: {error.strerror}"
        raise KernelError(message, errno=error.errno or 0) from error
    for name in ("cpuset.cpus", "cpuset.mems"):
        file = path / name
        # v1: a new cpuset is empty and lets nobody in. v2's inherits by itself.
        if (path / "tasks").exists() and file.exists() and not file.read_text().strip():
            file.write_text((path.parent / name).read_text())


def _lent(top: Path) -> tuple[str, ...]:
    have = (top / "cgroup.controllers").read_text().split()
    if missing := sorted(_V2_NEEDED - set(have)):
        raise UnavailableError(
            f"the cgroup v2 hierarchy at {top} lacks the controllers {', '.join(missing)}; "
            "enable them where this machine or container was started"
        )
    on = (top / "cgroup.subtree_control").read_text().split()
    return tuple(one for one in V2_CONTROLLERS if one in have and one not in on)


def _hand_on(path: Path) -> None:
    have = (path / "cgroup.controllers").read_text().split()
    on = (path / "cgroup.subtree_control").read_text().split()
    if wanted := [f"+{one}" for one in V2_CONTROLLERS if one in have and one not in on]:
        _write(path / "cgroup.subtree_control", " ".join(wanted))


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text)
    except OSError as error:
        message = f"cannot write {text!r} to {file}: {error.strerror}"
        raise KernelError(message, errno=error.errno or 0) from error


def _tree(path: Path) -> Iterator[Path]:
    """`path` and all directories below; nothing when it is not there."""
    for directory, _, _ in os.walk(path):
        yield Path(directory)


def _pids(path: Path) -> Iterator[int]:
    with suppress(OSError):  # removed meanwhile
        yield from (int(one) for one in (path / "cgroup.procs").read_text().split() if one != "0")


def _rmdir(path: Path) -> None:
    """A cgroup whose last process has just died is busy for a moment."""
    for _ in range(200):
        try:
            return path.rmdir()
        except FileNotFoundError:
            return None
        except OSError as error:
            number, why = error.errno or 0, error.strerror
        time.sleep(0.01)
    inside = sorted({pid for one in _tree(path) for pid in _pids(one)})
    raise KernelError(f"cannot remove cgroup {path}: {why}; inside: {inside}", errno=number)
