"""The machine as it is now: what a lab must leave byte for byte as it was."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

_CHANGES_BY_ITSELF = re.compile(
    r"fs/(dentry-state|file-nr|inode-nr|inode-state|aio-nr|quota/.*|dirty.*)"
    r"|kernel/(ns_last_pid|random/.*|pty/nr|perf_.*|sched_domain/.*)"
    r"|net/netfilter/nf_conntrack_count"
    r"|net/ipv[46]/(conf|neigh)/(?!all/|default/|lo/|eth0/).*"  # links that others make meanwhile
    r"|vm/(stat_refresh|compact_memory)"
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """mounts: the text of the machine's mount table; cgroups: directories that are the lab's or a
    kubelet's; sysctls: every one that can be read and does not change by itself."""

    mounts: str
    cgroups: frozenset[str]
    sysctls: dict[str, bytes]

    @classmethod
    def take(cls, lab: str) -> Snapshot:
        mounts = Path("/proc/self/mountinfo").read_text()
        return cls(mounts, frozenset(_cgroups(lab)), _sysctls())

    def assert_same(self, before: Snapshot) -> None:
        assert self.mounts == before.mounts
        assert self.cgroups == before.cgroups
        changed = {
            name: (before.sysctls.get(name), self.sysctls.get(name))
            for name in before.sysctls.keys() | self.sysctls.keys()
            if before.sysctls.get(name) != self.sysctls.get(name)
        }
        assert changed == {}


def _cgroups(lab: str) -> list[str]:
    """Other labs may come and go beside this one, inside directories of their own name."""
    found = []
    for directory, names, _ in os.walk("/sys/fs/cgroup"):
        names[:] = [one for one in names if not one.startswith("podwire-") or one.endswith(lab)]
        if lab in directory or "kubepods" in directory:
            found.append(directory)
    return found


def _sysctls() -> dict[str, bytes]:
    found = {}
    for directory, _, names in os.walk("/proc/sys"):
        for name in names:
            path = Path(directory, name)
            short = str(path.relative_to("/proc/sys"))
            if _CHANGES_BY_ITSELF.fullmatch(short):
                continue
            try:
                found[short] = path.read_bytes()
            except OSError:  # write-only ones, and links that are gone
                continue
    return found


def sysctl(name: str) -> str:
    """The machine's own value."""
    return Path("/proc/sys", name).read_text()


def parent(pid: int) -> tuple[int, str]:
    """The parent's pid and name."""
    number = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return number, Path(f"/proc/{number}/comm").read_text().strip()


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def in_pid_namespace(namespace: str) -> list[int]:
    """Who is in the pid namespace whose link is `namespace`, as in "pid:[4026532198]"."""
    found = []
    for one in Path("/proc").iterdir():
        try:
            if one.name.isdigit() and os.readlink(one / "ns/pid") == namespace:
                found.append(int(one.name))
        except OSError:
            continue
    return [pid for pid in found if alive(pid)]
