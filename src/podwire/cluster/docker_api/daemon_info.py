"""What the API says of itself: the version of the engine whose answers it gives, and the node.

Source: Docker Engine API 1.40, SystemVersion and SystemInfo. 1.40 is what a kubelet 1.20 and
today's clients both accept.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from typing import Any

VERSION = "19.03.12"
API_VERSION = "1.40"
MIN_API_VERSION = "1.12"
HEADERS = {
    "Api-Version": API_VERSION,
    "Docker-Experimental": "false",
    "Ostype": "linux",
    "Server": f"Docker/{VERSION} (linux)",
    "Cache-Control": "no-cache",
}
_NOTE = "Podwire: a read-only view of this node's containerd, not a Docker engine"


@dataclass(frozen=True, slots=True)
class Counts:
    containers: int = 0
    running: int = 0
    images: int = 0


def version() -> dict[str, Any]:
    return {
        "Platform": {"Name": _NOTE},
        "Version": VERSION,
        "ApiVersion": API_VERSION,
        "MinAPIVersion": MIN_API_VERSION,
        "GitCommit": "podwire",
        "GoVersion": "none",
        "Os": "linux",
        "Arch": _architecture(),
        "KernelVersion": platform.release(),
        "BuildTime": "",
    }


def info(node_name: str, counts: Counts) -> dict[str, Any]:
    """Enough for `docker info`, and for cAdvisor: it wants ServerVersion and Driver."""
    return {
        "ID": node_name,
        "Name": node_name,
        "Containers": counts.containers,
        "ContainersRunning": counts.running,
        "ContainersPaused": 0,
        "ContainersStopped": counts.containers - counts.running,
        "Images": counts.images,
        "ServerVersion": VERSION,
        "Driver": "overlay2",
        "DriverStatus": [],
        "SystemStatus": None,
        "DockerRootDir": "/var/lib/containerd",
        "CgroupDriver": "cgroupfs",
        "CgroupVersion": "1",
        "LoggingDriver": "json-file",
        "Plugins": {"Volume": [], "Network": [], "Authorization": None, "Log": []},
        "MemoryLimit": True,
        "SwapLimit": True,
        "CpuCfsPeriod": True,
        "CpuCfsQuota": True,
        "CPUShares": True,
        "CPUSet": True,
        "PidsLimit": True,
        "IPv4Forwarding": True,
        "OomKillDisable": True,
        "BridgeNfIptables": True,
        "BridgeNfIp6tables": True,
        "KernelVersion": platform.release(),
        "OperatingSystem": _operating_system(),
        "OSType": "linux",
        "Architecture": platform.machine(),
        "NCPU": os.cpu_count() or 1,
        "MemTotal": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "Runtimes": {"runc": {"path": "runc"}},
        "DefaultRuntime": "runc",
        "Swarm": {"NodeID": "", "LocalNodeState": "inactive", "ControlAvailable": False},
        "LiveRestoreEnabled": True,
        "ExperimentalBuild": False,
        "SecurityOptions": ["name=seccomp,profile=default"],
        "Labels": [],
        "Warnings": [_NOTE],
    }


def _architecture() -> str:
    machine = platform.machine()
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


def _operating_system() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        return "Linux"
