"""The processes of a container, as `ps -ef` lists them, from a node's own /proc.

Must not know of containers: its processes are those in the cgroups of the first one.

Source: proc(5), ps(1).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from podwire.cluster.docker_api.paths import resolve_in_root

TITLES = ("UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD")
_TICKS = os.sysconf("SC_CLK_TCK")
_DAY = 86400
_PTS_MAJORS = range(136, 144)


@dataclass(frozen=True, slots=True)
class Process:
    """started, used: seconds, since the epoch and of the processors; tty: ? when it has none."""

    uid: int
    pid: int
    parent: int
    started: float
    used: float
    tty: str
    command: str


def process_rows(root: Path, pid: int) -> list[list[str]]:
    """The rows of `ps -ef` for the container whose first process is `pid` (the node's number).

    root: the node's root directory, with its /proc. Raises FileNotFoundError when `pid` ended.
    """
    proc, now = root / "proc", time.time()
    cgroups = (proc / str(pid) / "cgroup").read_bytes()
    boot = _boot_time(proc)
    users = _users(root)
    found = [_process(proc / str(one), boot) for one in _members(proc, cgroups)]
    return [row(one, users, now) for one in found if one is not None]


def _members(proc: Path, cgroups: bytes) -> Iterator[int]:
    for pid in sorted(int(name) for name in os.listdir(proc) if name.isdigit()):
        try:
            if (proc / str(pid) / "cgroup").read_bytes() == cgroups:
                yield pid
        except (FileNotFoundError, ProcessLookupError):
            continue


def _process(directory: Path, boot: float) -> Process | None:
    try:
        stat = (directory / "stat").read_text(errors="replace")
        command = (directory / "cmdline").read_bytes()
        uid = directory.stat().st_uid
    except (FileNotFoundError, ProcessLookupError):
        return None
    return parse_stat(stat, command, uid, boot)


def parse_stat(stat: str, command: bytes, uid: int, boot: float) -> Process:
    """A process of its /proc/PID/stat and cmdline; its name in brackets when it has no cmdline."""
    pid, _, rest = stat.partition(" (")
    name, _, numbers = rest.rpartition(") ")
    values = numbers.split()
    words = command.rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
    return Process(
        uid=uid,
        pid=int(pid),
        parent=int(values[1]),
        started=boot + int(values[19]) / _TICKS,
        used=(int(values[11]) + int(values[12])) / _TICKS,
        tty=_terminal(int(values[4])),
        command=words or f"[{name}]",
    )


def _terminal(number: int) -> str:
    major, minor = os.major(number), os.minor(number)
    return f"pts/{minor + 256 * (major - 136)}" if major in _PTS_MAJORS else "?"


def row(process: Process, users: dict[int, str], now: float) -> list[str]:
    """The process under TITLES."""
    age = max(now - process.started, 1)
    today = age < _DAY
    return [
        users.get(process.uid, str(process.uid)),
        str(process.pid),
        str(process.parent),
        str(min(99, int(100 * process.used / age))),
        time.strftime("%H:%M" if today else "%b%d", time.localtime(process.started)),
        process.tty,
        time.strftime("%H:%M:%S", time.gmtime(process.used)),
        process.command,
    ]


def _boot_time(proc: Path) -> float:
    lines = (proc / "stat").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("btime "))


def _users(root: Path) -> dict[int, str]:
    try:
        lines = resolve_in_root(root, "/etc/passwd").read_text(errors="replace").splitlines()
    except OSError:
        return {}
    fields = [line.split(":") for line in lines]
    return {int(one[2]): one[0] for one in fields if len(one) > 2 and one[2].isdigit()}
