"""Planted faults, one after the other, on a lab of each mode: explain names the culprit of each,
and trace sees the packet for the last time beside it. Where the doctor is asked, it finds this and
nothing else, and its command, typed as it is printed, mends it.

Each is first shown to be real: the connection that worked does not while it is planted, and does
again when it is mended. Explain sees nothing but a snapshot of that moment; trace sends a packet.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from podwire.cli.snapshots import lab_site
from podwire.ipam.lease import Lease
from podwire.kernel.netns import NetNamespace
from podwire.lab import control
from podwire.lens import names
from podwire.lens.collect import collect
from podwire.lens.doctor.judge import judge
from podwire.lens.doctor.values import Finding
from podwire.lens.explain import explain
from podwire.lens.explain.values import Explanation
from podwire.lens.snapshot import KeptResult, Node, Snapshot
from podwire.lens.trace import Request, Trace, trace
from podwire.model.layout import LabLayout
from tests.e2e.endpoint import Arm
from tests.e2e.faults import Fault, faults
from tests.e2e.harness import PODWIRE, LabHarness, run, wait_for
from tests.e2e.mode_faults import of_modes

_POD = """\
apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{pod: {name}}}}}
spec:
  nodeName: {node}
  terminationGracePeriodSeconds: 0
  containers: [{{name: nginx, image: nginx, ports: [{{containerPort: 80}}]}}]
---
"""
_SERVICE = """\
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec: {{selector: {{pod: {pod}}}, ports: [{{port: 80}}]}}
---
"""
_UP = {
    "bridge": (),
    "transparent": ("--network-policy", "azure"),
    "kubenet": ("--network-plugin", "kubenet", "--pod-cidr", "10.100.0.0/16"),
}
_SERVICES = {"one": "c", "self": "a", "local": "b", "empty": "nobody"}


class Closing:
    """What the VNet's owner may do to the nodes' subnet."""

    def __init__(self, arm: Arm, name: str, prefix: str) -> None:
        self._arm, self._prefix = arm, prefix
        self._subnet = arm.network("NetworkLab", "virtualNetworks", "aksvnet", "subnets", name)

    def nsg(self, port: str) -> None:
        properties = {
            "priority": 100,
            "direction": "Inbound",
            "access": "Deny",
            "protocol": "*",
            "sourceAddressPrefix": "*",
            "sourcePortRange": "*",
            "destinationAddressPrefix": "*",
            "destinationPortRange": port,
        }
        rule = {"name": "closed", "properties": properties}
        self._put("networkSecurityGroups", "networkSecurityGroup", {"securityRules": [rule]})

    def udr(self, prefix: str, hop: str, address: str = "") -> None:
        properties = {"addressPrefix": prefix, "nextHopType": hop}
        if address:
            properties["nextHopIpAddress"] = address
        self._put(
            "routeTables", "routeTable", {"routes": [{"name": "r", "properties": properties}]}
        )

    def open(self) -> None:
        self._associate({})

    def _put(self, kind: str, field: str, properties: dict[str, Any]) -> None:
        thing = self._arm.network("NetworkLab", kind, "bed")
        said = self._arm.ask("PUT", thing, {"location": "eastus", "properties": properties})
        assert said.status in (200, 201), said
        self._associate({field: {"id": thing}})

    def _associate(self, more: dict[str, Any]) -> None:
        properties = {"addressPrefix": self._prefix, **more}
        self._arm.done("PUT", self._subnet, {"properties": properties})


@dataclass
class Bed:
    """values: what commands, sources and targets name in braces. seen: the last snapshot."""

    lab: LabHarness
    mode: str
    values: dict[str, str]
    pids: dict[str, int]
    seen: Snapshot = field(default_factory=lambda: Snapshot(0.0, 0.0))

    @cached_property
    def layout(self) -> LabLayout:
        return LabLayout(self.lab.name)

    @cached_property
    def vnet(self) -> Closing:
        subnet = ("azurecni", "10.220.2.0/24")
        if self.mode == "kubenet":
            subnet = ("kubenet", "10.220.1.0/24")
        return Closing(Arm(self.lab.name), *subnet)

    def run(self, line: str) -> None:
        """A command of a fault, where it says."""
        where, _, text = line.format(**self.values).partition(":")
        if where in ("nsg", "udr", "open"):
            getattr(self.vnet, where)(*text.split())
        elif where in self.pids:
            run("nsenter", "-t", str(self.pids[where]), "-a", "/bin/bash", "-c", text)
        else:
            run("nsenter", f"--net={self.values[f'netns_{where}']}", "/bin/bash", "-c", text)

    def snapshot(self) -> Snapshot:
        return collect(lab_site(control.ask(self.layout, op="facts")))

    def asked(self, fault: Fault) -> tuple[Explanation, Trace]:
        """Both, of one snapshot."""
        seen = self.seen = self.snapshot()
        source = names.source(seen, fault.source.format(**self.values))
        target = names.target(seen, fault.target.format(**self.values), fault.protocol)
        said = explain(seen, source, target, protocol=fault.protocol, size=fault.size)
        return said, trace(seen, Request(source, target, fault.protocol, fault.size, wait=0.4))[0]

    def diagnosed(self) -> list[Finding]:
        """What the doctor finds in the last snapshot, but for the service that has nobody."""
        found = judge(self.seen).findings
        return [one for one in found if one.thing != "service default/empty"]

    def cured(self, fault: Fault) -> None:
        """The doctor finds this and nothing else; its command, typed as printed, mends it."""
        findings = self.diagnosed()
        assert {one.id for one in findings} == {fault.finding}, findings
        assert fault.blamed.format(**self.values) in f"{findings}", findings
        path = f"{PODWIRE.rpartition('/')[0]}:{os.environ['PATH']}"
        for remedy in dict.fromkeys(one.remedy for one in findings):
            said = run("/bin/bash", "-c", remedy, env={**self.lab.env, "PATH": path})
            assert "--fix" not in remedy or "made again" in said, said
        wait_for("the doctor is content", self.is_healthy, 10)
        assert self.connects(fault)

    def is_healthy(self) -> bool:
        self.seen = self.snapshot()
        return not self.diagnosed()

    def connects(self, fault: Fault) -> bool:
        """Whether a real connection can be made, as the fault's source would."""
        source, target = (one.format(**self.values) for one in (fault.source, fault.target))
        name, _, port = target.rpartition(":")
        address = self.values.get(name, name)
        with NetNamespace.open(self.values[source]) as place, place.entered():
            try:
                socket.create_connection((address, int(port)), 1.0).close()
            except OSError:
                return False
        return True


