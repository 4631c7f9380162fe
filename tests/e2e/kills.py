"""SIGKILL of the daemon at chosen points of what the endpoint was asked for; what must hold then.

    python -m tests.e2e.kills LAB [VERB...]

does every verb at every point of it, one after another: minutes, by hand. `test_kills` does those
that the time of CI allows.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from podwire.lab import control
from podwire.lab.control import DaemonError
from podwire.lab.store import Access, Frontends, Instances, PluggedNic, Store, WantedCluster
from podwire.model.layout import LabLayout
from podwire.model.vnet import VNet
from tests.e2e.endpoint import Arm, cluster_body, vnet_body
from tests.e2e.harness import LabHarness, wait_for

GROUP = "Kills"
SUBNETS = (("a", "10.220.1.0/24"), ("b", "10.220.2.0/24"), ("c", "10.220.3.0/24"))


@dataclass(frozen=True)
class Point:
    """The first event of a lab's work whose step ends with this, in this state; "" any."""

    step: str = ""
    state: str = ""

    def is_at(self, event: dict[str, Any]) -> bool:
        return event["step"].endswith(self.step) and self.state in ("", event["state"])

    def __str__(self) -> str:
        return f"{self.step or 'anything'} {self.state}".strip()


SENT = None
"""The point right after the answer to the request."""


class Rig:
    """A lab that is killed and comes back. arm: its endpoint."""

    def __init__(self, lab: LabHarness) -> None:
        self.lab, self.layout = lab, LabLayout(lab.name)
        self.lab.podwire("up", "--empty")
        self.arm = Arm(lab.name)

    def vnet(self, *below: str) -> str:
        return self.arm.network(GROUP, "virtualNetworks", "net", *below)

    def cluster(self, name: str) -> str:
        return self.arm.cluster(GROUP, name)

    def body(self, name: str, nodes: int = 1) -> dict[str, Any]:
        """Of a cluster in the subnet of its name."""
        return cluster_body(self.vnet("subnets", name), nodes)

    def prepare(self) -> None:
        """The group and its VNet."""
        assert self.arm.ask("PUT", self.arm.group(GROUP), {"location": "eastus"}).status == 201
        self.arm.done("PUT", self.vnet(), vnet_body(*SUBNETS))

    def kill(self) -> None:
        pid = control.daemon_pid(self.layout)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        wait_for("the daemon is gone", lambda: control.daemon_pid(self.layout) is None)

    def again(self) -> None:
        self.lab.podwire("up", "--empty")

    def killed(self, cluster: str, point: Point | None, *begin: Callable[[], str]) -> list[str]:
        """Begin these, kill the daemon at the point of the cluster's work, start it again.

        Returns the operations that were under way.
        """
        with self._events(f"{GROUP.lower()}/{cluster}") as events:
            operations = [one() for one in begin]
            deadline = time.monotonic() + 120
            while point is not SENT and not point.is_at(events.get(timeout=60)):
                assert time.monotonic() < deadline, f"{point} did not come"
        self.kill()
        self.again()
        return operations

    @contextmanager
    def _events(self, subject: str) -> Iterator[queue.SimpleQueue[dict[str, Any]]]:
        """What the lab tells of the subject's works from now on."""
        told: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()

        def listen() -> None:
            try:
                for one in control.request(self.layout, {"op": "events"}):
                    if one["subject"] == subject and one["state"] != "progress":
                        told.put(one)
            except DaemonError:
                return  # it was killed

        threading.Thread(target=listen, daemon=True).start()
        time.sleep(0.1)
        yield told

    def steps(self, cluster: str, begin: Callable[[], str]) -> list[Point]:
        """Do it undisturbed; its points."""
        with self._events(f"{GROUP.lower()}/{cluster}") as events:
            status = self.arm.end(begin())
            assert status["status"] == "Succeeded", status
            found = []
            while not events.empty():
                one = events.get()
                found.append(Point(one["step"], one["state"]))
        return list(dict.fromkeys(found))

    def finished(self, operations: list[str]) -> None:
        for one in operations:
            status = self.arm.end(one)
            assert status["status"] == "Succeeded", status

    def check(self) -> None:
        """The lab has what the endpoint shows, all of it runs, and there is nothing else."""
        wait_for("no cluster is on its way any more", self._is_settled, 180)
        wanted, stopped = self._wanted()
        status = self.lab.status()
        nodes = {one["name"] for one in status["nodes"]}
        running = {name for name, key in wanted.items() if key not in stopped}
        assert nodes == running, (nodes, running)
        assert all(one["state"] == "running" for one in status["nodes"]), status["nodes"]
        self._check_store(wanted)
        self._check_files(wanted)
        for name in {key for key in wanted.values() if key not in stopped}:
            mine = {node for node, key in wanted.items() if key == name}
            self._check_ready(name, mine)

    def _wanted(self) -> tuple[dict[str, str], set[str]]:
        """Node -> its cluster, of what the endpoint shows, by counts; the stopped clusters."""
        found: dict[str, str] = {}
        stopped = set()
        clusters = self.stored(WantedCluster)
        shown = {one["name"]: one["properties"] for one in self._clusters()}
        assert {one.spec.name for one in clusters.values()} == set(shown)
        for key, one in clusters.items():
            properties = shown[one.spec.name]
            assert properties["provisioningState"] == "Succeeded", properties
            pools = {pool["name"]: pool["count"] for pool in properties["agentPoolProfiles"]}
            assert pools == {pool.name: pool.count for pool in one.spec.pools}
            if properties["powerState"]["code"] == "Stopped":
                stopped.add(key)
            for pool in one.spec.pools:
                numbers = self.stored(Instances)[f"{key}/{pool.name}"].numbers
                assert len(numbers) == pool.count, (key, pool.name, numbers)
                found |= {one.spec.node_name(pool.name, number): key for number in numbers}
        return found, stopped

    def _is_settled(self) -> bool:
        states = [one["properties"]["provisioningState"] for one in self._clusters()]
        return all(one in ("Succeeded", "Failed") for one in states)

    def _clusters(self) -> list[dict[str, Any]]:
        path = "providers/Microsoft.ContainerService/managedClusters"
        listed: list[dict[str, Any]] = self.arm.get(f"{self.arm.subscription}/{path}")["value"]
        return listed

    def stored(self, kind: type[Any]) -> dict[str, Any]:
        store = Store(self.layout.store)
        try:
            return store.all(kind)
        finally:
            store.close()

    def _check_store(self, wanted: dict[str, str]) -> None:
        clusters, pools = self.stored(WantedCluster), set(self.stored(Instances))
        planes = {f"control-plane of {one}" for one in clusters}
        nics = self.stored(PluggedNic)
        assert set(nics) == {*wanted, *planes}
        addresses = [one for nic in nics.values() for one in (nic.nic.addresses)]
        assert len(addresses) == len(set(addresses))
        assert set(self.stored(Access)) <= pools
        assert pools == {f"{key}/{p.name}" for key, one in clusters.items() for p in one.spec.pools}
        vnets = self.stored(VNet)
        assert set(self.stored(Frontends)) <= set(vnets)
        owners = [one.owner for each in self.stored(Frontends).values() for one in each.claims]
        assert all("/".join(one.split("/")[:2]) in clusters for one in owners), owners

    def _check_files(self, wanted: dict[str, str]) -> None:
        state = self.layout.state
        disks = {one.name for one in (state / "nodes").glob("*")}
        assert disks == set(wanted), "disks of nodes"
        keys = {one.stem for one in state.glob("clusters/*/pki/kubelet-client-*.key")}
        assert keys == {f"kubelet-client-{one}" for one in wanted}
        homes = {one.name.replace(".", "/") for one in (state / "clusters").glob("*")}
        assert homes == set(self.stored(WantedCluster)), "directories of clusters"

    def _check_ready(self, key: str, wanted: set[str]) -> None:
        config = self.layout.cluster(key).admin_kubeconfig

        def ready() -> bool:
            listed = json.loads(
                self.lab.kubectl("--kubeconfig", str(config), "get", "nodes", "-o", "json")
            )
            return {
                one["metadata"]["name"]
                for one in listed["items"]
                if any(
                    has["type"] == "Ready" and has["status"] == "True"
                    for has in one["status"]["conditions"]
                )
            } == wanted

        wait_for(f"the nodes of {key} are Ready, and no others", ready, 60)


