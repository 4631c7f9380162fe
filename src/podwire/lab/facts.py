"""What only the lab knows of its networks, as JSON: for `podwire snapshot` and all that reads one.

The values are the model's, as the store has them; namespaces are paths that whoever asks can open
as long as this process lives. Must not know what is made of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

import cattrs

from podwire.kernel.netns import NetNamespace
from podwire.lab.cluster import Cluster
from podwire.lab.network import OUTBOUND, Network
from podwire.lab.site import Site
from podwire.model.load_balancer import LoadBalancer
from podwire.vnet.load_balancer import BackendHealth


async def lab_facts(
    site: Site, networks: Iterable[Network], clusters: Sequence[Cluster]
) -> dict[str, Any]:
    """vnets, clusters and nodes, those that run; nodes by their host pid.

    Raises KernelError when a fabric cannot be asked.
    """
    names = {one.key: _cluster_name(one, clusters) for one in clusters}
    owners = {node.nic.name: name for one in clusters for name, node in one.nodes.items()}
    running = [one for one in networks if one.start.done]
    drops = [await asyncio.to_thread(one.fabric.drops) for one in running]
    outbound = site.store.setting(OUTBOUND) is not None
    return {
        "lab": site.layout.name,
        "kubectl": str(site.layout.run / "bin/kubectl"),
        "vnets": [
            {**_vnet(one, owners), "drops": cattrs.unstructure(dropped), "outbound": outbound}
            for one, dropped in zip(running, drops, strict=True)
        ],
        "clusters": [_cluster(one, names[one.key]) for one in clusters],
        "nodes": [
            {"name": name, "pid": node.node.pid, "cluster": names[one.key]}
            for one in clusters
            for name, node in one.nodes.items()
        ],
    }


def _cluster_name(cluster: Cluster, clusters: Iterable[Cluster]) -> str:
    """Its own, or the key where another resource group has one of that name."""
    same = [one for one in clusters if one.spec.name == cluster.spec.name]
    return cluster.spec.name if len(same) == 1 else cluster.key


def _vnet(network: Network, owners: dict[str, str]) -> dict[str, Any]:
    balancers = network.balancers
    health = balancers.health()
    return {
        "vnet": cattrs.unstructure(network.effective()),
        "namespace": network.fabric.namespace.path,
        "platform": _path(network.platform),
        "nics": [
            {
                "nic": cattrs.unstructure(port.nic),
                "node": owners.get(port.nic.name, ""),
                "port": port.link,
            }
            for port in network.fabric.ports()
        ],
        "balancers": [
            {"balancer": cattrs.unstructure(one), "healthy": _healthy(one, health)}
            for one in balancers.balancers()
        ],
    }


def _healthy(balancer: LoadBalancer, health: Iterable[BackendHealth]) -> list[str]:
    """ "RULE BACKEND" of those that get new flows; without a probe all do."""
    up = {(one.probe, one.backend) for one in health if one.balancer == balancer.key and one.up}
    return [
        f"{rule.name} {backend}"
        for rule in balancer.rules
        for backend in balancer.backends
        if balancer.probe_of(rule) is None or (rule.probe, backend) in up
    ]


def _cluster(cluster: Cluster, name: str) -> dict[str, Any]:
    spec = cluster.spec
    return {
        "name": name,
        "state": cluster.state,
        "version": cluster.site.materials.version,
        "kubeconfig": str(cluster.layout.admin_kubeconfig) if cluster.api else "",
        "control_plane": _path(cluster.space),
        "service_cidr": spec.service_cidr,
        "dns_ip": spec.dns_service_ip,
        "pod_cidr": spec.pod_cidr,
        "vnet": spec.vnet,
        "subnet": spec.subnet,
        "plugin": spec.network_plugin,
    }


def _path(space: NetNamespace | None) -> str:
    return space.path if space is not None else ""
