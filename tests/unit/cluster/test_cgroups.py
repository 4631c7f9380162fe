"""Which hierarchies a machine has, and where a lab belongs in them, by real machines' texts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from podwire.cluster.cgroups import (
    Hierarchy,
    LabCgroups,
    NodeCgroups,
    hierarchies,
    is_v2,
    planned,
)
from podwire.model.errors import KernelError, UnavailableError
from podwire.model.layout import LabLayout

SYSTEMD_V2 = """\
22 28 0:21 / /proc rw,nosuid,nodev,noexec,relatime shared:13 - proc proc rw
30 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev shared:9 - cgroup2 cgroup2 rw,nsdelegate
"""
SYSTEMD_HYBRID = """\
31 24 0:27 / /sys/fs/cgroup ro,nosuid shared:9 - tmpfs tmpfs ro,mode=755
32 31 0:28 / /sys/fs/cgroup/unified rw,nosuid shared:10 - cgroup2 cgroup2 rw,nsdelegate
33 31 0:29 / /sys/fs/cgroup/systemd rw,nosuid shared:11 - cgroup cgroup rw,xattr,name=systemd
36 31 0:32 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:15 - cgroup cgroup rw,cpu,cpuacct
37 31 0:33 / /sys/fs/cgroup/memory rw,nosuid shared:16 - cgroup cgroup rw,memory
90 31 0:33 / /other/memory rw,nosuid shared:16 - cgroup cgroup rw,memory
"""
HYBRID_OWN = """\
4:cpu,cpuacct:/user.slice
3:memory:/user.slice/user-0.slice
1:name=systemd:/user.slice/user-0.slice/session-1.scope
0::/user.slice/user-0.slice/session-1.scope
"""
CONTAINER_V1 = """\
632 620 0:29 /docker/abc /sys/fs/cgroup/systemd ro - cgroup cgroup rw,xattr,name=systemd
633 620 0:33 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory
"""
CONTAINER_OWN = "3:memory:/docker/abc/inner\n1:name=systemd:/docker/abc\n"


def test_systemd_with_v2_has_one_hierarchy() -> None:
    found = hierarchies(SYSTEMD_V2, "0::/user.slice/user-0.slice/session-3.scope\n")
    own = Path("/sys/fs/cgroup/user.slice/user-0.slice/session-3.scope")
    assert found == (Hierarchy(Path("/sys/fs/cgroup"), "", own),)
    assert is_v2(found)


def test_hybrid_counts_as_v1_and_each_hierarchy_is_taken_once() -> None:
    found = hierarchies(SYSTEMD_HYBRID, HYBRID_OWN)
    assert [one.options for one in found] == ["", "name=systemd", "cpu,cpuacct", "memory"]
    assert not is_v2(found)
    by_options = {one.options: one for one in found}
    assert by_options["memory"].mount == Path("/sys/fs/cgroup/memory")
    assert by_options["cpu,cpuacct"].own == Path("/sys/fs/cgroup/cpu,cpuacct/user.slice")


def test_a_container_without_a_cgroup_namespace_finds_its_own_directory() -> None:
    """The mount shows the container's cgroup as its root, /proc/self/cgroup the whole path."""
    found = {one.options: one.own for one in hierarchies(CONTAINER_V1, CONTAINER_OWN)}
    assert found == {
        "memory": Path("/sys/fs/cgroup/memory/inner"),
        "name=systemd": Path("/sys/fs/cgroup/systemd"),
    }


def _top(path: Path, controllers: str, on: str) -> Hierarchy:
    (path / "cgroup.controllers").write_text(f"{controllers}\n")
    (path / "cgroup.subtree_control").write_text(f"{on}\n")
    return Hierarchy(path, "", path / "user.slice/session-1.scope")


def test_v2_lab_is_at_the_top_so_that_a_logout_does_not_end_it(tmp_path: Path) -> None:
    layout = LabLayout("blue", run_root=tmp_path / "run")
    top = _top(tmp_path, "cpuset cpu io memory hugetlb pids rdma", "cpu memory pids")
    lab = planned([top], layout)
    assert lab.roots == (tmp_path / "podwire-blue",)
    assert lab.v2
    assert lab.lent == ("cpuset", "io", "hugetlb")


