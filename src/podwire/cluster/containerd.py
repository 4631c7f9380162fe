"""A node's containerd: its configuration, its programs on the node's PATH, and when it serves.

Must not know where packages and images come from. Written for containerd 1.6 and 1.7 (configuration
version 2, CRI v1 and v1alpha2).
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from pathlib import Path

from podwire.cluster.node import Node
from podwire.cluster.node_root import File, Link, Step
from podwire.cluster.packages import unpack
from podwire.kernel.process import Program, log_tail
from podwire.model.errors import UnavailableError
from podwire.model.progress import Progress, silent

PACKAGES = ("containerd", "runc", "containernetworking-plugins")
"""Debian packages; installing them would start containerd on the machine."""
SANDBOX_IMAGE = "mcr.microsoft.com/oss/kubernetes/pause:1.3.1"
SOCKET = "/run/containerd/containerd.sock"
CONFIG = "/etc/containerd/config.toml"
CNI_PLUGINS = ("bandwidth", "bridge", "host-local", "loopback", "portmap", "ptp")
"""Reference plugins that a node has; containerd itself calls loopback for each pod."""
_PROGRAMS = ("containerd", "containerd-shim-runc-v2", "ctr", "runc")
_UNUSED = (
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.zfs",
    "io.containerd.tracing.processor.v1.otlp",
    "io.containerd.internal.v1.tracing",
)
_CONFIG = """\
version = 2
disabled_plugins = [{unused}]

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{sandbox_image}"
  # Lowering oom_score_adj needs CAP_SYS_RESOURCE, which not every machine grants; without this
  # line no pod starts there, and the message speaks of a pipe.
  restrict_oom_score_adj = true
  disable_apparmor = true
  disable_hugetlb_controller = true
  tolerate_missing_hugetlb_controller = true

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/opt/cni/bin"
  conf_dir = "/etc/cni/net.d"
  max_conf_num = 1
{cni_template}
[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "overlayfs"
  default_runtime_name = "runc"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  SystemdCgroup = false
"""


def containerd_packages(cache: Path, progress: Progress = silent) -> Path:
    """The tree of PACKAGES, unpacked in the cache and not installed. Raises UnavailableError."""
    return unpack(PACKAGES, cache / "containerd", progress, cache=cache)


def containerd_config(
    registry: str = "", sandbox_image: str = SANDBOX_IMAGE, cni_template: str = ""
) -> str:
    """The configuration (TOML). registry: further tables, which say where images are pulled.

    cni_template: path on the node of what the CNI configuration is made of when the kubelet says
    the node's pod CIDR; "": somebody else writes it.
    """
    unused = ", ".join(f'"{one}"' for one in _UNUSED)
    template = f'  conf_template = "{cni_template}"\n' if cni_template else ""
    config = _CONFIG.format(unused=unused, sandbox_image=sandbox_image, cni_template=template)
    return f"{config}\n{registry.strip()}\n" if registry.strip() else config


def containerd_steps(
    packages: Path,
    registry: str = "",
    sandbox_image: str = SANDBOX_IMAGE,
    cni_template: str = "",
) -> tuple[Step, ...]:
    """What containerd needs on a node, for `Node.steps`. packages: see `containerd_packages`;
    the node must see it under the same path, as it does the cache. The rest: `containerd_config`.

    Raises UnavailableError naming what the tree lacks.
    """
    plugins = [packages / "usr/lib/cni" / one for one in CNI_PLUGINS]
    if missing := [str(one) for one in plugins if not one.exists()]:
        raise UnavailableError(
            f"the CNI plugins {', '.join(missing)} are missing; remove {packages}"
        )
    return (
        File(CONFIG, containerd_config(registry, sandbox_image, cni_template)),
        *(program_link(find_program(packages, one)) for one in _PROGRAMS),
        *(Link(f"/opt/cni/bin/{one.name}", str(one)) for one in plugins),
    )


def program_link(path: Path) -> Link:
    """Put a program of the machine on the node's PATH, before one that the machine has too."""
    return Link(f"/usr/local/bin/{path.name}", str(path))


def find_program(packages: Path, name: str) -> Path:
    """Where an unpacked tree has the program. Raises UnavailableError."""
    for directory in ("usr/bin", "usr/sbin", "usr/local/bin", "bin", "sbin"):
        if (found := packages / directory / name).exists():
            return found
    raise UnavailableError(f"the program {name} is missing below {packages}; remove that directory")


def containerd_program(node: Node) -> Program:
    """For a Supervisor; `node` is up and has the steps."""
    return node.program("containerd", ("containerd", "--config", CONFIG, "--log-level", "info"))


async def wait_containerd(node: Node, *, timeout: float = 30.0) -> Path:
    """Until containerd accepts connections; its socket, as seen from the machine.

    Raises UnavailableError with the end of its log.
    """
    path = node.root / SOCKET.lstrip("/")
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout
    while loop.time() < end:
        with suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            return path
        await asyncio.sleep(0.02)
    tail = log_tail(containerd_program(node))
    raise UnavailableError(
        f"containerd on {node.name} does not serve after {timeout:g} s; its log ends with:\n{tail}"
    )
