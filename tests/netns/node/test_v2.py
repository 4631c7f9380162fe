"""A node on cgroup v2. On a machine whose controllers are on v1 its v2 hierarchy stands in, with
what controllers that has: enough for the rule that a cgroup which hands on controllers is empty."""

from __future__ import annotations

from pathlib import Path

import pytest

from podwire.cluster import cgroups as module
from podwire.cluster.cgroups import Hierarchy, LabCgroups, of_this_machine
from podwire.cluster.node import Node
from podwire.model.layout import LabLayout

from .conftest import NAME, booted, output


@pytest.fixture
def v2(monkeypatch: pytest.MonkeyPatch) -> Hierarchy:
    found = [one for one in of_this_machine() if one.v2]
    assert found, "this test needs a mounted cgroup2: mount -t cgroup2 none /sys/fs/cgroup/unified"
    monkeypatch.setattr("podwire.cluster.node.of_this_machine", lambda: tuple(found))
    monkeypatch.setattr("podwire.cluster.cgroups.of_this_machine", lambda: tuple(found))
    monkeypatch.setattr(module, "_V2_NEEDED", frozenset())
    return found[0]


def _control(path: Path) -> str:
    return (path / "cgroup.subtree_control").read_text()


def test_a_node_hands_controllers_on_and_its_programs_are_in_a_leaf(
    v2: Hierarchy, layout: LabLayout, run
) -> None:
    before = _control(v2.mount)
    lab = LabCgroups.create(layout)
    node = Node(NAME, layout, lab)
    (top,) = lab.roots

    async def work() -> None:
        async with booted(node):
            have = set((v2.mount / "cgroup.controllers").read_text().split())
            wanted = have & set(module.V2_CONTROLLERS)
            assert set(_control(top / NAME).split()) == wanted
            assert (top / NAME / "cgroup.procs").read_text() == ""
            assert node.pid in lab.pids(f"{NAME}/init")
            assert (await output(node, "cat", "/proc/self/cgroup"))[1].splitlines()[
                -1
            ] == "0::/init"
            assert (await output(node, "mkdir", "/sys/fs/cgroup/kubepods"))[0] == 0
            assert (top / NAME / "kubepods").is_dir()

    run(work())
    lab.kill()
    lab.remove()
    assert not top.exists()
    assert _control(v2.mount) == before
