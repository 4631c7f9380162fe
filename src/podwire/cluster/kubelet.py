"""A node's kubelet: its configuration and flags, its secrets, its program.

Must not know who supervises it. Source: KubeletConfiguration kubelet.config.k8s.io/v1beta1 of
Kubernetes 1.20; NodeRestriction's rules for labels that a kubelet may give its own node.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from podwire.cluster import bootstrap
from podwire.cluster.containerd import SOCKET, program_link
from podwire.cluster.control_plane import api_url
from podwire.cluster.kubeconfig import kubeconfig, to_yaml
from podwire.cluster.node import Node
from podwire.cluster.node_root import Directory, File, Step
from podwire.cluster.pki import Pki
from podwire.kernel.process import Program
from podwire.model.cluster import CLUSTER_DOMAIN, ClusterSpec
from podwire.model.errors import InvalidInputError
from podwire.model.node_pool import Pool

CONFIG = "/etc/kubernetes/kubelet.yaml"
KUBECONFIG = "/etc/kubernetes/kubelet.kubeconfig"
MANIFESTS = "/etc/kubernetes/manifests"
_CERTIFICATES = "/etc/kubernetes/certs"
_CA, _CERTIFICATE, _KEY = (
    f"{_CERTIFICATES}/{name}" for name in ("ca.crt", "kubeletserver.crt", "kubeletserver.key")
)
_KUBELET_LABELS = frozenset(
    {
        "kubernetes.io/hostname",
        "kubernetes.io/os",
        "kubernetes.io/arch",
        "beta.kubernetes.io/os",
        "beta.kubernetes.io/arch",
        "beta.kubernetes.io/instance-type",
        "topology.kubernetes.io/region",
        "topology.kubernetes.io/zone",
        "failure-domain.beta.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone",
    }
)
"""Labels in Kubernetes' own name space that a kubelet may nevertheless set."""
_REMOTE_IS_A_CHOICE = 27
"""From this minor version on --container-runtime is gone: there is no other than "remote"."""
_NO_AWS = {"AWS_EC2_METADATA_DISABLED": "true"}
"""Else a kubelet looks for AWS credentials at 169.254.169.254 each time it starts: 0.3 s when the
address refuses, 4 s when nobody answers."""


@dataclass(frozen=True, slots=True)
class KubeletSettings:
    """What differs from cluster to cluster and from node to node.

    version: as in v1.20.2; dns: the cluster DNS service's address; labels: see `node_labels`.
    """

    node: str
    ip: str
    version: str
    dns: str
    max_pods: int = 30
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KubeletSecrets:
    """Texts: the kubeconfig (YAML), and PEM."""

    kubeconfig: str
    ca: str
    certificate: str
    key: str = field(repr=False)

    @classmethod
    def of(cls, pki: Pki, node: str, api_address: str) -> KubeletSecrets:
        """Read them; `pki.ensure_node` has made them."""
        user = f"system:node:{node}"
        config = kubeconfig(api_url(api_address), pki.kubelet_client(node), user=user, embed=True)
        server = pki.kubelet_server(node)
        return cls(
            to_yaml(config).decode(),
            pki.ca.read_text(),
            server.certificate.read_text(),
            server.key.read_text(),
        )


def node_labels(spec: ClusterSpec, pool: Pool) -> dict[str, str]:
    """Those labels of an AKS node that its kubelet may set itself, so that the node has them from
    its registration on; the others are given through the API."""
    return {key: value for key, value in bootstrap.node_labels(spec, pool).items() if _may_set(key)}


def _may_set(label: str) -> bool:
    """Kubernetes, "NodeRestriction"; kubelet 1.20 ends at once when it is told another."""
    space = label.rpartition("/")[0]
    if not f".{space}".endswith((".kubernetes.io", ".k8s.io")):
        return True
    return label in _KUBELET_LABELS or space in ("kubelet.kubernetes.io", "node.kubernetes.io")