@pytest.fixture(scope="module")
def bed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """Of the mode that is the parameter; pytest puts the tests of one mode together."""
    mode: str = request.param
    lab = LabHarness(f"faults-{mode}", tmp_path_factory.mktemp("home"))
    try:
        lab.podwire("up", "--nodes", "2", "--no-workload", *_UP[mode])
        yield _made(lab, mode, tmp_path_factory.mktemp("bed"))
    finally:
        lab.podwire("down")


def _made(lab: LabHarness, mode: str, directory: Path) -> Bed:
    nodes = lab.nodes()
    text = "".join(_POD.format(name=one, node=nodes[one == "c"]) for one in "abc")
    text += "".join(_SERVICE.format(name=one, pod=pod) for one, pod in _SERVICES.items())
    manifest = directory / "bed.yaml"
    manifest.write_text(text)
    lab.kubectl("apply", "-f", str(manifest))
    lab.kubectl("wait", "--for=condition=Ready", "pod/a", "pod/b", "pod/c", "--timeout=120s")
    pids = {f"n{number}": one["pid"] for number, one in enumerate(lab.status()["nodes"])}
    made = Bed(lab, mode, {"node_0": nodes[0], nodes[0]: f"/proc/{pids['n0']}/ns/net"}, pids)
    seen = made.snapshot()
    for node in seen.nodes:
        pid = pids[f"n{nodes.index(node.name)}"]
        for one in "abc":
            made.values |= _of_pod(one, node, seen, pid)
    (cluster,) = seen.clusters
    for service in cluster.services:
        made.values[f"svc/{service.key}"] = service.cluster_ip
    for number, name in enumerate(nodes):
        known = next(one for one in cluster.nodes if one.name == name)
        made.values[f"range_{number}"] = known.pod_cidr
        made.values[f"half_{number}"] = known.pod_cidr.replace("/24", "/25")
        made.values[f"gateway_{number}"] = known.pod_cidr.replace(".0/24", ".1/24")
    made.values["ip_svc"] = made.values["svc/default/one"]
    ids = lab.on_node(nodes[0], "crictl ps -q --label io.kubernetes.pod.name=a").split()
    made.values["resolv_a"] = lab.on_node(
        nodes[0], f"crictl inspect {ids[0]} | grep -o '/var/[^\"]*resolv.conf' | head -1"
    ).strip()
    wait_for(
        "services", lambda: made.connects(Fault("", (), (), (), "", target="svc/default/one:80"))
    )
    return made


