"""A node with a real containerd and runc, in namespaces and cgroups of its own.

Debian's packages are unpacked into a cache, never installed. The end of the node's PID 1 ends
containerd, its shims and the containers, and drops the mounts.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from cri_api.v1 import api_pb2 as cri
from cri_api.v1 import api_pb2_grpc as stubs

from podwire.cluster.containerd import containerd_packages
from podwire.model.layout import CACHE

from .archive import NGINX_IMAGE, PAUSE_IMAGE, write_archive

UID = "56899928-244b-485e-846b-5302430a0c45"
POD = "nginx-7cf567cc7-5pvnj"

CONFIG = """\
version = 2
root = "{work}/containerd"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing",
]
[plugins."io.containerd.internal.v1.opt"]
  path = "{work}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  disable_hugetlb_controller = true
  tolerate_missing_hugetlb_controller = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
"""

INIT = """\
set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/upper /run/work /run/cgroup
mount -t overlay -o lowerdir=/usr/local,upperdir=/run/upper,workdir=/run/work overlay /usr/local
mount -t tmpfs tmpfs /sys/fs/cgroup
for one in {controllers}; do
  mkdir "/sys/fs/cgroup/${{one#none,name=}}"
  mount -t cgroup -o "$one" cgroup "/sys/fs/cgroup/${{one#none,name=}}"
done
mkdir -p /usr/local/bin; touch /usr/local/bin/.node
while :; do
  containerd --config {work}/config.toml >>{work}/containerd.log 2>&1 || sleep 0.1
done
"""


def until(holds: Callable[[], Any], what: str, seconds: float = 20.0) -> Any:
    """What `holds` gives once it is true. Raises AssertionError after `seconds`."""
    end = time.monotonic() + seconds
    while not (value := holds()):
        assert time.monotonic() < end, f"waited {seconds} s in vain for: {what}"
        time.sleep(0.05)
    return value


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """A cgroup v1 hierarchy: what `mount -o` takes, and the node's own directory in it."""

    option: str
    directory: Path


def hierarchies(name: str) -> list[Hierarchy]:
    found = []
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers:
            option = controllers.replace("name=", "none,name=")
            mount = Path("/sys/fs/cgroup") / controllers.removeprefix("name=")
            found.append(Hierarchy(option, mount / path.lstrip("/") / name))
    assert found, "this test needs cgroup v1 hierarchies below /sys/fs/cgroup"
    return found


