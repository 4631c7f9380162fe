"""What a Service of type LoadBalancer asks of the cloud, as values. No I/O.

Source: cloud-provider-azure as AKS ran it with Kubernetes 1.20 (names, annotations, probes;
floating IP on every rule; Standard SKU), the service controller of k8s.io/cloud-provider (which
Services and nodes count).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from podwire.cluster.api_client import Object
from podwire.model.errors import InvalidInputError
from podwire.model.load_balancer import Frontend, LoadBalancer, Persistence, Probe, Rule, Transport

PUBLIC_NAME, INTERNAL_NAME = "kubernetes", "kubernetes-internal"
"""The two load balancers of a cluster's node resource group."""
FINALIZER = "service.kubernetes.io/load-balancer-cleanup"
_PREFIX = "service.beta.kubernetes.io/"
INTERNAL = f"{_PREFIX}azure-load-balancer-internal"
SUBNET = f"{_PREFIX}azure-load-balancer-internal-subnet"
ADDRESS = f"{_PREFIX}azure-load-balancer-ipv4"
IDLE_TIMEOUT = f"{_PREFIX}azure-load-balancer-tcp-idle-timeout"
SOURCES = f"{_PREFIX}load-balancer-source-ranges"
EXCLUDED = "node.kubernetes.io/exclude-from-external-load-balancers"
_GOING_AWAY = "ToBeDeletedByClusterAutoscaler"
_TRANSPORTS: dict[str, Transport] = {"TCP": "tcp", "UDP": "udp"}


@dataclass(frozen=True, slots=True)
class ServicePlan:
    """One Service's share of a load balancer. frontend: its name; subnet: None when public.

    wanted: the address that the user asks for, or "".
    """

    uid: str
    frontend: str
    subnet: str | None
    wanted: str
    rules: tuple[Rule, ...]
    probes: tuple[Probe, ...]


def wants_balancer(service: Object) -> bool:
    """Whether the Service shall have a load balancer of this cloud."""
    spec = service["spec"]
    going = service["metadata"].get("deletionTimestamp")
    return spec.get("type") == "LoadBalancer" and not going and not spec.get("loadBalancerClass")


def status_address(service: Object) -> str:
    """The address that the Service's status shows; "" while it is pending."""
    ingress = (service.get("status", {}).get("loadBalancer") or {}).get("ingress") or []
    return str(ingress[0].get("ip", "")) if ingress else ""


def plan_service(service: Object, cluster_subnet: str) -> ServicePlan:
    """cluster_subnet: where internal frontends are unless the Service says otherwise.

    Raises InvalidInputError for what the cloud cannot do.
    """
    metadata, spec = service["metadata"], service["spec"]
    notes: dict[str, str] = metadata.get("annotations") or {}
    internal = notes.get(INTERNAL) == "true"
    own_subnet = notes.get(SUBNET, "") if internal else ""
    base = f"a{metadata['uid'].replace('-', '')}"[:32]
    frontend = f"{base}-{own_subnet}" if own_subnet else base
    shared = _shared_probe(spec, base)
    pairs = [_served(one, frontend, shared, spec, notes) for one in spec.get("ports") or ()]
    if not pairs:
        raise InvalidInputError("no ports provided to Azure load balancer")
    probes = dict.fromkeys(probe for _, probe in pairs if probe is not None)
    return ServicePlan(
        metadata["uid"],
        frontend,
        (own_subnet or cluster_subnet) if internal else None,
        notes.get(ADDRESS) or spec.get("loadBalancerIP") or "",
        tuple(rule for rule, _ in pairs),
        tuple(probes),
    )


def _shared_probe(spec: Object, name: str) -> Probe | None:
    """With externalTrafficPolicy Local a node says itself whether it has endpoints."""
    port = spec.get("healthCheckNodePort")
    if spec.get("externalTrafficPolicy") != "Local" or not port:
        return None
    return Probe(name, "http", port, "/healthz")


def _served(
    port: Object, frontend: str, shared: Probe | None, spec: Object, notes: dict[str, str]
) -> tuple[Rule, Probe | None]:
    """A rule, and the probe that says which nodes it may use: without one, all (UDP)."""
    named = str(port.get("protocol", "TCP"))
    transport = _TRANSPORTS.get(named)
    if transport is None:
        raise InvalidInputError(f"{named} is not supported by Azure LoadBalancers of this lab")
    name = f"{frontend}-{named}-{port['port']}"
    own = None
    if transport == "tcp" and port.get("nodePort"):
        own = Probe(name, "tcp", port["nodePort"])
    probe = shared or own
    by_client: Persistence = "SourceIP"
    rule = Rule(
        name,
        frontend,
        transport,
        port["port"],
        port["port"],
        floating=True,
        idle_minutes=_idle_minutes(notes) if transport == "tcp" else 4,
        persistence=by_client if spec.get("sessionAffinity") == "ClientIP" else "Default",
        probe=probe.name if probe else "",
        sources=_sources(spec, notes),
    )
    return rule, probe


def _idle_minutes(notes: dict[str, str]) -> int:
    text = notes.get(IDLE_TIMEOUT, "4")
    if text.isdecimal() and 4 <= int(text) <= 30:
        return int(text)
    raise InvalidInputError(
        f"error parsing idle timeout value {text!r}: idle timeout value must be a whole number "
        "representing minutes between 4 and 30"
    )


def _sources(spec: Object, notes: dict[str, str]) -> tuple[str, ...]:
    listed = spec.get("loadBalancerSourceRanges") or notes.get(SOURCES, "").split(",")
    return tuple(one.strip() for one in listed if one.strip())


def balancer(
    resource_group: str,
    name: str,
    services: Iterable[tuple[ServicePlan, str]],
    backends: tuple[str, ...],
) -> LoadBalancer:
    """All those Services, each with its address, in one load balancer."""
    pairs = list(services)
    return LoadBalancer(
        name,
        resource_group,
        tuple(Frontend(one.frontend, address, one.subnet or "") for one, address in pairs),
        tuple(rule for one, _ in pairs for rule in one.rules),
        tuple(probe for one, _ in pairs for probe in one.probes),
        backends,
    )


def backends(nodes: Iterable[Object], address_of: Callable[[str], str | None]) -> tuple[str, ...]:
    """The NIC addresses of the nodes that serve, in one order whatever the nodes' order is.

    address_of: a node's, by name; None when it is not on the VNet.
    """
    names = sorted(one["metadata"]["name"] for one in nodes if _serves(one))
    return tuple(address for name in names if (address := address_of(name)) is not None)


def _serves(node: Object) -> bool:
    metadata = node["metadata"]
    if EXCLUDED in (metadata.get("labels") or {}) or metadata.get("deletionTimestamp"):
        return False
    taints = node.get("spec", {}).get("taints") or ()
    if any(one.get("key") == _GOING_AWAY for one in taints):
        return False
    conditions = node.get("status", {}).get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
