"""SIGKILL of the daemon in the middle of everything that `az` can ask for: all of it is finished
by the next daemon, once, and nothing is lost or left. Two things at a time, for each kill takes the
restart of all clusters. `python -m tests.e2e.kills` has every point of every verb.

The tests build on one another.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from podwire.lab.store import Frontends, Instances
from tests.e2e.endpoint import vnet_body
from tests.e2e.harness import LabHarness, wait_for
from tests.e2e.kills import GROUP, SUBNETS, Point, Rig
from tests.e2e.test_lifecycle import left_of

SERVICE = """
apiVersion: v1
kind: Service
metadata:
  name: web
  annotations: {service.beta.kubernetes.io/azure-load-balancer-internal: "true"}
spec: {type: LoadBalancer, selector: {run: nginx}, ports: [{port: 80}]}
"""


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    lab = LabHarness("e2e-kills", tmp_path_factory.mktemp("home"))
    try:
        made = Rig(lab)
        made.prepare()
        yield made
    finally:
        lab.podwire("down")
    assert left_of(lab) == []


def put(rig: Rig, name: str, nodes: int) -> str:
    return rig.arm.begin("PUT", rig.cluster(name), rig.body(name, nodes))


def pool(rig: Rig) -> str:
    return f"{rig.cluster('a')}/agentPools/two"


def config(rig: Rig) -> str:
    return str(rig.layout.cluster(f"{GROUP.lower()}/a").admin_kubeconfig)


def address(rig: Rig) -> str:
    words = ("--kubeconfig", config(rig), "get", "service", "web", "-o", "json")
    service: dict[str, Any] = json.loads(rig.lab.kubectl(*words))
    shown = service["status"].get("loadBalancer", {}).get("ingress", [])
    return str(shown[0]["ip"]) if shown else ""


def test_create(rig: Rig) -> None:
    started = rig.killed(
        "a",
        Point("control-plane", "done"),
        lambda: put(rig, "a", 1),
        lambda: put(rig, "b", 1),
    )
    rig.finished(started)
    rig.check()
    rig.finished([put(rig, "a", 1)])


def test_scale_up_and_stop(rig: Rig) -> None:
    started = rig.killed(
        "a",
        Point("-join", "done"),
        lambda: put(rig, "a", 2),
        lambda: rig.arm.begin("POST", f"{rig.cluster('b')}/stop"),
    )
    rig.finished(started)
    rig.check()


def test_scale_down_start_and_a_new_load_balancer(rig: Rig) -> None:
    rig.lab.apply(SERVICE, "--kubeconfig", config(rig))
    started = rig.killed(
        "a",
        Point("-leave", "started"),
        lambda: put(rig, "a", 1),
        lambda: rig.arm.begin("POST", f"{rig.cluster('b')}/start"),
    )
    rig.finished(started)
    rig.check()
    wait_for("the Service has its address", lambda: address(rig))


def test_nodepool_add_and_delete(rig: Rig) -> None:
    had = address(rig)
    body = {"properties": {"count": 1, "mode": "User", "maxPods": 30, "osType": "Linux"}}
    started = rig.killed(
        "a",
        Point("-ready", "started"),
        lambda: rig.arm.begin("PUT", pool(rig), body),
        lambda: rig.arm.begin("DELETE", rig.cluster("b")),
    )
    rig.finished(started)
    rig.check()
    assert address(rig) == had


def test_upgrade_vnet_update_and_a_load_balancer_that_goes(rig: Rig) -> None:
    """Killed when the node has gone that the surge node stands for."""
    rig.lab.kubectl("--kubeconfig", config(rig), "delete", "service", "web", "--wait=false")
    fresh = vnet_body(*SUBNETS, ("d", "10.220.4.0/24"))
    before = instances(rig)
    started = rig.killed(
        "a",
        Point("-leave", "done"),
        lambda: rig.arm.begin("POST", f"{pool(rig)}/upgradeNodeImageVersion"),
        lambda: rig.arm.begin("PUT", rig.vnet(), fresh),
    )
    rig.finished(started)
    rig.check()
    after = instances(rig)
    assert (after.numbers, after.renewed) == (before.numbers, ())
    assert "d" in rig.lab.status()["vnets"][0]["subnets"]
    held = [one.owner for one in rig.stored(Frontends)[f"{GROUP.lower()}/net"].claims]
    assert held == [], "the Service that was deleted holds no address"


def instances(rig: Rig) -> Instances:
    found: Instances = rig.stored(Instances)[f"{GROUP.lower()}/a/two"]
    return found


def test_nodepool_delete_and_group_delete(rig: Rig) -> None:
    """The group goes when the pool has gone; its VNet is starting when it is to go."""
    group = rig.arm.group(GROUP)
    started = rig.killed(
        "a",
        Point("-leave", "started"),
        lambda: rig.arm.begin("DELETE", pool(rig)),
        lambda: rig.arm.begin("DELETE", group),
    )
    rig.finished(started)
    assert rig.arm.ask("GET", group).code == "ResourceGroupNotFound"
    status = rig.lab.status()
    assert (status["clusters"], status["vnets"], status["nodes"]) == ([], [], [])
    assert status["components"] == []
    rig.check()