class Node:
    """One node. `pid`: its PID 1 as the machine sees it."""

    def __init__(self) -> None:
        self.work = Path(tempfile.mkdtemp(prefix="podwire-node-", dir="/var/tmp"))
        self.hierarchies = hierarchies(self.work.name)
        self._unshare: subprocess.Popen[bytes] | None = None
        self.pid = 0

    @property
    def root(self) -> Path:
        return Path(f"/proc/{self.pid}/root")

    @property
    def cri_socket(self) -> Path:
        return self.root / "run/containerd/containerd.sock"

    @property
    def environment(self) -> dict[str, str]:
        tree = containerd_packages(CACHE)
        return {"PATH": f"{tree}/usr/bin:{tree}/usr/sbin:/usr/sbin:/usr/bin:/sbin:/bin"}

    def prepare(self) -> None:
        """The cgroups and containerd's configuration."""
        for one in self.hierarchies:
            one.directory.mkdir()
            for name in ("cpuset.cpus", "cpuset.mems"):
                if (one.directory / name).exists():
                    value = (one.directory.parent / name).read_text()
                    (one.directory / name).write_text(value)
        config = CONFIG.format(work=self.work, pause=PAUSE_IMAGE)
        (self.work / "config.toml").write_text(config)

    def start(self) -> None:
        """PID 1, which keeps containerd running; returns before containerd answers."""
        options = " ".join(one.option for one in self.hierarchies)
        init = INIT.format(work=self.work, controllers=options)
        join = "".join(f"echo 0 >{one.directory}/cgroup.procs; " for one in self.hierarchies)
        unshare = "unshare --mount --pid --uts --ipc --cgroup --fork --kill-child --mount-proc"
        self._unshare = subprocess.Popen(
            ["/bin/sh", "-c", f'set -e; {join} exec {unshare} /bin/sh -c "$1"', "sh", init],
            env=self.environment,
        )
        children = Path(f"/proc/{self._unshare.pid}/task/{self._unshare.pid}/children")
        self.pid = int(until(lambda: children.read_text().split(), "the node's PID 1")[0])

    def stop(self) -> None:
        """End everything and remove it; also after a start that failed."""
        if self.pid:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        if self._unshare is not None:
            self._unshare.kill()
            self._unshare.wait()
        for one in self.hierarchies:
            until(lambda directory=one.directory: _remove_cgroup(directory), f"{one.directory}")
        shutil.rmtree(self.work)

    def run(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a program on the node, as a shell on it would."""
        inside = ["nsenter", "-t", str(self.pid), "-m", "-p", "-u", "-i", "--", *argv]
        path = f"/usr/local/bin:{self.environment['PATH']}"
        return subprocess.run(
            inside,
            env={**self.environment, "PATH": path},
            check=check,
            capture_output=True,
            text=True,
            timeout=30,
        )

    def import_images(self) -> None:
        binary = self.work / "program"
        source = Path(__file__).with_name("program.c")
        subprocess.run(["gcc", "-static", "-O1", "-o", str(binary), str(source)], check=True)
        program = binary.read_bytes()
        entry = ("docker-entrypoint.sh", "bin/echo")
        arguments = ["nginx", "-g", "daemon off;"]
        write_archive(self.work / "pause.tar", program, PAUSE_IMAGE, ("pause",), [])
        write_archive(self.work / "nginx.tar", program, NGINX_IMAGE, entry, arguments)
        for name in ("pause", "nginx"):
            archive = str(self.work / f"{name}.tar")
            self.run("ctr", "-n", "k8s.io", "images", "import", archive)

    def containerd_pid(self) -> int:
        """Host pid of containerd, the child of PID 1."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        names = {int(one): Path(f"/proc/{one}/comm").read_text().strip() for one in children}
        return next((pid for pid, name in names.items() if name == "containerd"), 0)

    def answers(self) -> bool:
        if not self.cri_socket.exists():
            return False
        with grpc.insecure_channel(f"unix://{self.cri_socket}") as channel:
            try:
                stubs.ImageServiceStub(channel).ListImages(cri.ListImagesRequest(), timeout=1)
            except grpc.RpcError:
                return False
        return True


def _remove_cgroup(directory: Path) -> bool:
    for path, _, _ in os.walk(directory, topdown=False):
        try:
            os.rmdir(path)
        except OSError:
            return False
    return True


@dataclass(frozen=True, slots=True)
class Pod:
    sandbox: str
    container: str


HOST_NETWORK = cri.NamespaceOption(network=cri.NODE)
LABELS = {
    "io.kubernetes.pod.name": POD,
    "io.kubernetes.pod.namespace": "default",
    "io.kubernetes.pod.uid": UID,
}


def _sandbox_config(node: Node) -> cri.PodSandboxConfig:
    return cri.PodSandboxConfig(
        metadata=cri.PodSandboxMetadata(name=POD, uid=UID, namespace="default", attempt=0),
        log_directory=f"{node.work}/pods/default_{POD}_{UID}",
        labels={**LABELS, "run": "nginx"},
        linux=cri.LinuxPodSandboxConfig(
            cgroup_parent=f"/kubepods/besteffort/pod{UID}",
            security_context=cri.LinuxSandboxSecurityContext(namespace_options=HOST_NETWORK),
        ),
    )


def run_container(node: Node, channel: grpc.Channel, pod: str, name: str, attempt: int) -> str:
    """Create and start a container of the nginx image in the pod, as a kubelet does."""
    runtime, images = stubs.RuntimeServiceStub(channel), stubs.ImageServiceStub(channel)
    asked = cri.ImageStatusRequest(image=cri.ImageSpec(image=NGINX_IMAGE))
    context = cri.LinuxContainerSecurityContext(namespace_options=HOST_NETWORK)
    sandbox = _sandbox_config(node)
    (Path(sandbox.log_directory) / name).mkdir(parents=True, exist_ok=True)
    config = cri.ContainerConfig(
        metadata=cri.ContainerMetadata(name=name, attempt=attempt),
        image=cri.ImageSpec(image=images.ImageStatus(asked, timeout=10).image.id),
        labels={**LABELS, "io.kubernetes.container.name": name},
        log_path=f"{name}/{attempt}.log",
        linux=cri.LinuxContainerConfig(security_context=context),
    )
    create = cri.CreateContainerRequest(pod_sandbox_id=pod, config=config, sandbox_config=sandbox)
    identity: str = runtime.CreateContainer(create, timeout=30).container_id
    runtime.StartContainer(cri.StartContainerRequest(container_id=identity), timeout=30)
    return identity


def run_pod(node: Node) -> Pod:
    """The document's nginx pod, in the node's own network, as a kubelet asks for it."""
    with grpc.insecure_channel(f"unix://{node.cri_socket}") as channel:
        request = cri.RunPodSandboxRequest(config=_sandbox_config(node))
        runtime = stubs.RuntimeServiceStub(channel)
        pod = runtime.RunPodSandbox(request, timeout=30).pod_sandbox_id
        return Pod(pod, run_container(node, channel, pod, "nginx", 0))
