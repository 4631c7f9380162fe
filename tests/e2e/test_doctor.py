"""The doctor in a lab: healthy is silent; each planted fault is named; --fix mends what is ours and
only that; what it says mends the rest. Everything is driven through the command alone."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.harness import PODWIRE, LabHarness, run, wait_for

NAT = "bridge azure-vnet"
FOUND = 3
NOBODY = """
apiVersion: v1
kind: Service
metadata: {name: nobody}
spec:
  selector: {run: nobody}
  ports: [{port: 80}]
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabHarness]:
    """Two nodes with the document's nginx on each, and nothing wrong.

    The name is this process's alone: `down` must never meet a lab that somebody else brought up.
    """
    made = LabHarness(f"e2e-dr{os.getpid()}", tmp_path_factory.mktemp("home"))
    try:
        made.podwire("up", "--nodes", "2")
        wait_for("both nginx run", lambda: len(_nginx(made)) == 2)
        yield made
    finally:
        made.podwire("down")


def _nginx(lab: LabHarness) -> dict[str, dict[str, Any]]:
    """Node -> its nginx, once it is ready."""
    found = lab.pods("run=nginx")
    ready = [one for one in found if one["status"].get("containerStatuses", [{}])[0].get("ready")]
    return {one["spec"]["nodeName"]: one for one in ready}


def _doctor(lab: LabHarness, *words: str) -> dict[str, Any]:
    argv = [PODWIRE, "doctor", "-o", "json", *words]
    done = subprocess.run(
        argv, capture_output=True, text=True, env=lab.env, timeout=300, check=False
    )
    assert done.returncode in (0, FOUND), done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    assert (done.returncode == FOUND) == bool(said["findings"])
    return said


def _kinds(said: dict[str, Any]) -> set[tuple[str, str]]:
    return {(one["id"], one["thing"]) for one in said["findings"]}


def _healthy(lab: LabHarness) -> bool:
    """Not at once: Kubernetes needs a moment to see that pods are ready again."""
    found = _doctor(lab)["findings"]
    assert not found, found
    return True


def _reaches(lab: LabHarness, node: str, address: str) -> bool:
    return "nginx" in lab.on_node(node, f"curl -sS -m 5 http://{address}")


class Patient:
    """The node that gets ill: its name, its nginx, and where that is wired."""

    def __init__(self, lab: LabHarness) -> None:
        self.lab = lab
        self.leaks = 0
        self.node, self.other = lab.nodes()
        pod = _nginx(lab)[self.node]
        self.pod, self.address = f"default/{pod['metadata']['name']}", pod["status"]["podIP"]
        leases = json.loads(lab.podwire("ipam", "show", "--node", self.node, "-o", "json"))
        lease = next(one for one in leases["addresses"] if one["address"] == self.address)
        self.link, self.netns = lease["host_link"], lease["netns"]

    def run(self, command: str) -> str:
        return self.lab.on_node(self.node, command)

    def plant_ours(self) -> set[tuple[str, str]]:
        """What is broken of our own; the leak first, for each ADD mends its node."""
        links = self.run("ls /sys/class/net")
        self.leaks += 1
        leak = f"leak{self.leaks}"
        self.run(f"ip netns add {leak} && podwire cni add --netns {leak} --container-id {leak}")
        self.run(f"ip netns del {leak}")
        wait_for("its link is gone", lambda: self.run("ls /sys/class/net") == links)
        self.run(f"ip link set {self.link} nomaster")
        self.run(f"nsenter --net={self.netns} ip route del default")
        self.run(f"nft delete element {NAT} pod_mac {{ {self.address} }}")
        rules = json.loads(self.run(f"nft -j list chain {NAT} to_fabric"))["nftables"]
        handle = next(one["rule"]["handle"] for one in rules if "rule" in one)
        self.run(f"nft delete rule {NAT} to_fabric handle {handle}")
        return {
            ("node-wiring", f"node {self.node}"),
            ("pod-wiring", f"pod {self.pod}"),
            ("lease-leaked", f"pod {leak}"),
        }

    def plant_foreign(self) -> set[tuple[str, str]]:
        """What others do to pods."""
        self.run(f"iptables -I FORWARD -d {self.address} -p tcp -j DROP")
        self.run("nft add table inet guard")
        self.run("nft add chain inet guard f '{ type filter hook forward priority 0; }'")
        self.run(f"nft add rule inet guard f ip saddr {self.address} drop")
        self.run(f"ip route add blackhole {self.address}")
        self.run("sysctl -w net.ipv4.ip_forward=0")
        space = f"space node/{self.node}"
        return {(kind, space) for kind in ("foreign-drop", "foreign-route", "sysctl-wrong")}


@pytest.fixture(scope="module")
def patient(lab: LabHarness) -> Patient:
    return Patient(lab)


def test_a_healthy_lab_has_nothing(lab: LabHarness, patient: Patient) -> None:
    wait_for("the doctor is content", lambda: _healthy(lab), 60)
    assert _reaches(lab, patient.other, patient.address)


def test_ours_is_named_and_mended_and_foreign_left(lab: LabHarness, patient: Patient) -> None:
    ours, foreign = patient.plant_ours(), patient.plant_foreign()
    said = _doctor(lab)
    assert ours | foreign <= _kinds(said)
    assert {(one["id"], one["thing"]) for one in said["findings"] if one["ours"]} == ours
    sick = [one for one in said["findings"] if one["id"] in dict(ours | foreign)]
    assert {one["node"] for one in sick} == {patient.node}

    mended = _doctor(lab, "--fix", "--node", patient.node)
    assert all(one["action"] for one in mended["done"]), mended["done"]
    assert {one["thing"] for one in mended["done"]} == {thing for _, thing in ours}
    left = _kinds(mended)
    assert foreign <= left
    assert not ours & left

    for one in (one for one in mended["findings"] if one["id"] in dict(foreign)):
        run("/bin/bash", "-c", f'PATH="{PODWIRE.rpartition("/")[0]}:$PATH"; {one["remedy"]}',
            env=lab.env)  # fmt: skip
    wait_for("the doctor is content", lambda: _healthy(lab), 90)
    assert _reaches(lab, patient.other, patient.address)


def test_a_mending_that_was_killed_is_finished_by_the_next(
    lab: LabHarness, patient: Patient
) -> None:
    ours = patient.plant_ours()
    killed = "timeout -s KILL 0.8 podwire doctor --mend-here --node here || true"
    patient.run(killed)
    said = _doctor(lab, "--fix")
    assert not ours & _kinds(said)
    wait_for("the doctor is content", lambda: _healthy(lab), 90)
    assert _reaches(lab, patient.other, patient.address)


def test_a_service_that_nobody_serves(lab: LabHarness) -> None:
    lab.apply(NOBODY)
    try:
        assert _kinds(_doctor(lab)) == {("service-without-endpoints", "service default/nobody")}
    finally:
        lab.kubectl("delete", "service", "nobody")
