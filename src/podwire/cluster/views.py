"""Pods and services as the rows that `kubectl get` prints of them.

Source: kubectl's printed columns (pkg/printers/internalversion of Kubernetes).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from podwire.cluster.api_client import ApiClient, Object


@dataclass(frozen=True, slots=True)
class PodView:
    """ready: as in 1/1; status: kubectl's STATUS; created: RFC 3339; ip, node: "" when none."""

    namespace: str
    name: str
    ready: str
    status: str
    restarts: int
    created: str
    ip: str
    node: str


@dataclass(frozen=True, slots=True)
class ServiceView:
    """external: addresses joined by commas, <none> or <pending>; ports: as in 80:31234/TCP."""

    namespace: str
    name: str
    kind: str
    cluster_ip: str
    external: str
    ports: str
    created: str


async def list_pods(client: ApiClient, namespace: str = "") -> list[PodView]:
    """Sorted by node and name. namespace: "" for all."""
    items = await _items(client, namespace, "pods")
    return sorted((pod_view(one) for one in items), key=lambda pod: (pod.node, pod.name))


async def list_services(client: ApiClient, namespace: str = "") -> list[ServiceView]:
    """Sorted by namespace and name. namespace: "" for all."""
    items = await _items(client, namespace, "services")
    return sorted((service_view(one) for one in items), key=lambda one: (one.namespace, one.name))


async def _items(client: ApiClient, namespace: str, resource: str) -> list[Object]:
    inside = f"/namespaces/{namespace}" if namespace else ""
    answer = await client.get(f"/api/v1{inside}/{resource}")
    items: list[Object] = answer.get("items") or []
    return items


def pod_view(pod: Object) -> PodView:
    metadata, status = pod["metadata"], pod.get("status", {})
    containers = status.get("containerStatuses") or []
    ready = sum(1 for one in containers if one.get("ready"))
    return PodView(
        namespace=metadata["namespace"],
        name=metadata["name"],
        ready=f"{ready}/{len(pod['spec']['containers'])}",
        status=pod_status(pod),
        restarts=sum(int(one.get("restartCount", 0)) for one in containers),
        created=metadata["creationTimestamp"],
        ip=status.get("podIP", ""),
        node=pod["spec"].get("nodeName", ""),
    )


def pod_status(pod: Object) -> str:
    """Terminating, the reason why a container waits or ended, else the phase."""
    if pod["metadata"].get("deletionTimestamp"):
        return "Terminating"
    status = pod.get("status", {})
    for one in reversed(status.get("containerStatuses") or []):
        if reason := _reason(one.get("state", {})):
            return reason
    return str(status.get("reason") or status.get("phase", "Unknown"))


def _reason(state: dict[str, Any]) -> str:
    waiting, ended = state.get("waiting"), state.get("terminated")
    if waiting and waiting.get("reason"):
        return str(waiting["reason"])
    if not ended:
        return ""
    if ended.get("reason"):
        return str(ended["reason"])
    signal = ended.get("signal")
    return f"Signal:{signal}" if signal else f"ExitCode:{ended.get('exitCode', 0)}"


def service_view(service: Object) -> ServiceView:
    metadata, spec = service["metadata"], service["spec"]
    return ServiceView(
        namespace=metadata["namespace"],
        name=metadata["name"],
        kind=spec["type"],
        cluster_ip=spec.get("clusterIP") or "<none>",
        external=_external(service),
        ports=",".join(_port(one) for one in spec.get("ports") or []) or "<none>",
        created=metadata["creationTimestamp"],
    )


def _external(service: Object) -> str:
    spec = service["spec"]
    if spec["type"] == "ExternalName":
        return str(spec.get("externalName", ""))
    addresses = list(spec.get("externalIPs") or [])
    if spec["type"] != "LoadBalancer":
        return ",".join(addresses) or "<none>"
    ingress = service.get("status", {}).get("loadBalancer", {}).get("ingress") or []
    addresses = [one.get("ip") or one.get("hostname", "") for one in ingress] + addresses
    return ",".join(addresses) or "<pending>"


def _port(port: dict[str, Any]) -> str:
    outside = f":{port['nodePort']}" if port.get("nodePort") else ""
    return f"{port['port']}{outside}/{port.get('protocol', 'TCP')}"
