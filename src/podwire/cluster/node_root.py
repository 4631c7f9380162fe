"""The root file system of a node as a value: what its first process is to mount and write.

Pure but for `own_directories`, which looks where Podwire lies. Doing it is node_init's work.

A node's root is an overlay of the machine's root and a tmpfs, so it has the machine's programs and
can change none of its files. What must be the node's own lies on tmpfs of its own or, where it is
large or should be read from outside, in directories of the lab on a real file system (an overlay
may not be the upper layer of containerd's own overlays).
"""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from podwire.cluster import node_files
from podwire.cluster.cgroups import Hierarchy, is_v2
from podwire.cluster.node_init import OLD
from podwire.model.layout import LabLayout

INIT = "/usr/local/sbin/podwire-init"
TMPFS_SIZE = "512m"
"""What a node may write outside its state and log directories; memory, so it is bounded."""
PRIVATE = ("/run", "/tmp", "/root", "/etc/cni", "/etc/containerd", "/etc/kubernetes", "/etc/ssh",
           "/etc/sudoers.d", "/opt/cni", "/var/lib/cni")  # fmt: skip
"""Directories that a node has of its own, empty at first: a tmpfs each."""
STATE = {
    "/home": "home",
    "/var/lib/containerd": "containerd",
    "/var/lib/kubelet": "kubelet",
    "/var/log/pods": "pods",
    "/var/log/containers": "containers",
}
"""Path in the node -> directory below the lab's `node_state`."""
SPLIT_OFF = ("/usr", "/usr/local", "/opt", "/var")
"""Parts of the machine's system that may be file systems of their own; each is overlaid alike."""
MASKED_SYSCTLS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
"""What a kubelet sets for the whole machine, and the value that it wants to find (kubelet 1.20,
pkg/kubelet/cm/container_manager_linux.go, setupKernelTunables)."""
OWN_SYSCTLS = {
    "net/ipv4/ip_forward": "1",
    "net/bridge/bridge-nf-call-iptables": "1",
    "net/bridge/bridge-nf-call-ip6tables": "1",
}
"""Of the node's network namespace, so of nobody else."""


@dataclass(frozen=True, slots=True)
class Mount:
    """flags: names of node_init.FLAGS. A source on the machine is below OLD."""

    source: str
    target: str
    kind: str = ""
    flags: tuple[str, ...] = ()
    data: str = ""


@dataclass(frozen=True, slots=True)
class Directory:
    path: str
    mode: int = 0o755


@dataclass(frozen=True, slots=True)
class File:
    path: str
    text: str
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class Link:
    path: str
    target: str


@dataclass(frozen=True, slots=True)
class Copy:
    """A file of the machine (below OLD) to a path in the node."""

    source: str
    path: str
    mode: int = 0o755


@dataclass(frozen=True, slots=True)
class Sysctl:
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Mask:
    """A plain file with `value` in the place of a sysctl."""

    name: str
    value: str


Step: TypeAlias = Mount | Directory | File | Link | Copy | Sysctl | Mask


@dataclass(frozen=True, slots=True)
class RootPlan:
    """base: an empty directory of the machine where the root is put together; lower: the machine's
    root; init: the program that stays as PID 1, "" for the one that builds the root."""

    hostname: str
    base: str
    steps: tuple[Step, ...]
    init: str = INIT
    lower: str = "/"
    size: str = TMPFS_SIZE


@dataclass(frozen=True, slots=True)
class Machine:
    """What of the machine a node's root depends on. init: the compiled PID 1, None for none;
    inside: directories that a node must see though its overlay does not show them; split:
    mount points of SPLIT_OFF; passwd, group: the texts of the machine's files."""

    hierarchies: tuple[Hierarchy, ...]
    passwd: str
    group: str
    init: Path | None = None
    inside: tuple[Path, ...] = ()
    split: tuple[str, ...] = ()


def root_plan(
    layout: LabLayout, name: str, ip: str, machine: Machine, more: Iterable[Step] = ()
) -> RootPlan:
    """The root of node `name`, whose own address is `ip`; `more` steps come last."""
    base = layout.node_state(name) / "root"
    steps: list[Step] = []
    for one in machine.split:
        steps += _overlay(one)
    steps += [Mount("tmpfs", one, "tmpfs", ("nosuid", "nodev"), "mode=755") for one in PRIVATE]
    steps.append(Directory("/tmp", 0o1777))
    # The lab's own keys are not for a node to read.
    steps.append(Mount("tmpfs", str(layout.state_root), "tmpfs", ("nosuid", "nodev"), "mode=755"))
    steps += _kernel_views()
    steps += cgroup_mounts(machine.hierarchies)
    steps.append(Mount(OLD + str(layout.logs / name), "/var/log", flags=("bind",)))
    for path, below in STATE.items():
        steps.append(Mount(OLD + str(layout.node_state(name) / below), path, flags=("bind",)))
    for directory in machine.inside:
        steps += _read_only(str(directory))
    steps += _files(layout, name, ip, machine)
    if machine.init is not None:
        steps.append(Copy(OLD + str(machine.init), INIT))
    steps += more
    return RootPlan(name, str(base), tuple(steps), INIT if machine.init else "")


