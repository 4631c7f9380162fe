"""containerd and a kubelet on a node, as the real programs run there."""

from __future__ import annotations

import json
import os
from pathlib import Path

import grpc.aio
import pytest
from cri_api.v1 import api_pb2 as cri
from cri_api.v1 import api_pb2_grpc as cri_grpc

from podwire.cluster.containerd import SANDBOX_IMAGE, containerd_program, wait_containerd
from podwire.cluster.docker_api import DockerApi
from podwire.cluster.kubelet import (
    MANIFESTS,
    KubeletSettings,
    kubelet_program,
    kubelet_steps,
)
from podwire.cluster.kubernetes_binaries import KubernetesBinaries, find_kubernetes
from podwire.cluster.node import Node
from podwire.cluster.node_root import MASKED_SYSCTLS, File
from podwire.kernel.process import Supervisor

from .conftest import NAME, booted, output, until, with_containerd
from .machine import in_pid_namespace

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "static"},
    "spec": {
        "hostNetwork": True,
        "containers": [{"name": "c", "image": SANDBOX_IMAGE, "imagePullPolicy": "Never"}],
    },
}


@pytest.fixture(scope="session")
def kubernetes() -> KubernetesBinaries:
    return find_kubernetes()


def test_containerd_serves_and_has_the_image_that_was_imported(
    node: Node, packages: Path, image: Path, run
) -> None:
    async def work() -> None:
        async with with_containerd(node, packages, image) as (_, socket):
            assert socket == Path(f"/proc/{node.pid}/root/run/containerd/containerd.sock")
            code, said = await output(node, "ctr", "version")
            assert code == 0, said
            assert said.count("Version:") == 2  # the server's too
            assert SANDBOX_IMAGE in (await output(node, "ctr", "-n", "k8s.io", "i", "ls", "-q"))[1]
            assert (await output(node, "runc", "--version"))[0] == 0

    run(work())


async def _start_pod(socket: Path) -> None:
    """One sandbox on the node's own network with one container, through the CRI."""
    options = cri.NamespaceOption(network=cri.NODE)
    context = cri.LinuxSandboxSecurityContext(namespace_options=options)
    parent = "/kubepods/besteffort/pod12345678-aaaa"
    sandbox = cri.PodSandboxConfig(
        metadata=cri.PodSandboxMetadata(name="p", uid="12345678-aaaa", namespace="default"),
        log_directory="/var/log/pods/default_p_12345678-aaaa",
        linux=cri.LinuxPodSandboxConfig(security_context=context, cgroup_parent=parent),
    )
    container = cri.ContainerConfig(
        metadata=cri.ContainerMetadata(name="c"),
        image=cri.ImageSpec(image=SANDBOX_IMAGE),
        log_path="c/0.log",
        linux=cri.LinuxContainerConfig(resources=cri.LinuxContainerResources(cpu_shares=2)),
    )
    async with grpc.aio.insecure_channel(f"unix:{socket}") as channel:
        runtime = cri_grpc.RuntimeServiceStub(channel)
        run_ = cri.RunPodSandboxRequest(config=sandbox)
        pod = (await runtime.RunPodSandbox(run_, wait_for_ready=True)).pod_sandbox_id
        create = cri.CreateContainerRequest(
            pod_sandbox_id=pod, config=container, sandbox_config=sandbox
        )
        made = (await runtime.CreateContainer(create)).container_id
        await runtime.StartContainer(cri.StartContainerRequest(container_id=made))


def test_a_pods_processes_are_below_kubepods_of_the_node(
    node: Node, packages: Path, image: Path, run
) -> None:
    async def work() -> None:
        async with with_containerd(node, packages, image) as (_, socket):
            await _start_pod(socket)
            _, pids = await output(node, "pidof", "pause")
            assert len(pids.split()) == 2
            for pid in pids.split():
                _, seen = await output(node, "cat", f"/proc/{pid}/cgroup")
                assert "/kubepods/besteffort/pod12345678-aaaa/" in seen
            assert len(node.cgroups.pids(f"{NAME}/kubepods")) == 2

    run(work())


def test_pods_outlive_containerd_and_end_with_the_node(
    node: Node, packages: Path, image: Path, run
) -> None:
    async def work() -> None:
        async with with_containerd(node, packages, image) as (supervisor, socket):
            await _start_pod(socket)
            await supervisor.stop(f"{NAME}/containerd", grace=0)
            assert len((await output(node, "pidof", "pause"))[1].split()) == 2
            await supervisor.start(containerd_program(node))
            await wait_containerd(node)
            tasks = await output(node, "ctr", "-n", "k8s.io", "tasks", "ls")
            assert tasks[1].count("RUNNING") == 2
            assert node.pid is not None
            space = os.readlink(f"/proc/{node.pid}/ns/pid")
            await node.shutdown()
            assert in_pid_namespace(space) == []
            assert node.cgroups.pids(f"{NAME}/kubepods") == set()

    run(work())


def test_images_are_there_after_a_reboot_and_in_a_node_seeded_with_them(
    node: Node, packages: Path, image: Path, tmp_path: Path, run
) -> None:
    async def images(of: Node, supervisor: Supervisor) -> str:
        await supervisor.start(containerd_program(of))
        await wait_containerd(of)
        return (await output(of, "ctr", "-n", "k8s.io", "images", "ls", "-q"))[1]

    async def work() -> None:
        async with with_containerd(node, packages, image) as (supervisor, _):
            await supervisor.stop_all()
            await node.shutdown()
            seed = node.layout.node_state(NAME) / "containerd"
            second = Node("n1", node.layout, node.cgroups, seed=seed, steps=node.steps)
            async with booted(second):
                assert SANDBOX_IMAGE in await images(second, supervisor)
                await supervisor.stop_all(grace=0)
            await node.boot()
            assert SANDBOX_IMAGE in await images(node, supervisor)

    run(work())


def test_a_kubelet_runs_a_static_pod_and_writes_no_sysctl(
    node: Node, packages: Path, image: Path, kubernetes: KubernetesBinaries, run
) -> None:
    settings = KubeletSettings(NAME, "", kubernetes.version, "10.200.0.10")
    node.steps = (
        *kubelet_steps(settings, kubernetes.program("kubelet"), None),
        File(f"{MANIFESTS}/static.json", json.dumps(POD)),
    )

    async def work() -> None:
        async with with_containerd(node, packages, image) as (supervisor, socket):
            plain = [node.root / "run/podwire/sysctl" / one for one in MASKED_SYSCTLS]
            before = {one: one.stat().st_mtime_ns for one in plain if one.exists()}
            assert before
            api = DockerApi(socket, node.root, NAME)
            await api.serve(node.root / "var/run/docker.sock")
            try:
                await supervisor.start(kubelet_program(node, settings, standalone=True))
                pods = node.cgroups
                await until(lambda: len(pods.pids(f"{NAME}/kubepods")) == 2, "the pod runs", 60)
            finally:
                await api.close()
            assert {one: one.stat().st_mtime_ns for one in before} == before
            _, healthy = await output(node, "curl", "-s", "http://127.0.0.1:10248/healthz")
            assert healthy == "ok"
            log = node.layout.node_log(NAME, "kubelet").read_text()
            assert "unknown field" not in log
            assert supervisor.running[f"{NAME}/kubelet"].restarts == 0

    run(work())