def kubelet_config(settings: KubeletSettings, *, standalone: bool = False) -> dict[str, Any]:
    """KubeletConfiguration. standalone: without an API server, for static pods alone."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        **_access(standalone),
        "clusterDNS": [settings.dns],
        "clusterDomain": CLUSTER_DOMAIN,
        "resolvConf": "/etc/resolv.conf",
        "maxPods": settings.max_pods,
        "staticPodPath": MANIFESTS,
        "volumePluginDir": "/etc/kubernetes/volumeplugins",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": "/",
        "failSwapOn": False,
        # On a machine that is short of memory the lab is not what is to be spared.
        "oomScoreAdj": 0,
        **_EVICTION,
        **_PACE,
    }


_EVICTION: dict[str, Any] = {
    # Disk and memory are the machine's, shared by all nodes: what others use must not evict pods.
    "evictionHard": {
        "memory.available": "50Mi",
        "nodefs.available": "1%",
        "nodefs.inodesFree": "1%",
        "imagefs.available": "1%",
    },
    "imageGCHighThresholdPercent": 100,
    "imageGCLowThresholdPercent": 99,
}
_PACE: dict[str, Any] = {
    "serializeImagePulls": False,
    "registryPullQPS": 0,
    "eventRecordQPS": 0,
    "kubeAPIQPS": 50,
    "kubeAPIBurst": 100,
    "syncFrequency": "10s",
    # A kubelet of 1.20 looks at its node again soon after the start only when that has a pod CIDR,
    # which no node with Azure CNI has; with the default of 10 s it is Ready so much later.
    "nodeStatusUpdateFrequency": "1s",
    "nodeStatusReportFrequency": "10s",
    "fileCheckFrequency": "5s",
}
"""Fast where the default is meant for clusters of thousands; what others measure stays default
(what is reported every 10 s, the lease, the grace periods)."""


def _access(standalone: bool) -> dict[str, Any]:
    common = {
        "healthzBindAddress": "127.0.0.1",
        "healthzPort": 10248,
        "readOnlyPort": 0,
    }
    if standalone:
        closed = {"anonymous": {"enabled": False}, "webhook": {"enabled": False}}
        return {**common, "authentication": closed, "authorization": {"mode": "AlwaysAllow"}}
    return {
        **common,
        "address": "0.0.0.0",  # the node's own network namespace, as on AKS
        "tlsCertFile": _CERTIFICATE,
        "tlsPrivateKeyFile": _KEY,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True, "cacheTTL": "2m0s"},
            "x509": {"clientCAFile": _CA},
        },
        "authorization": {"mode": "Webhook"},
    }


def kubelet_flags(settings: KubeletSettings, *, standalone: bool = False) -> tuple[str, ...]:
    """What cannot be said in the configuration file of 1.20."""
    labels = ",".join(f"{key}={value}" for key, value in sorted(settings.labels.items()))
    return (
        f"--config={CONFIG}",
        *(() if standalone else (f"--kubeconfig={KUBECONFIG}",)),
        *(("--container-runtime=remote",) if _minor(settings) < _REMOTE_IS_A_CHOICE else ()),
        f"--container-runtime-endpoint=unix://{SOCKET}",
        f"--hostname-override={settings.node}",
        *((f"--node-ip={settings.ip}",) if settings.ip else ()),
        *((f"--node-labels={labels}",) if labels else ()),
        "--root-dir=/var/lib/kubelet",
        "--cert-dir=/var/lib/kubelet/pki",
        "--v=1",
    )


def kubelet_steps(
    settings: KubeletSettings, binary: Path, secrets: KubeletSecrets | None
) -> tuple[Step, ...]:
    """What the kubelet needs on a node, for `Node.steps`. secrets: None for a standalone one."""
    config = kubelet_config(settings, standalone=secrets is None)
    common = (
        program_link(binary),
        Directory(MANIFESTS),
        File(CONFIG, yaml.safe_dump(config, sort_keys=False)),
    )
    if secrets is None:
        return common
    return (
        *common,
        File(KUBECONFIG, secrets.kubeconfig, 0o600),
        File(_CA, secrets.ca),
        File(_CERTIFICATE, secrets.certificate),
        File(_KEY, secrets.key, 0o600),
    )


def kubelet_program(node: Node, settings: KubeletSettings, *, standalone: bool = False) -> Program:
    """For a Supervisor; `node` is up and has the steps."""
    argv = ("kubelet", *kubelet_flags(settings, standalone=standalone))
    return node.program("kubelet", argv, _NO_AWS)


def _minor(settings: KubeletSettings) -> int:
    found = re.match(r"v?1\.(\d+)\b", settings.version)
    if found is None:
        raise InvalidInputError(f"Kubernetes version {settings.version!r} is not like v1.20.2")
    return int(found[1])
