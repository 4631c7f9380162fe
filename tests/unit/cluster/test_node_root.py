"""The root of a node as a value: what is its own, what it cannot write, in which order."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from podwire.cluster import node_init, node_root
from podwire.cluster.cgroups import Hierarchy
from podwire.cluster.node_root import Copy, File, Link, Machine, Mask, Mount, RootPlan, Sysctl
from podwire.model.layout import LabLayout

NAME = "aks-nodepool1-12345678-vmss000000"
V2 = (Hierarchy(Path("/sys/fs/cgroup"), "", Path("/sys/fs/cgroup/a")),)
HYBRID = (
    Hierarchy(Path("/sys/fs/cgroup/cpu,cpuacct"), "cpu,cpuacct", Path("/x")),
    Hierarchy(Path("/sys/fs/cgroup/systemd"), "name=systemd", Path("/x")),
    Hierarchy(Path("/sys/fs/cgroup/unified"), "", Path("/x")),
)
MACHINE = Machine(HYBRID, passwd="root:x:0:0::/root:/bin/sh\n", group="root:x:0:\n")


def _plan(machine: Machine = MACHINE) -> RootPlan:
    return node_root.root_plan(LabLayout("blue"), NAME, "10.220.2.4", machine)


def _targets(plan: RootPlan) -> list[str]:
    return [one.target for one in plan.steps if isinstance(one, Mount)]


def test_logs_and_state_are_directories_of_the_lab() -> None:
    mounts = {one.target: one.source for one in _plan().steps if isinstance(one, Mount)}
    assert mounts["/var/log"] == f"/.machine/var/log/podwire/blue/{NAME}"
    state = f"/.machine/var/lib/podwire/blue/nodes/{NAME}"
    assert mounts["/var/lib/containerd"] == f"{state}/containerd"
    assert mounts["/var/log/pods"] == f"{state}/pods"


@pytest.mark.parametrize(
    ("above", "below"),
    [
        ("/var/log", "/var/log/pods"),
        ("/proc", "/proc/sys"),
        ("/proc/sys", "/proc/sys/net"),
        ("/dev", "/dev/shm"),
        ("/sys", "/sys/fs/cgroup"),
    ],
)
def test_a_mount_comes_before_those_below_it(above: str, below: str) -> None:
    targets = _targets(_plan())
    assert targets.index(above) < targets.index(below)


@pytest.mark.parametrize(
    "path", ["/run", "/tmp", "/root", "/etc/cni", "/opt/cni", "/var/lib/podwire"]
)
def test_what_is_the_nodes_own_is_a_tmpfs(path: str) -> None:
    assert any(one.target == path and one.kind == "tmpfs" for one in _mounts())


def _mounts() -> list[Mount]:
    return [one for one in _plan().steps if isinstance(one, Mount)]


def test_sysctls_are_closed_last_and_what_a_kubelet_writes_is_masked() -> None:
    steps = list(_plan().steps)
    closing = next(
        at
        for at, one in enumerate(steps)
        if isinstance(one, Mount) and one.target == "/proc/sys" and "ro" in one.flags
    )
    assert all(at < closing for at, one in enumerate(steps) if isinstance(one, Sysctl | Mask))
    masked = {one.name: one.value for one in steps if isinstance(one, Mask)}
    assert masked == {
        "vm/overcommit_memory": "1",
        "vm/panic_on_oom": "0",
        "kernel/panic": "10",
        "kernel/panic_on_oops": "1",
        "kernel/keys/root_maxkeys": "1000000",
        "kernel/keys/root_maxbytes": "25000000",
    }
    assert all(one.name.startswith("net/") for one in steps if isinstance(one, Sysctl))


def test_a_hybrid_machine_is_shown_as_v1_with_the_usual_links() -> None:
    steps = node_root.cgroup_mounts(HYBRID)
    mounted = [(one.target, one.data) for one in steps if isinstance(one, Mount)]
    assert mounted == [
        ("/sys/fs/cgroup", "mode=755"),
        ("/sys/fs/cgroup/cpu,cpuacct", "cpu,cpuacct"),
        ("/sys/fs/cgroup/systemd", "name=systemd"),
    ]
    assert Link("/sys/fs/cgroup/cpuacct", "cpu,cpuacct") in steps


def test_a_v2_machine_is_shown_as_v2() -> None:
    (only,) = node_root.cgroup_mounts(V2)
    assert isinstance(only, Mount)
    assert (only.kind, only.target) == ("cgroup2", "/sys/fs/cgroup")


def test_a_usr_of_its_own_is_overlaid_before_anything_is_put_there() -> None:
    plan = _plan(replace(MACHINE, split=("/usr",), init=Path("/cache/podwire-init")))
    overlay = next(one for one in plan.steps if isinstance(one, Mount) and one.kind == "overlay")
    assert (overlay.target, "lowerdir=/.machine/usr," in overlay.data) == ("/usr", True)
    steps = list(plan.steps)
    copied = next(one for one in steps if isinstance(one, Copy))
    assert steps.index(overlay) < steps.index(copied)
    assert copied.path.startswith("/usr/")


def test_directories_that_are_let_in_are_read_only() -> None:
    plan = _plan(replace(MACHINE, inside=(Path("/data/cache"),)))
    bind, remount = [
        one for one in plan.steps if isinstance(one, Mount) and one.target == "/data/cache"
    ]
    assert bind.source == "/.machine/data/cache"
    assert set(remount.flags) == {"bind", "remount", "ro"}


def test_without_a_compiler_the_builder_stays_as_pid_1() -> None:
    assert _plan().init == ""
    assert _plan(replace(MACHINE, init=Path("/c/podwire-init"))).init == node_root.INIT


MOUNTS = """\
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
28 27 254:2 / /home rw,relatime - ext4 /dev/vdb rw
29 27 254:3 / /usr rw,relatime - ext4 /dev/vdc rw
30 27 254:0 /x /var/cache/pod\\040wire rw,relatime - ext4 /dev/vda rw
"""


@pytest.mark.parametrize(
    ("path", "needed"),
    [
        ("/usr/lib/python3", False),
        ("/srv/podwire", False),
        ("/home/me/podwire", True),
        ("/var/cache/pod wire/kubernetes", True),
        ("/root/podwire", True),
        ("/rootless", False),
    ],
)
def test_what_the_overlay_does_not_show_is_let_in(path: str, needed: bool) -> None:
    points = node_root.mount_points(MOUNTS)
    found = node_root.needed_inside([Path(path)], points, ("/root", "/tmp"))
    assert found == ((Path(path),) if needed else ())


def test_a_directory_below_one_that_is_let_in_is_not_let_in_again() -> None:
    paths = [Path("/root/a/b"), Path("/root/a"), Path("/root/c")]
    found = node_root.needed_inside(paths, {"/"}, ("/root",))
    assert found == (Path("/root/a"), Path("/root/c"))


def test_where_linked_programs_lie_is_known() -> None:
    links = [Link("/usr/local/bin/kubelet", "/opt/k8s/kubelet"), Link("/a/b", "c")]
    assert Path("/opt/k8s") in node_root.own_directories(links)
    assert len(node_root.own_directories(links)) == len(node_root.own_directories([])) + 1


def test_the_builder_knows_every_step_and_flag() -> None:
    document = json.loads(node_root.encode(_plan(replace(MACHINE, init=Path("/c/init")))))
    assert {kind for kind, *_ in document["steps"]} <= node_init.STEPS.keys()
    used = {flag for kind, *rest in document["steps"] if kind == "Mount" for flag in rest[3]}
    assert used <= node_init.FLAGS.keys()
    assert (document["hostname"], document["lower"]) == (NAME, "/")


def test_files_of_the_node() -> None:
    files = {one.path: one.text for one in _plan().steps if isinstance(one, File)}
    assert files["/etc/hostname"] == f"{NAME}\n"
    assert f"10.220.2.4 {NAME}\n" in files["/etc/hosts"]
    assert files["/etc/resolv.conf"] == ("nameserver 168.63.129.16\nsearch internal.cloudapp.net\n")
    other = node_root.root_plan(LabLayout("blue"), "n1", "10.220.2.35", MACHINE)
    ids = {
        one.text
        for plan in (_plan(), other)
        for one in plan.steps
        if isinstance(one, File) and one.path == "/etc/machine-id"
    }
    assert {len(one) for one in ids} == {33}
    assert len(ids) == 2
