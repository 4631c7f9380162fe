"""What a booted node is given beside its programs: CNI plugin and agent, tools, its people."""

from __future__ import annotations

from pathlib import Path

from podwire.cluster import vm_access
from podwire.cluster.node import Node
from podwire.cluster.nodetools.install import install_node_tools
from podwire.cni.install import install as install_cni

_PLACES = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin")


def furnish(node: Node, *, mode: str = "bridge") -> None:
    """Install azure-vnet and its agent, and the reader's tools."""
    install_cni(node.root, shim="auto", mode=mode)
    furnish_kubenet(node)


def furnish_kubenet(node: Node) -> None:
    """Install crictl, and a docker command where the machine has none; put back the people whom
    VMAccess made. Kubenet's own plugins come with containerd."""
    has_docker = any(Path(one, "docker").exists() for one in _PLACES)
    install_node_tools(node.root, docker=not has_docker)
    vm_access.restore(node)
