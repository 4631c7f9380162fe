"""A node's kube-proxy: its configuration, its secrets, its program.

Must not know who supervises it. Source: KubeProxyConfiguration kubeproxy.config.k8s.io/v1alpha1.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from podwire.cluster.containerd import program_link
from podwire.cluster.control_plane import api_url
from podwire.cluster.kubeconfig import kubeconfig, to_yaml
from podwire.cluster.node import Node
from podwire.cluster.node_root import File, Step
from podwire.cluster.pki import Pki
from podwire.kernel.process import Program

CONFIG = "/etc/kubernetes/kube-proxy.yaml"
KUBECONFIG = "/etc/kubernetes/kube-proxy.kubeconfig"


def kube_proxy_config(node: str, cluster_cidr: str) -> dict[str, Any]:
    """KubeProxyConfiguration. cluster_cidr: whose packets to a service are not masqueraded; with
    Azure CNI the nodes' subnet, for pods have addresses of it."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": KUBECONFIG},
        "hostnameOverride": node,
        "mode": "iptables",
        "clusterCIDR": cluster_cidr,
        "healthzBindAddress": "0.0.0.0:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "oomScoreAdj": 0,
        # The size of the conntrack table is the machine's, not a namespace's: 0 leaves all as is.
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
        "iptables": {"minSyncPeriod": "100ms", "syncPeriod": "30s"},
    }


def kube_proxy_kubeconfig(pki: Pki, api_address: str) -> str:
    config = kubeconfig(
        api_url(api_address), pki.credential("kube-proxy"), user="system:kube-proxy"
    )
    return to_yaml(config).decode()


def kube_proxy_steps(
    node: str, cluster_cidr: str, binary: Path, kubeconfig_text: str
) -> tuple[Step, ...]:
    """What kube-proxy needs on a node, for `Node.steps`."""
    return (
        program_link(binary),
        File(CONFIG, yaml.safe_dump(kube_proxy_config(node, cluster_cidr), sort_keys=False)),
        File(KUBECONFIG, kubeconfig_text, 0o600),
    )


def kube_proxy_program(node: Node) -> Program:
    """For a Supervisor; `node` is up and has the steps."""
    return node.program("kube-proxy", ("kube-proxy", f"--config={CONFIG}", "--v=1"))
