"""Kubernetes' JSON as values. Pure; takes what API servers of 1.20 to 1.31 return.

Source: Kubernetes API reference, core/v1, discovery.k8s.io/v1 and v1beta1 (which names an
endpoint's node in its topology), networking.k8s.io/v1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from podwire.lens.kube_values import (
    Container,
    Endpoint,
    KubeNode,
    Pod,
    Policy,
    Service,
    ServicePort,
)

Object: TypeAlias = Mapping[str, Any]
_SERVICE_LABEL = "kubernetes.io/service-name"
_HOSTNAME = "kubernetes.io/hostname"


def pod(raw: Object) -> Pod:
    meta, spec, status = _parts(raw)
    containers = tuple(_container(one) for one in status.get("containerStatuses") or ())
    return Pod(
        namespace=meta.get("namespace", ""),
        name=meta["name"],
        uid=meta.get("uid", ""),
        node=spec.get("nodeName") or "",
        address=status.get("podIP") or "",
        phase=status.get("phase") or "",
        ready=_condition(status, "Ready"),
        host_network=bool(spec.get("hostNetwork")),
        created=meta.get("creationTimestamp") or "",
        labels=meta.get("labels") or {},
        containers=containers or tuple(_unstarted(one) for one in spec.get("containers") or ()),
        message=_message(status),
    )


def _container(raw: Object) -> Container:
    state = raw.get("state") or {}
    kind = next(iter(state), "")
    reason = (state.get(kind) or {}).get("reason") or ""
    return Container(
        raw["name"],
        raw.get("image") or "",
        bool(raw.get("ready")),
        int(raw.get("restartCount") or 0),
        f"{kind}: {reason}" if reason else kind,
    )


def _unstarted(raw: Object) -> Container:
    return Container(raw["name"], raw.get("image") or "")


def _message(status: Object) -> str:
    """Why it is not as it shall be, in the cluster's words; "" when it tells none."""
    waiting = (
        (one.get("state") or {}).get("waiting") or {}
        for one in status.get("containerStatuses") or ()
    )
    conditions = (one for one in status.get("conditions") or () if one.get("status") != "True")
    said = (one.get("message") for one in (status, *waiting, *conditions))
    return next((one for one in said if one), "")


def service(raw: Object, endpoints: Mapping[tuple[str, str], tuple[Endpoint, ...]]) -> Service:
    """endpoints: as `endpoints` returns."""
    meta, spec, status = _parts(raw)
    namespace, name = meta.get("namespace", ""), meta["name"]
    ingress = (status.get("loadBalancer") or {}).get("ingress") or ()
    balanced = [one.get("ip") or one.get("hostname") or "" for one in ingress]
    return Service(
        namespace=namespace,
        name=name,
        kind=spec.get("type") or "ClusterIP",
        cluster_ip=spec.get("clusterIP") or "",
        ports=tuple(_port(one) for one in spec.get("ports") or ()),
        selector=spec.get("selector") or {},
        external=tuple(one for one in (*(spec.get("externalIPs") or ()), *balanced) if one),
        external_policy=spec.get("externalTrafficPolicy") or "Cluster",
        session_affinity=spec.get("sessionAffinity") or "None",
        endpoints=endpoints.get((namespace, name), ()),
    )


def _port(raw: Object) -> ServicePort:
    return ServicePort(
        raw.get("name") or "",
        raw.get("protocol") or "TCP",
        int(raw["port"]),
        str(raw.get("targetPort") or raw["port"]),
        int(raw.get("nodePort") or 0),
    )


def endpoints(slices: Iterable[Object]) -> dict[tuple[str, str], tuple[Endpoint, ...]]:
    """(namespace, name) of a service -> its endpoints, each once."""
    found: dict[tuple[str, str], dict[Endpoint, None]] = {}
    for one in slices:
        meta = one.get("metadata") or {}
        name = (meta.get("labels") or {}).get(_SERVICE_LABEL)
        if name:
            key = meta.get("namespace", ""), name
            found.setdefault(key, {}).update(dict.fromkeys(_endpoints(one)))
    return {key: tuple(those) for key, those in found.items()}


def _endpoints(one: Object) -> Iterator[Endpoint]:
    for port in one.get("ports") or ():
        for end in one.get("endpoints") or ():
            target = end.get("targetRef") or {}
            ready = (end.get("conditions") or {}).get("ready")
            for address in end.get("addresses") or ():
                yield Endpoint(
                    address,
                    int(port.get("port") or 0),
                    port.get("name") or "",
                    ready is not False,  # unset means ready
                    end.get("nodeName") or (end.get("topology") or {}).get(_HOSTNAME) or "",
                    f"{target.get('namespace', '')}/{target['name']}"
                    if target.get("kind") == "Pod"
                    else "",
                )


def node(raw: Object) -> KubeNode:
    meta, spec, status = _parts(raw)
    addresses = {one["type"]: one["address"] for one in status.get("addresses") or ()}
    return KubeNode(
        name=meta["name"],
        address=addresses.get("InternalIP", ""),
        ready=_condition(status, "Ready"),
        pod_cidr=spec.get("podCIDR") or "",
        max_pods=int((status.get("capacity") or {}).get("pods") or 0),
        unschedulable=bool(spec.get("unschedulable")),
        kubelet=(status.get("nodeInfo") or {}).get("kubeletVersion") or "",
    )


def policy(raw: Object) -> Policy:
    meta, spec, _ = _parts(raw)
    labels = (spec.get("podSelector") or {}).get("matchLabels") or {}
    types = tuple(spec.get("policyTypes") or ())
    return Policy(meta.get("namespace", ""), meta["name"], labels, types)


def _parts(raw: Object) -> tuple[Object, Object, Object]:
    return raw["metadata"], raw.get("spec") or {}, raw.get("status") or {}


def _condition(status: Object, kind: str) -> bool:
    found = (one for one in status.get("conditions") or () if one.get("type") == kind)
    return any(one.get("status") == "True" for one in found)
