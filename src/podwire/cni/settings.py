"""What the plugins' installer fixes on a node; never read from the environment."""

from __future__ import annotations

from dataclasses import dataclass

from podwire.ipam.ledger import STATE_DIR
from podwire.ipam.wireserver import TIMEOUT, URL

COOLING_SECONDS = 30.0
INTERFACES_FILE = "/etc/kubernetes/interfaces.json"
SOCKET = "/run/podwire-cni/agent.sock"
"""Where the agent listens and the shims ask."""
METRICS_SOCKET = "/run/podwire-cni/metrics.sock"


@dataclass(frozen=True, slots=True)
class Settings:
    """lock_wait: seconds that a call waits for another; then CNI error 11 (try again later).

    cooling_seconds: how long a freed address is spared while others are free.
    interfaces_file: what ipam.environment mas and fileIpam read. log_format: text or json.
    """

    state_dir: str = STATE_DIR
    log_dir: str = "/var/log"
    log_format: str = "text"
    wire_server_url: str = URL
    wire_server_timeout: float = TIMEOUT
    lock_wait: float = 10.0
    cooling_seconds: float = COOLING_SECONDS
    interfaces_file: str = INTERFACES_FILE