def test_v2_without_a_needed_controller_is_refused(tmp_path: Path) -> None:
    top = _top(tmp_path, "memory pids", "")
    with pytest.raises(UnavailableError, match="lacks the controllers cpu, cpuset"):
        planned([top], LabLayout("blue", run_root=tmp_path))


def test_v1_lab_is_nested_under_the_callers_own_cgroup(tmp_path: Path) -> None:
    found = hierarchies(SYSTEMD_HYBRID, HYBRID_OWN)
    lab = planned(found, LabLayout("blue", run_root=tmp_path))
    assert Path("/sys/fs/cgroup/memory/user.slice/user-0.slice/podwire-blue") in lab.roots
    assert len(lab.roots) == 4
    assert (lab.v2, lab.lent) == (False, ())


def test_another_session_finds_what_was_recorded(tmp_path: Path) -> None:
    layout = LabLayout("blue", run_root=tmp_path)
    assert LabCgroups.find(layout) is None
    lab = LabCgroups(
        (Path("/a/podwire-blue"), Path("/b/podwire-blue")),
        True,
        layout.run / "cgroups.json",
        ("io",),
    )
    lab.save()
    assert LabCgroups.find(layout) == lab


@pytest.mark.parametrize("text", ["", "{", "[]", '{"roots": ["/a"]}'])
def test_a_damaged_record_is_no_record(tmp_path: Path, text: str) -> None:
    layout = LabLayout("blue", run_root=tmp_path)
    layout.run.mkdir()
    (layout.run / "cgroups.json").write_text(text)
    assert LabCgroups.find(layout) is None


def test_who_is_inside_is_counted_in_every_hierarchy_and_below(tmp_path: Path) -> None:
    for path, pids in {"a/lab": "", "a/lab/n0/pod": "11\n12\n", "b/lab/n0": "12\n0\n14\n"}.items():
        (tmp_path / path).mkdir(parents=True)
        (tmp_path / path / "cgroup.procs").write_text(pids)
    lab = LabCgroups((tmp_path / "a/lab", tmp_path / "b/lab"), False, tmp_path / "record")
    assert lab.pids() == {11, 12, 14}
    assert lab.pids("n0") == {11, 12, 14}
    assert lab.pids("n1") == set()


def test_a_new_v1_cpuset_takes_its_parents_processors(tmp_path: Path) -> None:
    """Plain directories stand for the kernel's: the files of a new cpuset are there, but empty."""
    root = tmp_path / "cpuset/lab"
    for directory, text in ((root, "0-1\n"), (root / "n0", "\n")):
        directory.mkdir(parents=True)
        (directory / "tasks").touch()
        for name in ("cpuset.cpus", "cpuset.mems"):
            (directory / name).write_text(text)
    LabCgroups((root,), False, tmp_path / "record").group("n0")
    assert (root / "n0/cpuset.cpus").read_text() == "0-1\n"
    assert (root / "n0/cpuset.mems").read_text() == "0-1\n"


def test_v2_node_hands_controllers_on_only_after_its_processes_left_for_the_leaf(
    tmp_path: Path,
) -> None:
    leaf = tmp_path / "init"
    leaf.mkdir()
    _top(tmp_path, "cpu memory", "")
    NodeCgroups((tmp_path,), (leaf,), v2=True).settle([7])
    assert (leaf / "cgroup.procs").read_text() == "7"
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpu +memory"


def test_a_cgroup_that_stays_busy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab/cgroup.procs").write_text("41\n")  # a file keeps a plain directory busy too
    lab = LabCgroups((tmp_path / "lab",), False, tmp_path / "record")
    with pytest.raises(KernelError, match=rf"{tmp_path}/lab: .*inside: \[41\]"):
        lab.remove()


def test_the_caller_does_not_kill_itself(tmp_path: Path) -> None:
    (tmp_path / "cgroup.procs").write_text(f"{os.getpid()}\n")
    LabCgroups((tmp_path,), False, tmp_path / "record").kill(timeout=0)
