"""One real control plane for all tests of this folder, in network namespaces of its own."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from podwire.cluster.api_client import ApiClient
from podwire.cluster.control_plane import (
    control_plane_programs,
    prepare_control_plane,
    start_control_plane,
    wait_ready,
)
from podwire.cluster.kubeconfig import kubeconfig, write_kubeconfig
from podwire.cluster.kubernetes_binaries import find_kubernetes
from podwire.cluster.packages import unpack
from podwire.cluster.pki import Credential, Pki
from podwire.kernel.netns import NetNamespace
from podwire.kernel.process import Running, Supervisor
from podwire.model.cluster import API_PORT
from podwire.model.layout import ClusterLayout, LabLayout
from tests.unit.cluster.specs import API_ADDRESS, SPEC

NODES = {"node-a": "10.220.2.4", "node-b": "10.220.2.35"}


@dataclass
class ControlPlane:
    """A running control plane, and the loop on which its supervisor lives."""

    runner: asyncio.Runner
    supervisor: Supervisor
    layout: ClusterLayout
    pki: Pki
    inside: NetNamespace
    outside: NetNamespace
    kubectl_path: Path
    admin: ApiClient

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(coroutine)

    def client(self, credential: Credential, *, outside: bool = False) -> ApiClient:
        namespace = self.outside if outside else self.inside
        return ApiClient((API_ADDRESS, API_PORT), credential, namespace=namespace)

    def running(self, name: str) -> Running:
        return self.supervisor.running[f"{self.layout.directory}/{name}"]

    def pid(self, name: str) -> int:
        pid = self.running(name).pid
        assert pid is not None
        return pid

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        config = self.layout.admin_kubeconfig
        enter = ["nsenter", f"--net={self.outside.path}", str(self.kubectl_path)]
        command = [*enter, f"--kubeconfig={config}", *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout


def ip(namespace: NetNamespace, *arguments: str) -> None:
    command = ["nsenter", f"--net={namespace.path}", "ip", *arguments]
    subprocess.run(command, check=True, capture_output=True)


def wire(inside: NetNamespace, outside: NetNamespace) -> None:
    """eth0 172.31.0.4 inside, its peer 172.31.0.1 outside."""
    ip(inside, "link", "set", "lo", "up")
    peer = ["peer", "name", "eth0", "netns", outside.path]
    ip(inside, "link", "add", "eth0", "type", "veth", *peer)
    for namespace, address in ((inside, API_ADDRESS), (outside, "172.31.0.1")):
        ip(namespace, "address", "add", f"{address}/24", "dev", "eth0")
        ip(namespace, "link", "set", "eth0", "up")


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    assert os.geteuid() == 0, "these tests make network namespaces: run them as root"
    root = tmp_path_factory.mktemp("control-plane")
    layout = LabLayout("t", root / "state", root / "run", root / "log").cluster(SPEC.key)
    binaries = find_kubernetes()
    etcd = unpack(["etcd-server"], root / "etcd") / "usr/bin/etcd"
    pki = Pki.ensure(layout.pki, SPEC, API_ADDRESS, NODES)
    prepare_control_plane(pki, layout, API_ADDRESS)
    admin = pki.credential("admin")
    config = kubeconfig(f"https://{API_ADDRESS}:{API_PORT}", admin, user="admin")
    write_kubeconfig(layout.admin_kubeconfig, config)
    with (
        NetNamespace.create() as inside,
        NetNamespace.create() as outside,
        asyncio.Runner() as runner,
    ):
        wire(inside, outside)
        supervisor = Supervisor()
        client = ApiClient((API_ADDRESS, API_PORT), admin, namespace=inside)
        programs = control_plane_programs(
            SPEC, binaries, etcd, pki, layout, API_ADDRESS, inside.path
        )
        made = ControlPlane(
            runner, supervisor, layout, pki, inside, outside, binaries.program("kubectl"), client
        )
        try:
            runner.run(start_control_plane(supervisor, programs, client))
            runner.run(wait_ready(client, list(supervisor.running.values())))
            yield made
        finally:
            client.close()
            runner.run(supervisor.stop_all(grace=0.5))
