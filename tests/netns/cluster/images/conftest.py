"""A real node, with containerd that pulls from a real registry inside the node's own network."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from cri_api.v1 import api_pb2 as cri
from cri_api.v1 import api_pb2_grpc as stubs

from podwire.cluster import containerd
from podwire.cluster.cgroups import LabCgroups
from podwire.cluster.images.build import build_images
from podwire.cluster.images.store import ImageSet
from podwire.cluster.node import Node
from podwire.cluster.registry import containerd_mirrors, registry_program
from podwire.kernel.process import Supervisor
from podwire.model.layout import CACHE, LabLayout

PORT = 5000
LOCAL = f"http://127.0.0.1:{PORT}"
MIRROR = "http://127.0.0.1:5001"


def until(holds: Callable[[], Any], what: str, seconds: float = 20.0) -> Any:
    """What `holds` gives once it is true. Raises AssertionError after `seconds`."""
    end = time.monotonic() + seconds
    while not (value := holds()):
        assert time.monotonic() < end, f"waited {seconds} s in vain for: {what}"
        time.sleep(0.05)
    return value


@dataclass(frozen=True, slots=True)
class Machine:
    """The node, and the CRI of its containerd."""

    node: Node
    runtime: Any
    images: Any
    work: Path

    def run(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command on the node."""
        done = subprocess.run(
            self.node.enter(argv), capture_output=True, text=True, timeout=60, check=False
        )
        assert not check or done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return done

    def inside(self, path: Path) -> Path:
        """A path of the node's as the machine sees it."""
        return self.node.root / str(path).lstrip("/")

    def pull(self, name: str) -> str:
        """Pull as a kubelet does. Raises grpc.RpcError."""
        request = cri.PullImageRequest(image=cri.ImageSpec(image=name))
        return str(self.images.PullImage(request, timeout=60).image_ref)

    def start(self, name: str, image: str, **config: Any) -> Container:
        """Start a container in a pod of its own on the node's network."""
        self.pull(image)
        host = cri.NamespaceOption(network=cri.NODE)
        pod = cri.PodSandboxConfig(
            metadata=cri.PodSandboxMetadata(name=name, uid=name, namespace="default"),
            log_directory=str(self.work / name),
            linux=cri.LinuxPodSandboxConfig(
                security_context=cri.LinuxSandboxSecurityContext(namespace_options=host)
            ),
        )
        sandbox = self.runtime.RunPodSandbox(cri.RunPodSandboxRequest(config=pod)).pod_sandbox_id
        context = config.pop("security_context", cri.LinuxContainerSecurityContext())
        context.namespace_options.network = cri.NODE
        container = cri.ContainerConfig(
            metadata=cri.ContainerMetadata(name=name),
            image=cri.ImageSpec(image=image),
            log_path="0.log",
            linux=cri.LinuxContainerConfig(security_context=context),
            **config,
        )
        request = cri.CreateContainerRequest(
            pod_sandbox_id=sandbox, config=container, sandbox_config=pod
        )
        made = self.runtime.CreateContainer(request).container_id
        self.runtime.StartContainer(cri.StartContainerRequest(container_id=made))
        log = self.inside(self.work) / name / "0.log"
        return Container(self, sandbox, made, log)


@dataclass(frozen=True, slots=True)
class Container:
    machine: Machine
    sandbox: str
    id: str
    log: Path

    def exec(self, *argv: str) -> str:
        request = cri.ExecSyncRequest(container_id=self.id, cmd=argv, timeout=20)
        done = self.machine.runtime.ExecSync(request)
        output = (done.stdout + done.stderr).decode()
        assert done.exit_code == 0, f"{argv}: {output}"
        return output

    def stop(self, grace: int = 10) -> tuple[float, int]:
        """How many seconds it took to end after its stop signal, and its exit code."""
        started = time.monotonic()
        request = cri.StopContainerRequest(container_id=self.id, timeout=grace)
        self.machine.runtime.StopContainer(request)
        took = time.monotonic() - started
        status = cri.ContainerStatusRequest(container_id=self.id)
        return took, self.machine.runtime.ContainerStatus(status).status.exit_code

    def pid(self) -> int:
        """On the node."""
        request = cri.ContainerStatusRequest(container_id=self.id, verbose=True)
        info = self.machine.runtime.ContainerStatus(request).info["info"]
        return int(json.loads(info)["pid"])

    def remove(self) -> None:
        stop = cri.StopPodSandboxRequest(pod_sandbox_id=self.sandbox)
        self.machine.runtime.StopPodSandbox(stop)
        remove = cri.RemovePodSandboxRequest(pod_sandbox_id=self.sandbox)
        self.machine.runtime.RemovePodSandbox(remove)


def security(given: dict[str, Any]) -> cri.LinuxContainerSecurityContext:
    """A manifest's securityContext, as a kubelet hands it on."""
    return cri.LinuxContainerSecurityContext(
        readonly_rootfs=given["readOnlyRootFilesystem"],
        no_new_privs=not given["allowPrivilegeEscalation"],
        capabilities=cri.Capability(
            drop_capabilities=given["capabilities"]["drop"],
            add_capabilities=given["capabilities"]["add"],
        ),
    )


def proportional(container: Container) -> int:
    """PSS in kilobytes."""
    machine = container.machine
    rollup = machine.inside(Path(f"/proc/{container.pid()}/smaps_rollup")).read_text()
    line = next(one for one in rollup.splitlines() if one.startswith("Pss:"))
    return int(line.split()[1])


@pytest.fixture(scope="session")
def images() -> ImageSet:
    assert os.geteuid() == 0, "these tests need root: they make namespaces and run containerd"
    return build_images(CACHE)


@pytest.fixture(scope="session")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="session")
def machine(images: ImageSet, runner: asyncio.Runner) -> Iterator[Machine]:
    work = Path("/var/tmp") / f"podwire-images-{os.getpid()}"
    name = f"images-{os.getpid()}"
    layout = LabLayout(name, work / "state", work / "run", work / "log")
    layout.state.mkdir(parents=True)
    layout.run.mkdir(parents=True)
    cgroups = LabCgroups.create(layout)
    mirrors = containerd_mirrors(LOCAL, MIRROR)
    steps = containerd.containerd_steps(containerd.containerd_packages(CACHE), mirrors)
    node = Node("node1", layout, cgroups, steps=steps, inside=(work,))
    supervisor = Supervisor()
    try:
        runner.run(node.boot())
        log = work / "registry.log"
        space = f"/proc/{node.pid}/ns/net"
        registry = registry_program(CACHE, images, "127.0.0.1", PORT, log, space)
        runner.run(supervisor.start(registry))
        runner.run(supervisor.start(containerd.containerd_program(node)))
        socket = runner.run(containerd.wait_containerd(node))
        with grpc.insecure_channel(f"unix://{socket}") as channel:
            machine = Machine(
                node, stubs.RuntimeServiceStub(channel), stubs.ImageServiceStub(channel), work
            )
            version = ("curl", "-sf", f"{LOCAL}/v2/")
            until(lambda: machine.run(*version, check=False).returncode == 0, "the registry")
            until(lambda: _serves(machine), "containerd's CRI")
            yield machine
    finally:
        runner.run(supervisor.stop_all())
        runner.run(node.destroy())
        cgroups.kill()
        cgroups.remove()
        shutil.rmtree(work, ignore_errors=True)


def _serves(machine: Machine) -> bool:
    with suppress(grpc.RpcError):
        return bool(machine.runtime.Version(cri.VersionRequest()).version)
    return False
