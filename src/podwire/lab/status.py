"""How a lab is, desired beside observed, as JSON: what `podwire status` shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from podwire.kernel.process import Running
from podwire.lab.cluster import Cluster
from podwire.lab.site import Site
from podwire.model.vnet import VNet


def lab_status(
    site: Site, vnets: Mapping[str, VNet], clusters: Sequence[Cluster]
) -> dict[str, Any]:
    """state: empty, starting, running or failed; what is stopped on purpose counts as running."""
    merged = site.store.setting("merged")
    return {
        "lab": site.layout.name,
        "state": state_of([one.state for one in clusters]),
        "error": next((one.error for one in clusters if one.error), ""),
        "vnets": [_vnet_facts(one) for one in vnets.values()],
        "clusters": [_cluster_facts(one) for one in clusters],
        "logs": str(site.layout.logs),
        "kubectl": str(site.layout.run / "bin/kubectl"),
        "user_kubeconfig": merged["path"] if merged else "",
        "nodes": [
            {**node.facts(), "cluster": one.spec.name}
            for one in clusters
            for node in one.nodes.values()
        ],
        "components": [_program_facts(one) for one in site.supervisor.running.values()],
    }


def state_of(clusters: Sequence[str]) -> str:
    """Of a lab whose clusters are in these states."""
    if not clusters:
        return "empty"
    if "failed" in clusters:
        return "failed"
    return "running" if set(clusters) <= {"running", "stopped", "updating"} else "starting"


def _vnet_facts(vnet: VNet) -> dict[str, Any]:
    return {
        "name": vnet.name,
        "resource_group": vnet.resource_group,
        "prefixes": list(vnet.prefixes),
        "subnets": {one.name: one.prefix for one in vnet.subnets},
    }


def _cluster_facts(cluster: Cluster) -> dict[str, Any]:
    spec, network = cluster.spec, cluster.network
    return {
        "name": spec.name,
        "resource_group": spec.resource_group,
        "state": cluster.state,
        "error": cluster.error,
        "kubernetes": cluster.site.materials.version,
        "api": cluster.server,
        "vnet": spec.vnet,
        "subnet": network.vnet.subnet(spec.subnet).prefix,
        "service_cidr": spec.service_cidr,
        "node_resource_group": spec.node_resource_group,
        "pools": {one.name: one.count for one in spec.pools},
        "admin_kubeconfig": str(cluster.layout.admin_kubeconfig),
    }


def _program_facts(one: Running) -> dict[str, Any]:
    return {
        "name": one.program.label,
        "pid": one.pid,
        "restarts": one.restarts,
        "last_exit": one.last_exit,
        "log": str(one.program.log),
    }
