"""A node's CNI agent, as the lab's supervisor runs it; a real node has systemd for that.

Must not know what an agent does. It is never needed: without it each CNI call runs in its own
process.
"""

from __future__ import annotations

from podwire.cluster.node import Node
from podwire.cni.install import AGENT, LIB_DIR
from podwire.cni.settings import METRICS_SOCKET
from podwire.kernel.process import Program


def agent_program(node: Node) -> Program:
    """For a Supervisor; `node` is up and furnished. To be started before containerd, which calls
    the plugins from the same network namespace."""
    return node.program(AGENT, (f"{LIB_DIR}/{AGENT}", f"--metrics-socket={METRICS_SOCKET}"))
