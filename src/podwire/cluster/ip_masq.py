"""azure-ip-masq-agent as a cluster's add-on: its objects, and what its ConfigMap holds at first.

Must not know what the agent does with it (that is `ipmasqagent`). Source: AKS's add-on of 2020; its
ConfigMap is the user's to edit (add-on manager mode EnsureExists), the rest is not (Reconcile).
"""

from __future__ import annotations

from collections.abc import Sequence

import yaml

from podwire.cluster.api_client import ApiClient, Object
from podwire.cluster.bootstrap import apply_objects
from podwire.cluster.ipmasqagent.agent import CONFIG_MAP
from podwire.cluster.manifests import ip_masq_agent_manifest
from podwire.model.errors import ApiError

_CONFIG_MAPS = "/api/v1/namespaces/kube-system/configmaps"
_EXISTS_ALREADY = 409


def non_masquerade_cidrs(
    vnet_prefixes: Sequence[str], node_subnet: str, service_cidr: str, pod_cidr: str = ""
) -> tuple[str, ...]:
    """The destinations that see a pod's own address, each once. pod_cidr: a kubenet cluster's."""
    every = (*vnet_prefixes, node_subnet, service_cidr, *((pod_cidr,) if pod_cidr else ()))
    return tuple(dict.fromkeys(every))


def config_map(cidrs: Sequence[str]) -> Object:
    """The ConfigMap that a new cluster has."""
    config = {"nonMasqueradeCIDRs": list(cidrs), "masqLinkLocal": True, "resyncInterval": "60s"}
    labels = {
        "component": "azure-ip-masq-agent",
        "kubernetes.io/cluster-service": "true",
        "addonmanager.kubernetes.io/mode": "EnsureExists",
    }
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": CONFIG_MAP, "namespace": "kube-system", "labels": labels},
        "data": {"ip-masq-agent": yaml.safe_dump(config, sort_keys=False)},
    }


async def apply_ip_masq_agent(client: ApiClient, cidrs: Sequence[str]) -> None:
    """The add-on as the cluster is to have it; a ConfigMap that is there stays as it is.

    Raises ApiError, UnavailableError.
    """
    try:
        await client.post(_CONFIG_MAPS, config_map(cidrs))
    except ApiError as error:
        if error.status != _EXISTS_ALREADY:
            raise
    await apply_objects(client, yaml.safe_load_all(ip_masq_agent_manifest()))
