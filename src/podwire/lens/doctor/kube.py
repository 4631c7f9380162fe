"""Kubernetes against the kernel: nodes, pods and services as the API server has them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from podwire.lens.doctor import remedies
from podwire.lens.doctor.catalog import found
from podwire.lens.doctor.values import Finding
from podwire.lens.kube_values import Cluster, Pod, Service
from podwire.lens.snapshot import Node, Snapshot

_WAITS = re.compile(
    r"(?i)too many pods|no (more )?(free |available )?(ip )?address|"
    r"(ip|address)(es)? .*(exhausted|not available|unavailable)|failed to allocate"
)
"""What schedulers, kubelets and IPAM plugins say when addresses are used up."""
_OF_SERVICES = "endpoint slices"


def findings(snapshot: Snapshot, cluster: Cluster, told: frozenset[str]) -> Iterator[Finding]:
    """told: ids of the spaces of pods whose trouble is known already."""
    nodes = {one.name: one for one in snapshot.nodes if one.cluster == cluster.name}
    yield from _nodes(cluster)
    for pod in cluster.pods:
        if f"pod/{pod.key}" not in told and not pod.host_network:
            yield from _of_pod(pod, nodes.get(pod.node), snapshot)
    if _OF_SERVICES not in cluster.why_not:
        for service in cluster.services:
            yield from _of_service(service, cluster)


def _nodes(cluster: Cluster) -> Iterator[Finding]:
    for one in cluster.nodes:
        if not one.ready:
            yield found(
                "node-not-ready",
                f"node {one.name}",
                f"the condition Ready of node {one.name} is not True",
                f"kubectl describe node {one.name}",
            )


def _of_pod(pod: Pod, node: Node | None, snapshot: Snapshot) -> Iterator[Finding]:
    if pod.phase == "Pending":
        yield from _waiting(pod, node)
    elif pod.phase == "Running" and node is not None and _was_read(node, snapshot):
        space = snapshot.space(pod.space) if pod.space else None
        have = [one.cidr for one in space.addresses if one.scope == "global"] if space else []
        if space is None:
            yield found(
                "pod-without-network",
                f"pod {pod.key}",
                f"Running on {node.name} with {pod.address or 'no address'}, and none of the "
                f"{len(node.pods)} namespaces of pods there is its own",
                remedies.new_pod(f"pod/{pod.key}"),
                node=node.name,
            )
        elif pod.address and pod.address not in {one.partition("/")[0] for one in have}:
            yield found(
                "address-differs",
                f"pod {pod.key}",
                f"status.podIP is {pod.address}, its namespace has {', '.join(have) or 'none'}",
                remedies.new_pod(space.id),
                node=node.name,
            )


def _was_read(node: Node, snapshot: Snapshot) -> bool:
    space = snapshot.space(node.space)
    return space is not None and not {"links", "node"} & set(space.unread)


def _waiting(pod: Pod, node: Node | None) -> Iterator[Finding]:
    free = [one for one in node.attachments.addresses if not one.held] if node else []
    full = bool(node and node.attachments.addresses and not free)
    if full or _WAITS.search(pod.message):
        where = f"on {pod.node}" if pod.node else "for a node"
        yield found(
            "pod-waits-for-address",
            f"pod {pod.key}",
            f"Pending {where}: {pod.message or 'no address of the node is free'}",
            remedies.own("ipam check", pod.node) if pod.node else "add nodes, or delete pods",
            node=pod.node,
        )


def _of_service(service: Service, cluster: Cluster) -> Iterator[Finding]:
    is_dns = bool(cluster.dns_ip) and service.cluster_ip == cluster.dns_ip
    if not service.selector or any(one.ready for one in service.endpoints):
        return
    labels = ",".join(f"{key}={value}" for key, value in sorted(service.selector.items()))
    unready = len({one.address for one in service.endpoints})
    yield found(
        "dns-without-endpoints" if is_dns else "service-without-endpoints",
        f"service {service.key}",
        f"no pod with {labels} is ready ({unready} are not)",
        f"kubectl get pods -n {service.namespace} -l {labels} -o wide",
    )
