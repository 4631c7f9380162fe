"""How a command gets onto a node, and what a node that is down says."""

from __future__ import annotations

from pathlib import Path

import pytest

from podwire.cluster.cgroups import LabCgroups, NodeCgroups
from podwire.cluster.node import Node, copy_seed, enter_argv
from podwire.model.errors import ProcessError
from podwire.model.layout import LabLayout


def _node(tmp_path: Path) -> Node:
    layout = LabLayout("blue", state_root=tmp_path, run_root=tmp_path, log_root=tmp_path)
    return Node("n0", layout, LabCgroups((), v2=False, record=tmp_path / "record"))


def test_entering_joins_every_cgroup_before_the_namespaces() -> None:
    argv = enter_argv(42, "n0", [Path("/cg/cpu/n0"), "/cg/mem ory/n0"], ["brctl", "show"])
    assert argv[:2] == ["/bin/sh", "-c"]
    assert argv[2].startswith(
        "echo 0 > /cg/cpu/n0/cgroup.procs && echo 0 > '/cg/mem ory/n0/cgroup.procs' && "
    )
    assert argv[2].endswith('exec "$@"')
    assert argv[4:9] == ["nsenter", "-t", "42", "-a", "--"]
    assert argv[-2:] == ["brctl", "show"]


def test_entering_leaves_the_callers_environment_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/machine/config")
    monkeypatch.setenv("TERM", "vt100")
    argv = enter_argv(42, "n0", [], ["env"])
    assert argv[argv.index("env") + 1] == "-i"
    assert "TERM=vt100" in argv
    assert "PS1=root@n0:\\w# " in argv
    assert any(one.startswith("PATH=") and one.endswith(":/opt/cni/bin") for one in argv)
    assert not any("KUBECONFIG" in one for one in argv)


def test_a_program_of_a_node_runs_in_its_namespaces_and_leaf(tmp_path: Path) -> None:
    node = _node(tmp_path)
    node.pid = 42
    node.groups = NodeCgroups((Path("/cg/n0"),), (Path("/cg/n0/init"),), v2=True)
    program = node.program("kubelet", ["kubelet", "-v"], {"A": "b"})
    assert (program.label, program.namespaces, program.argv) == (
        "n0/kubelet",
        42,
        ("kubelet", "-v"),
    )
    assert program.cgroups == (Path("/cg/n0/init"),)
    assert program.log == tmp_path / "blue/n0/kubelet.log"
    assert (program.env["A"], program.env["NO_PROXY"]) == ("b", "*")


def test_a_node_that_is_down_runs_nothing(tmp_path: Path) -> None:
    node = _node(tmp_path)
    for ask in (lambda: node.root, lambda: node.program("x", ["x"]), lambda: node.enter(["x"])):
        with pytest.raises(ProcessError, match="node n0 is down"):
            ask()


def test_a_seed_is_copied_whole_over_what_a_killed_copy_left(tmp_path: Path) -> None:
    seed, target = tmp_path / "seed", tmp_path / "state/containerd"
    (seed / "content").mkdir(parents=True)
    (seed / "content/blob").write_text("x")
    (tmp_path / "state/.containerd.new/half").mkdir(parents=True)
    copy_seed(seed, target)
    assert (target / "content/blob").read_text() == "x"
    assert not (target / "half").exists()
    with pytest.raises(ProcessError, match="cannot copy"):
        copy_seed(tmp_path / "none", tmp_path / "state/other")
