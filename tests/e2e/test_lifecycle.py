"""A lab comes and goes: ten times, twice at once, killed, refused; the machine stays as it was."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from podwire.kernel.netns import NetNamespace
from podwire.model.layout import LabLayout
from tests.e2e import machine
from tests.e2e.harness import PODWIRE, LabHarness, run, wait_for

BARE = ("--no-workload",)


@pytest.fixture
def other(tmp_path: Path) -> Iterator[LabHarness]:
    """A lab of the test's own; whatever the test does to it, it is taken down."""
    made = LabHarness("e2e-other", tmp_path)
    yield made
    made.podwire("down")


def left_of(lab: LabHarness) -> list[str]:
    """Everything of the lab that can still be found on the machine."""
    layout = LabLayout(lab.name)
    directories = [layout.state, layout.run, layout.logs]
    found = [str(one) for one in directories if one.exists()]
    found += [one for one in machine.cgroups() if f"podwire-{lab.name}" in one]
    found += [one for one in machine.processes(f"/{lab.name}/") if "pytest" not in one]
    found += list(machine.processes(f"podwire.arm.daemon {lab.name}"))
    found += [one for one in machine.mounts() if f"/{lab.name}/" in one]
    config = lab.home / ".kube/config"
    found += [str(config)] if config.exists() else []
    return found


def test_up_and_down_ten_times_leaves_the_machine_as_it_was(other: LabHarness) -> None:
    before = machine.snapshot(other.name)
    for _ in range(10):
        other.podwire("up", *BARE)
        assert other.status()["state"] == "running"
        other.podwire("down")
        assert left_of(other) == []
    after = machine.snapshot(other.name)
    for what, was in before.items():
        assert after[what] == was, what


def test_two_labs_at_once(lab: LabHarness, other: LabHarness) -> None:
    other.podwire("up", "--nodes", "2")
    apis = {one.status()["clusters"][0]["api"] for one in (lab, other)}
    assert len(apis) == 2
    assert len(other.pods("run=nginx")) >= 2
    vip = other.get("svc", "nginx")["spec"]["clusterIP"]
    assert "nginx" in other.on_node("0", f"curl -sS -m 5 http://{vip}/")
    assert lab.status()["state"] == "running"


def test_ten_nodes_on_a_22(other: LabHarness) -> None:
    other.podwire("up", *BARE, "--nodes", "10", "--subnet-cidr", "10.220.4.0/22")
    nodes = other.get("nodes")["items"]
    assert len(nodes) == 10
    firsts = [one["address"] for one in other.status()["nodes"]]
    assert firsts[:3] == ["10.220.4.4", "10.220.4.35", "10.220.4.66"]
    assert len(set(firsts)) == 10


def test_ten_nodes_on_the_24_are_refused_as_azure_does(other: LabHarness) -> None:
    said = other.podwire_refused("up", "--nodes", "10")
    assert "(InsufficientSubnetSize) Pre-allocated IPs 310 exceeds IPs available 251" in said
    assert left_of(other) == []


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--service-cidr", "10.220.2.0/25"], "ServiceCidrOverlapExistingSubnetsCidr"),
        (["--service-cidr", "10.200.0.0/33"], "CidrStringParseError"),
        (["--dns-service-ip", "10.0.0.10"], "DnsServiceIpOutOfServiceCidr"),
        (["--subnet-cidr", "10.220.1.0/24"], "NetcfgSubnetRangesOverlap"),
        (["--subnet-cidr", "10.99.0.0/24"], "NetcfgSubnetRangeOutsideVnet"),
        (["--nodes", "0"], "agentPoolProfile.count was 0."),
        (["--nodes", "three"], "three"),
        (["--max-pods", "5"], "maxPods"),
        (["--name", "Bad_Name"], "'Bad_Name'"),
        (["--kubernetes-dir", "/nonexistent"], "/nonexistent"),
    ],
)
def test_bad_input_is_refused_before_anything_is_built(
    other: LabHarness, options: list[str], named: str
) -> None:
    assert named in other.podwire_refused("up", *options)
    assert left_of(other) == []