def _overlay(path: str) -> tuple[Step, ...]:
    """The machine's `path`, a file system of its own, overlaid with a tmpfs like the root is."""
    own = f"/.overlay{path.replace('/', '-')}"
    data = f"lowerdir={OLD}{path},upperdir={own}/upper,workdir={own}/work"
    return (
        Mount("tmpfs", own, "tmpfs", ("nosuid",), f"mode=755,size={TMPFS_SIZE}"),
        Directory(f"{own}/upper"),
        Directory(f"{own}/work"),
        Mount("overlay", path, "overlay", (), data),
    )


def _kernel_views() -> tuple[Step, ...]:
    """/proc, /sys and /dev. Sysctls that are the machine's can be read, and not written."""
    return (
        Mount("proc", "/proc", "proc", ("nosuid", "nodev", "noexec")),
        *(Sysctl(name, value) for name, value in OWN_SYSCTLS.items()),
        Mount("/proc/sys", "/proc/sys", flags=("bind",)),
        Mount("/proc/sys/net", "/proc/sys/net", flags=("bind",)),
        *(Mask(name, value) for name, value in MASKED_SYSCTLS.items()),
        Mount("none", "/proc/sys", flags=("bind", "remount", "ro", "nosuid", "nodev", "noexec")),
        Mount("sysfs", "/sys", "sysfs", ("nosuid", "nodev", "noexec")),
        Mount(f"{OLD}/dev", "/dev", flags=("bind", "rec")),
        Mount("none", "/dev", flags=("bind", "remount", "ro", "nosuid")),
        Mount("tmpfs", "/dev/shm", "tmpfs", ("nosuid", "nodev"), "mode=1777"),
    )


def cgroup_mounts(found: Sequence[Hierarchy]) -> tuple[Step, ...]:
    """The hierarchies as the node's cgroup namespace shows them. A hybrid machine's v2 hierarchy
    is left out: runtimes take a machine that shows both for one in transition."""
    if is_v2(found):
        return (Mount("cgroup2", "/sys/fs/cgroup", "cgroup2", ("nosuid", "nodev", "noexec")),)
    steps: list[Step] = [Mount("tmpfs", "/sys/fs/cgroup", "tmpfs", ("nosuid",), "mode=755")]
    for one in found:
        if one.v2:
            continue
        at = f"/sys/fs/cgroup/{one.mount.name}"
        steps.append(Mount("cgroup", at, "cgroup", ("nosuid", "nodev", "noexec"), one.options))
        if "," in one.mount.name:
            names = one.mount.name.split(",")
            steps += [Link(f"/sys/fs/cgroup/{part}", one.mount.name) for part in names]
    return tuple(steps)


def _read_only(path: str) -> tuple[Step, ...]:
    remount = ("bind", "remount", "ro")
    return Mount(OLD + path, path, flags=("bind",)), Mount("none", path, flags=remount)


def _files(layout: LabLayout, name: str, ip: str, machine: Machine) -> tuple[Step, ...]:
    accounts = node_files.system_accounts(machine.passwd) + node_files.OWN_ACCOUNTS
    groups = node_files.system_accounts(machine.group) + node_files.OWN_GROUPS
    return (
        File("/etc/hostname", f"{name}\n"),
        File("/etc/hosts", node_files.hosts(name, ip)),
        File("/etc/resolv.conf", node_files.RESOLV_CONF),
        File("/etc/machine-id", node_files.machine_id(layout.name, name)),
        File("/etc/passwd", accounts),
        File("/etc/group", groups),
        File("/etc/shadow", node_files.shadow(accounts), 0o640),
        File("/etc/profile.d/podwire.sh", node_files.PROFILE),
        File("/root/.bashrc", node_files.BASHRC),
        File("/root/.profile", node_files.BASH_PROFILE),
        Directory("/root", 0o700),
        Directory("/home"),
        *(Directory(one) for one in ("/etc/cni/net.d", "/opt/cni/bin", "/run/lock")),
    )


def needed_inside(
    paths: Iterable[Path], points: Collection[str], hidden: Iterable[str]
) -> tuple[Path, ...]:
    """Those of the directories `paths` that a node's overlays do not show: they are on other file
    systems, or where it has a directory of its own. points: the machine's mount points; hidden:
    the node's own directories."""
    found: list[Path] = []
    for one in sorted(set(paths), key=lambda path: path.parts):
        if any(one.is_relative_to(have) for have in found):
            continue
        mount = next(str(up) for up in (one, *one.parents) if str(up) in points or up == up.parent)
        if mount not in ("/", *SPLIT_OFF) or any(one.is_relative_to(own) for own in hidden):
            found.append(one)
    return tuple(found)


def own_directories(steps: Iterable[Step]) -> tuple[Path, ...]:
    """Where Podwire, its Python, and the programs lie that `steps` link to."""
    package = Path(__file__).resolve().parents[2]
    links = [Path(one.target).parent for one in steps if isinstance(one, Link)]
    python = [Path(one).resolve() for one in (sys.prefix, sys.base_prefix)]
    return (package, *python, *(one.resolve() for one in links if one.is_absolute()))


def mount_points(mountinfo: str) -> frozenset[str]:
    """In the text of /proc/self/mountinfo, which writes a blank as \\040."""
    points = [line.split()[4] for line in mountinfo.splitlines() if line]
    return frozenset(
        re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), one) for one in points
    )


def encode(plan: RootPlan) -> bytes:
    """The plan as node_init reads it."""
    document = {field.name: getattr(plan, field.name) for field in dataclasses.fields(plan)}
    steps = [[type(one).__name__, *dataclasses.astuple(one)] for one in plan.steps]
    return json.dumps({**document, "steps": steps}).encode()