def _of_pod(name: str, node: Node, seen: Snapshot, pid: int) -> dict[str, str]:
    """What is known of a pod where it is, {} elsewhere: by its link, for kubenet has no leases."""
    space = seen.space(f"pod/default/{name}")
    if space is None or space.id not in node.pods:
        return {}
    link = next(one for one in space.links if one.peer)
    (address,) = (
        one.ip for one in space.addresses if one.link == link.name and one.scope == "global"
    )
    held = node.attachments
    paths = [one.netns for one in (*held.leases, *held.kept) if address in _addresses(one)]
    path = _path(pid, paths[0])
    return {
        f"pod_{name}": f"default/{name}",
        f"default/{name}": path,
        f"netns_{name}": path,
        f"ip_{name}": address,
        f"mac_{name}": link.mac,
        f"azv_{name}": link.peer[1] if link.peer else "",
    }


def _addresses(one: Lease | KeptResult) -> tuple[str, ...]:
    return one.addresses if isinstance(one, KeptResult) else (one.address,)


def _path(pid: int, netns: str) -> str:
    """As it is seen from here; an absolute symlink of the node's would lead elsewhere."""
    return f"/proc/{pid}/root{netns.replace('/var/run/', '/run/')}"


FAULTS = [*faults(), *of_modes()]


@pytest.mark.parametrize(
    ("bed", "fault"),
    [pytest.param(one.mode, one, id=f"{one.mode}-{one.name}") for one in FAULTS],
    indirect=["bed"],
    scope="module",  # else the one that is no fixture makes the lab one test's
)
def test_the_culprit_is_named(bed: Bed, fault: Fault) -> None:
    healthy = bool(fault.plant)
    if healthy:
        said, traced = bed.asked(fault)
        assert (said.verdict, traced.state) == ("delivered", "delivered"), (said, traced.text)
        assert bed.connects(fault) or not fault.broken
    try:
        for line in fault.plant:
            bed.run(line)
        if fault.broken:
            assert not bed.connects(fault), "it is no fault: the connection works"
        said, traced = bed.asked(fault)
        if fault.culprits:
            _blames(bed, fault, said, traced)
        else:
            assert (said.verdict, traced.state) == ("delivered", "delivered"), (said, traced.text)
        if fault.finding:
            bed.cured(fault)
    finally:
        for line in fault.mend:
            bed.run(line)
    if healthy and fault.broken:
        wait_for("the connection after mending", lambda: bed.connects(fault), 10)


def _blames(bed: Bed, fault: Fault, said: Explanation, traced: Trace) -> None:
    found = said.culprit or next(iter(said.suspects), None)
    assert found is not None, said
    assert found.fault in fault.culprits, found
    blamed = fault.blamed.format(**bed.values)
    assert blamed in f"{found.object} {found.text} {found.entry}", found
    if traced.state == "delivered" and not fault.broken:
        return
    places = ends(bed, traced)
    if found.fault == "dns-resolv-conf":  # whose file leads the question astray
        places = {traced.source.space} if traced.target.address in blamed else set()
    if found.fault == "pod-gone":  # an address that is nobody's ends where it is asked for
        places |= {found.space} if traced.last and traced.last.space.startswith("node/") else set()
    assert found.space in places, (found, traced.text, traced.causes)


def ends(bed: Bed, traced: Trace) -> set[str]:
    """Where trace has the packet end: in the space where it was seen last, or where that link
    leads to; where no packet was sent, with the sender, or whom it asked by ARP in vain."""
    assert traced.state != "delivered", "it is a fault, and trace saw the answer come back"
    one = traced.last
    if one is None:
        return {traced.source.space, *(cause.space for cause in traced.causes)}
    space = bed.seen.space(one.space)
    link = space.link(one.link) if space else None
    asked = {cause.space for cause in traced.causes if cause.kind == "arp"}
    return {one.space, *asked, *([link.peer[0]] if link and link.peer else [])}
