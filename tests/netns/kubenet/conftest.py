"""A kubenet cluster of one node on a VNet: everything real, nothing of the lab's daemon."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from podwire.cluster import containerd, control_plane, kube_proxy, kubelet, kubenet
from podwire.cluster.api_client import ApiClient
from podwire.cluster.bootstrap import apply_bootstrap, wait_default_account, wait_node_ready
from podwire.cluster.cgroups import LabCgroups
from podwire.cluster.furnish import furnish_kubenet
from podwire.cluster.images.build import build_images
from podwire.cluster.kubeconfig import kubeconfig, write_kubeconfig
from podwire.cluster.kubernetes_binaries import KubernetesBinaries, find_kubernetes
from podwire.cluster.node import Node
from podwire.cluster.packages import unpack
from podwire.cluster.pki import Pki
from podwire.kernel.netns import NetNamespace
from podwire.kernel.process import Supervisor
from podwire.kernel.rtnetlink import RtNetlink
from podwire.lab.lab_node import LabNode
from podwire.model.cluster import API_PORT, CONTROL_PLANE_SUBNET, KUBENET, ClusterSpec
from podwire.model.layout import CACHE, ClusterLayout, LabLayout
from podwire.model.vnet import Nic, Subnet, VNet
from podwire.vnet.fabric import Fabric

SUBNET = Subnet("kubenet", "10.220.1.0/24")
VNET = VNet("aksvnet", "NetworkLab", ("10.220.0.0/16",), (SUBNET,))
SPEC = ClusterSpec(
    name="kubenet-cluster",
    resource_group="NetworkLab",
    location="eastus",
    vnet=VNET.key,
    subnet=SUBNET.name,
    service_cidr="10.200.0.0/16",
    dns_service_ip="10.200.0.10",
    network_plugin=KUBENET,
    pod_cidr="10.100.0.0/16",
)
NODE = SPEC.node_name("nodepool1", 0)
NIC = Nic(NODE, "00:0d:3a:00:00:0a", SUBNET, ("10.220.1.4",))
API = Nic("control-plane", "00:0d:3a:00:00:0c", CONTROL_PLANE_SUBNET, ("172.31.0.4",))


@dataclass
class Cluster:
    """The running cluster, and the loop on which its supervisor lives."""

    runner: asyncio.Runner
    supervisor: Supervisor
    layout: ClusterLayout
    space: NetNamespace
    kubectl_path: Path
    admin: ApiClient
    node: Node

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(coroutine)

    def kubectl(self, *words: str, stdin: str = "") -> str:
        enter = ["nsenter", f"--net={self.space.path}", str(self.kubectl_path)]
        argv = [*enter, f"--kubeconfig={self.layout.admin_kubeconfig}", *words]
        done = subprocess.run(
            argv, input=stdin, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def get(self, *words: str) -> dict[str, Any]:
        return dict(json.loads(self.kubectl("get", *words, "-o", "json")))

    def on_node(self, line: str, *, check: bool = True) -> str:
        """stdout of a shell command line on the node."""
        argv = self.node.enter(("/bin/bash", "-c", line))
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        assert not check or done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    assert os.geteuid() == 0, "these tests make nodes of namespaces: run them as root"
    root = tmp_path_factory.mktemp("kubenet")
    lab = LabLayout(f"k{os.getpid()}", root / "state", root / "run", root / "log", CACHE)
    groups = LabCgroups.create(lab)
    fabric = Fabric.create(VNET)
    try:
        with asyncio.Runner() as runner:
            running = _running(runner, lab, groups, fabric)
            try:
                yield runner.run(anext(running))
            finally:
                runner.run(running.aclose())
    finally:
        fabric.close()
        groups.kill()
        groups.remove()


async def _running(
    runner: asyncio.Runner, lab: LabLayout, groups: LabCgroups, fabric: Fabric
) -> AsyncIterator[Cluster]:
    binaries, supervisor = find_kubernetes(), Supervisor()
    layout = lab.cluster(SPEC.key)
    pki = Pki.ensure(layout.pki, SPEC, API.primary, {NODE: NIC.primary})
    node = _node(lab, groups, binaries, pki)
    lab_node = LabNode(node, NIC, fabric, supervisor, furnish_kubenet)
    try:
        async with _control_plane(fabric, supervisor, layout, binaries, pki) as (space, client):
            await lab_node.boot()
            await _join(lab_node, binaries.version)
            await wait_node_ready(client, NODE)
            await wait_default_account(client)
            kubectl = binaries.program("kubectl")
            yield Cluster(runner, supervisor, layout, space, kubectl, client, node)
            await lab_node.end()
    finally:
        await supervisor.stop_all(grace=0.5)
        await node.destroy()


@asynccontextmanager
async def _control_plane(
    fabric: Fabric,
    supervisor: Supervisor,
    layout: ClusterLayout,
    binaries: KubernetesBinaries,
    pki: Pki,
) -> AsyncIterator[tuple[NetNamespace, ApiClient]]:
    address, admin = API.primary, pki.credential("admin")
    control_plane.prepare_control_plane(pki, layout, address)
    config = kubeconfig(f"https://{address}:{API_PORT}", admin, user="admin")
    write_kubeconfig(layout.admin_kubeconfig, config)
    etcd = unpack(["etcd-server"], layout.state / "etcd") / "usr/bin/etcd"
    with NetNamespace.create() as space:
        with RtNetlink(space) as door:
            door.set_link(door.index("lo"), up=True)
        fabric.attach(API, space)
        programs = control_plane.control_plane_programs(
            SPEC, binaries, etcd, pki, layout, address, space.path
        )
        async with ApiClient((address, API_PORT), admin, namespace=space) as client:
            await control_plane.start_control_plane(supervisor, programs, client)
            await control_plane.wait_ready(client)
            await apply_bootstrap(client)
            yield space, client


def _node(lab: LabLayout, groups: LabCgroups, binaries: KubernetesBinaries, pki: Pki) -> Node:
    packages = containerd.containerd_packages(CACHE)
    secrets = kubelet.KubeletSecrets.of(pki, NODE, API.primary)
    proxy = kube_proxy.kube_proxy_kubeconfig(pki, API.primary)
    steps = (
        *containerd.containerd_steps(packages, cni_template=kubenet.TEMPLATE),
        *kubenet.kubenet_steps(),
        *kubelet.kubelet_steps(_settings(binaries.version), binaries.program("kubelet"), secrets),
        *kube_proxy.kube_proxy_steps(NODE, SPEC.pod_cidr, binaries.program("kube-proxy"), proxy),
    )
    return Node(NODE, lab, groups, NIC.primary, inside=(binaries.directory,), steps=steps)


def _settings(version: str) -> kubelet.KubeletSettings:
    return kubelet.KubeletSettings(NODE, NIC.primary, version, SPEC.dns_service_ip)


async def _join(lab_node: LabNode, version: str) -> None:
    """Its programs, and the images that a registry would have."""
    await lab_node.start(
        lambda node: kubenet.keeper_program(node, SPEC.pod_cidr), containerd.containerd_program
    )
    await containerd.wait_containerd(lab_node.node)
    await asyncio.to_thread(_import_images, lab_node.node)
    await lab_node.start(
        lambda node: kubelet.kubelet_program(node, _settings(version)),
        kube_proxy.kube_proxy_program,
    )


def _import_images(node: Node) -> None:
    images = build_images(CACHE)
    for one in ("pause", "nginx", "tools"):
        archive = images.directory / images.image(one).archive
        argv = node.enter(("ctr", "-n", "k8s.io", "images", "import", str(archive)))
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
