"""The certificates of one cluster: who needs which, signed by whom.

Three authorities, so that no certificate opens a door that it was not made for: the cluster's
(API server, kubelets, people), etcd's, and the front proxy's (aggregated APIs). Kubelets hold
certificates of the cluster's authority; with one authority for all they could talk to etcd.
Source: Kubernetes, "PKI certificates and requirements"; AKS names its clusterUser's certificate
masterclient.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from podwire.cluster.certificates import Authority, Leaf, ensure_key_pair
from podwire.model.cluster import CLUSTER_DOMAIN, ClusterSpec

KUBELET_CLIENT_USER = "kube-apiserver-kubelet-client"
"""As whom the API server talks to kubelets (logs, exec, port-forward)."""
_CLUSTER, _ETCD, _FRONT_PROXY = "ca", "etcd-ca", "front-proxy-ca"


@dataclass(frozen=True, slots=True)
class Credential:
    """Files with which one proves who one is, and the authority that the other is checked by."""

    certificate: Path
    key: Path
    ca: Path


@dataclass(frozen=True, slots=True)
class Pki:
    """The files below `directory` (0700). One process at a time may call the ensure methods."""

    directory: Path

    @classmethod
    def ensure(
        cls,
        directory: Path,
        spec: ClusterSpec,
        api_address: str,
        nodes: Mapping[str, str] | None = None,
    ) -> Pki:
        """Make what is missing, expired within 30 days, damaged, or has other names than wanted.

        api_address: the API server's; nodes: node name to its primary IPv4 address.
        """
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)
        pki = cls(directory)
        cluster = pki._authority(spec, _CLUSTER)
        etcd = pki._authority(spec, _ETCD)
        front_proxy = pki._authority(spec, _FRONT_PROXY)
        leaves = ((cluster, cluster_leaves(spec, api_address)), (etcd, etcd_leaves()))
        for authority, wanted in (*leaves, (front_proxy, front_proxy_leaves())):
            for leaf in wanted:
                authority.ensure_leaf(leaf)
        ensure_key_pair(directory, "sa")
        pki._ensure_nodes(cluster, nodes or {})
        return pki

    def ensure_node(self, spec: ClusterSpec, name: str, ip: str) -> None:
        """The certificates of a node that joins later."""
        self._ensure_nodes(self._authority(spec, _CLUSTER), {name: ip})

    def remove_node(self, name: str) -> None:
        """Forget a node's certificates; unknown: nothing."""
        for leaf in node_leaves(name, "0.0.0.0"):
            self.certificate(leaf.name).unlink(missing_ok=True)
            self.key(leaf.name).unlink(missing_ok=True)

    def _authority(self, spec: ClusterSpec, name: str) -> Authority:
        """A common name has at most 64 characters, a cluster's name alone may have 63."""
        return Authority.ensure(self.directory, name, f"{spec.name[:40]}-{name}")

    def _ensure_nodes(self, authority: Authority, nodes: Mapping[str, str]) -> None:
        for name, ip in nodes.items():
            for leaf in node_leaves(name, ip):
                authority.ensure_leaf(leaf)

    def certificate(self, name: str) -> Path:
        return self.directory / f"{name}.crt"

    def key(self, name: str) -> Path:
        return self.directory / f"{name}.key"

    @property
    def ca(self) -> Path:
        """What signs the API server's, the kubelets' and all clients' certificates."""
        return self.certificate(_CLUSTER)

    @property
    def etcd_ca(self) -> Path:
        return self.certificate(_ETCD)

    @property
    def front_proxy_ca(self) -> Path:
        return self.certificate(_FRONT_PROXY)

    @property
    def service_account_key(self) -> Path:
        return self.directory / "sa.key"

    @property
    def service_account_public_key(self) -> Path:
        return self.directory / "sa.pub"

    def credential(self, name: str) -> Credential:
        """A client of the API server: admin, controller-manager, scheduler, kube-proxy."""
        return Credential(self.certificate(name), self.key(name), self.ca)

    def kubelet_client(self, node: str) -> Credential:
        return self.credential(f"kubelet-client-{node}")

    def kubelet_server(self, node: str) -> Credential:
        """What the kubelet serves with; its clients are checked by the same authority."""
        return self.credential(f"kubelet-server-{node}")


def cluster_leaves(spec: ClusterSpec, api_address: str) -> tuple[Leaf, ...]:
    """What the cluster's authority signs, nodes aside."""
    return (
        _apiserver(spec, api_address),
        Leaf("apiserver-kubelet-client", KUBELET_CLIENT_USER, client=True),
        _component("controller-manager"),
        _component("scheduler"),
        Leaf("kube-proxy", "system:kube-proxy", ("system:node-proxier",), client=True),
        Leaf("admin", "masterclient", ("system:masters",), client=True),
    )


def _apiserver(spec: ClusterSpec, api_address: str) -> Leaf:
    service = ("kubernetes", "kubernetes.default", "kubernetes.default.svc")
    dns = (*service, f"kubernetes.default.svc.{CLUSTER_DOMAIN}", "localhost", spec.api_fqdn)
    ips = ("127.0.0.1", api_address, spec.service_ip)
    return Leaf("apiserver", "kube-apiserver", dns=dns, ips=ips, server=True)


def _component(name: str) -> Leaf:
    """One program's certificate for both ends: its client to the API server, its own port."""
    dns, ips = ("localhost",), ("127.0.0.1",)
    return Leaf(name, f"system:kube-{name}", dns=dns, ips=ips, server=True, client=True)


def etcd_leaves() -> tuple[Leaf, ...]:
    """etcd's own gateway is a client of itself with the server's certificate: both usages."""
    dns, ips = ("localhost",), ("127.0.0.1",)
    return (
        Leaf("etcd-server", "etcd-server", dns=dns, ips=ips, server=True, client=True),
        Leaf("etcd-client", "kube-apiserver-etcd-client", client=True),
    )


def front_proxy_leaves() -> tuple[Leaf, ...]:
    return (Leaf("front-proxy-client", "front-proxy-client", client=True),)


def node_leaves(name: str, ip: str) -> tuple[Leaf, ...]:
    user, group = f"system:node:{name}", ("system:nodes",)
    return (
        Leaf(f"kubelet-client-{name}", user, group, client=True),
        Leaf(f"kubelet-server-{name}", user, group, dns=(name,), ips=(ip,), server=True),
    )