@dataclass(frozen=True)
class Verb:
    """begin: asks for it; cluster: whose works tell of it."""

    cluster: str
    begin: Callable[[], str]


def verbs(rig: Rig) -> dict[str, Verb]:
    """In an order in which each finds what it needs; the last leaves what the first found."""
    arm = rig.arm
    a, pool = rig.cluster("a"), f"{rig.cluster('a')}/agentPools"
    extra = {"properties": {"count": 1, "mode": "User", "maxPods": 30, "osType": "Linux"}}

    def put(path: str, body: Any) -> Callable[[], str]:
        return lambda: arm.begin("PUT", path, body)

    def changed(*subnets: tuple[str, str]) -> Callable[[], str]:
        return put(rig.vnet(), vnet_body(*subnets))

    return {
        "create": Verb("a", put(a, rig.body("a"))),
        "scale up": Verb("a", put(a, rig.body("a", 2))),
        "scale down": Verb("a", put(a, rig.body("a", 1))),
        "nodepool add": Verb("a", put(f"{pool}/two", extra)),
        "upgrade": Verb(
            "a", lambda: arm.begin("POST", f"{pool}/nodepool1/upgradeNodeImageVersion")
        ),
        "nodepool delete": Verb("a", lambda: arm.begin("DELETE", f"{pool}/two")),
        "stop": Verb("a", lambda: arm.begin("POST", f"{a}/stop")),
        "start": Verb("a", lambda: arm.begin("POST", f"{a}/start")),
        "vnet update": Verb("", changed(*SUBNETS, ("d", "10.220.4.0/24"))),
        "vnet update back": Verb("", changed(*SUBNETS)),
        "delete": Verb("a", lambda: arm.begin("DELETE", a)),
    }


def thorough(rig: Rig, chosen: list[str]) -> None:
    """Each verb at each of its points. A verb is done again from where the others lead."""
    every = verbs(rig)
    names = list(every)
    points = {name: [SENT, *rig.steps(one.cluster, one.begin)] for name, one in every.items()}
    for at in range(max(map(len, points.values()))):
        for name in names:
            verb = every[name]
            here = points[name]
            begun = time.monotonic()
            if at >= len(here) or (chosen and name not in chosen):
                rig.finished([verb.begin()])
                continue
            rig.finished(rig.killed(verb.cluster, here[at], verb.begin))
            rig.check()
            took = time.monotonic() - begun
            print(f"{name} at {here[at] or 'sent'}: {took:.1f} s", flush=True)  # noqa: T201


def main(arguments: list[str]) -> None:
    lab = LabHarness(arguments[0], Path(tempfile.mkdtemp()))
    rig = Rig(lab)
    try:
        rig.prepare()
        thorough(rig, arguments[1:])
    finally:
        lab.podwire("down")


if __name__ == "__main__":
    main(sys.argv[1:])
