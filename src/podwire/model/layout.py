"""Where a lab keeps its things: the one place that knows the paths. No I/O here.

A lab has four directories: state (survives a reboot; a real file system, not an overlay), run
(sockets and pids; a tmpfs), logs, and the cache that all labs share.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from podwire.model.errors import InvalidInputError

DEFAULT_LAB = "podwire"
CACHE = Path("/var/cache/podwire")
_NAME = re.compile(r"[a-z]([-a-z0-9]{0,22}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class LabLayout:
    """The paths of the lab `name` (1 to 24 of a-z, 0-9 and -, a letter first)."""

    name: str = DEFAULT_LAB
    state_root: Path = Path("/var/lib/podwire")
    run_root: Path = Path("/run/podwire")
    log_root: Path = Path("/var/log/podwire")
    cache: Path = CACHE

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InvalidInputError(
                f"lab name {self.name!r} is invalid: 1 to 24 of a-z, 0-9 and -, "
                "the first a letter, the last no dash"
            )

    @property
    def state(self) -> Path:
        return self.state_root / self.name

    @property
    def run(self) -> Path:
        return self.run_root / self.name

    @property
    def logs(self) -> Path:
        return self.log_root / self.name

    @property
    def socket(self) -> Path:
        """The daemon's control socket."""
        return self.run / "daemon.sock"

    @property
    def store(self) -> Path:
        """The desired resources (sqlite)."""
        return self.state / "lab.sqlite"

    def cluster(self, key: str) -> ClusterLayout:
        """Of the cluster `key`, resource group and name as in networklab/azurecni-cluster."""
        return ClusterLayout(self, key)

    def log(self, component: str) -> Path:
        return self.logs / f"{component}.log"

    def node_log(self, node: str, component: str) -> Path:
        return self.logs / node / f"{component}.log"

    def node_state(self, node: str) -> Path:
        return self.state / "nodes" / node


@dataclass(frozen=True, slots=True)
class ClusterLayout:
    """Where a cluster of a lab keeps what is not a node's."""

    lab: LabLayout
    key: str

    @property
    def directory(self) -> str:
        """Its name as one of a directory; a cluster's name has no dot, so no two have the same."""
        return self.key.replace("/", ".")

    @property
    def state(self) -> Path:
        return self.lab.state / "clusters" / self.directory

    @property
    def pki(self) -> Path:
        return self.state / "pki"

    @property
    def control_plane(self) -> Path:
        """etcd's data and the control plane's kubeconfigs."""
        return self.state / "control-plane"

    @property
    def admin_kubeconfig(self) -> Path:
        return self.state / "admin.kubeconfig"

    @property
    def logs(self) -> Path:
        return self.lab.logs / self.directory

    def log(self, component: str) -> Path:
        return self.logs / f"{component}.log"
