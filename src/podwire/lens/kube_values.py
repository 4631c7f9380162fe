"""What an API server has of a cluster, as a snapshot holds it. Facts only; reads nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Container:
    name: str
    image: str = ""
    ready: bool = False
    restarts: int = 0
    state: str = ""


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod as the API server has it. address: "" before it has one; space: "" when it has none in
    the snapshot (not wired, or on the host network)."""

    namespace: str
    name: str
    uid: str
    node: str
    address: str
    phase: str
    ready: bool
    host_network: bool = False
    created: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    containers: tuple[Container, ...] = ()
    space: str = ""
    message: str = ""

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class ServicePort:
    """target: number or name, as in the manifest."""

    name: str
    protocol: str
    port: int
    target: str
    node_port: int = 0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address and port behind a service's port `port_name`. pod: namespace/name or ""."""

    address: str
    port: int
    port_name: str
    ready: bool
    node: str = ""
    pod: str = ""


@dataclass(frozen=True, slots=True)
class Service:
    """kind: "ClusterIP", "NodePort", "LoadBalancer" or "ExternalName". cluster_ip: "None" if
    headless."""

    namespace: str
    name: str
    kind: str
    cluster_ip: str
    ports: tuple[ServicePort, ...] = ()
    selector: Mapping[str, str] = field(default_factory=dict)
    external: tuple[str, ...] = ()
    """External addresses, those of its load balancer included."""
    external_policy: str = "Cluster"
    session_affinity: str = "None"
    endpoints: tuple[Endpoint, ...] = ()

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class KubeNode:
    name: str
    address: str
    ready: bool
    pod_cidr: str = ""
    max_pods: int = 0
    unschedulable: bool = False
    kubelet: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """A NetworkPolicy: only that it is there, and on which pods."""

    namespace: str
    name: str
    selector: Mapping[str, str] = field(default_factory=dict)
    types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cluster:
    """What an API server has. asked: whether it answered; why_not: its or our words when not, and
    of the kinds of objects that it would not give.

    vnet, subnet: the VNet's key and the subnet's name, "" outside of a lab; plugin: "azure",
    "kubenet", "" if unknown.
    """

    name: str
    asked: bool = True
    why_not: str = ""
    version: str = ""
    nodes: tuple[KubeNode, ...] = ()
    pods: tuple[Pod, ...] = ()
    services: tuple[Service, ...] = ()
    policies: tuple[Policy, ...] = ()
    service_cidr: str = ""
    dns_ip: str = ""
    pod_cidr: str = ""
    vnet: str = ""
    subnet: str = ""
    plugin: str = ""
