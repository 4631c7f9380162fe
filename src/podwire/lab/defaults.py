"""The document's own VNet and cluster, as values: what `up` makes when nothing else is said."""

from __future__ import annotations

from podwire.model.aks_rules import DEFAULT_POD_CIDR
from podwire.model.cluster import AZURE, KUBENET, ClusterSpec
from podwire.model.layout import DEFAULT_LAB
from podwire.model.vnet import Subnet, VNet

DOCUMENT_VNET = "10.220.0.0/16"
_GROUP = "NetworkLab"
_NAMES = {AZURE: "azurecni", KUBENET: "kubenet"}
"""What the document calls the subnet and the cluster of each network plugin."""
SUBNETS = {AZURE: "10.220.2.0/24", KUBENET: "10.220.1.0/24"}
"""The subnet of each network plugin's cluster."""


def document_vnet(*, vnet_cidr: str, subnet_cidr: str, plugin: str = AZURE) -> VNet:
    """aksvnet in NetworkLab, with this range for the plugin's subnet; of another range than the
    document's it has that subnet alone."""
    prefixes = {
        "kubenet": SUBNETS[KUBENET],
        "azurecni": SUBNETS[AZURE],
        "services": "10.220.3.0/24",
    }
    prefixes[_NAMES[plugin]] = subnet_cidr
    names = list(prefixes) if vnet_cidr == DOCUMENT_VNET else [_NAMES[plugin]]
    subnets = tuple(Subnet(name, prefixes[name]) for name in names)
    return VNet("aksvnet", _GROUP, (vnet_cidr,), subnets)


def document_cluster(lab: str, vnet: VNet, plugin: str = AZURE) -> ClusterSpec:
    """azurecni-cluster or kubenet-cluster; another lab's carries that lab's name as well."""
    name = f"{_NAMES[plugin]}-cluster"
    return ClusterSpec(
        name=name if lab == DEFAULT_LAB else f"{name}-{lab}",
        resource_group=_GROUP,
        location="eastus",
        vnet=vnet.key,
        subnet=_NAMES[plugin],
        service_cidr="10.200.0.0/16",
        dns_service_ip="10.200.0.10",
        network_plugin=plugin,
        pod_cidr=DEFAULT_POD_CIDR if plugin == KUBENET else "",
    )