def test_not_root_is_refused(other: LabHarness) -> None:
    argv = ["setpriv", "--reuid", "65534", "--clear-groups", PODWIRE, "up", "--name", other.name]
    done = subprocess.run(argv, capture_output=True, text=True, env=other.env, check=False)
    if "Permission denied" in done.stderr and "podwire:" not in done.stderr:
        python = [
            "/usr/bin/python3",
            "-c",
            (
                "import os, sys; sys.path.insert(0, sys.argv[1]); os.setuid(65534); "
                "from podwire.lab.preflight import check_root; check_root()"
            ),
            str(Path(__file__).parents[2] / "src"),
        ]
        done = subprocess.run(python, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "root" in done.stderr


def test_a_context_of_somebody_elses_is_not_overwritten(other: LabHarness) -> None:
    config = other.home / ".kube/config"
    config.parent.mkdir()
    theirs = (
        "apiVersion: v1\nkind: Config\nclusters:\n- name: mine\n  cluster: {server: https://x}\n"
        "users:\n- name: u\n  user: {}\ncontexts:\n"
        "- name: mine\n  context: {cluster: mine, user: u}\ncurrent-context: mine\n"
    )
    config.write_text(theirs)
    assert "'mine'" in other.podwire_refused("up", "--cluster", "mine").replace('"', "'")
    other.podwire("up", *BARE)
    assert "current-context: azurecni-cluster-e2e-other" in config.read_text()
    other.podwire("down")
    assert "current-context: mine" in config.read_text()
    assert "azurecni" not in config.read_text()
    config.unlink()


def test_a_second_up_changes_nothing_and_other_settings_are_refused(other: LabHarness) -> None:
    other.podwire("up", *BARE)
    pids = {one["name"]: one["pid"] for one in other.status()["components"]}
    other.podwire("up", *BARE)
    assert pids == {one["name"]: one["pid"] for one in other.status()["components"]}
    assert "cluster.pools.0.count 3, asked 2" in other.podwire_refused("up", *BARE, "--nodes", "2")


def test_what_dies_comes_back(other: LabHarness) -> None:
    other.podwire("up")
    other.kubectl("create", "configmap", "kept", "--from-literal=a=b")
    for name in ("etcd", "kube-apiserver", "kube-scheduler"):
        _kill_component(other, name)
    node = other.nodes()[0]
    _kill_component(other, "containerd", node)
    _kill_component(other, "kubelet", node)
    wait_for("the API answers", lambda: other.get("configmap", "kept"), 60)
    _kill_node(other, node)
    wait_for("all nodes ready", lambda: _ready(other) == 3, 90)
    other.rolled_out("deployment/nginx")
    vip = other.get("svc", "nginx")["spec"]["clusterIP"]
    wait_for("the service", lambda: other.on_node(node, f"curl -sS -m 5 http://{vip}/"), 90)


def _kill_component(lab: LabHarness, name: str, owner: str = "") -> None:
    """SIGKILL it; `status` then shows another pid and one more restart."""

    def find() -> dict:
        found = lab.status()["components"]
        return next(
            one
            for one in found
            if one["name"].startswith(owner) and one["name"].endswith(f"/{name}")
        )

    before = find()
    _kill_inside(before["pid"])
    after = wait_for(
        f"{name} again",
        lambda: (now := find())["pid"] not in (None, before["pid"]) and now,
    )
    assert after["restarts"] == before["restarts"] + 1


def _kill_inside(pid: int) -> None:
    """The supervised process, or for one in a node the program behind nsenter."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    name = Path(f"/proc/{pid}/comm").read_text().strip()
    os.kill(int(children[0]) if name == "nsenter" and children else pid, signal.SIGKILL)


def _kill_node(lab: LabHarness, name: str) -> None:
    def find() -> dict:
        return next(one for one in lab.status()["nodes"] if one["name"] == name)

    before = find()
    os.kill(before["pid"], signal.SIGKILL)
    again = wait_for("the node again", lambda: find()["pid"] not in (None, before["pid"]), 60)
    assert again


def _ready(lab: LabHarness) -> int:
    conditions = [one["status"]["conditions"] for one in lab.get("nodes")["items"]]
    return sum(
        any(c["type"] == "Ready" and c["status"] == "True" for c in node) for node in conditions
    )


def test_down_after_the_daemon_was_killed(other: LabHarness) -> None:
    other.podwire("up", *BARE)
    _kill_daemon(other)
    wait_for("no process is left", lambda: not machine.processes(f"/{other.name}/"))
    other.podwire("down")
    assert left_of(other) == []


def test_up_after_the_daemon_was_killed_finds_its_cluster_again(other: LabHarness) -> None:
    other.podwire("up")
    other.kubectl("create", "configmap", "kept", "--from-literal=a=b")
    _kill_daemon(other)
    other.podwire("up")
    assert other.get("configmap", "kept")["data"] == {"a": "b"}
    other.rolled_out("deployment/nginx")


def test_down_of_a_half_finished_up(other: LabHarness) -> None:
    up = subprocess.Popen([PODWIRE, "up"], env=other.env, stderr=subprocess.PIPE, text=True)
    assert up.stderr is not None
    for line in up.stderr:
        if "Control plane" in line or "Node" in line:
            break
    up.kill()
    up.wait()
    other.podwire("down")
    assert left_of(other) == []


def _kill_daemon(lab: LabHarness) -> None:
    pid = int(Path(LabLayout(lab.name).run, "lock").read_text())
    os.kill(pid, signal.SIGKILL)


def test_down_of_nothing_is_fine(other: LabHarness) -> None:
    other.podwire("down")
    assert left_of(other) == []


def test_unknown_node_is_named(lab: LabHarness) -> None:
    said = lab.podwire_refused("node", "exec", "vmss000009", "--", "true")
    assert "'vmss000009' does not exist" in said
    assert lab.nodes()[0] in said


def test_exit_status_of_a_command_on_a_node_is_passed_on(lab: LabHarness) -> None:
    argv = [PODWIRE, "node", "exec", "0", "--", "sh", "-c", "exit 7"]
    assert subprocess.run(argv, env=lab.env, check=False).returncode == 7


def test_the_machines_namespace_has_no_link_of_the_lab(lab: LabHarness) -> None:
    with NetNamespace.current() as here:
        assert here.inode
    links = run("ip", "-o", "link")
    assert "azure0" not in links
    assert "nic0" not in links
