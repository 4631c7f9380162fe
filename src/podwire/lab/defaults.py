"""The document's own VNet and cluster, as values: what `up` makes when nothing else is said."""

from __future__ import annotations

from podwire.model.cluster import ClusterSpec
from podwire.model.layout import DEFAULT_LAB
from podwire.model.vnet import Subnet, VNet

DOCUMENT_VNET = "10.220.0.0/16"
_GROUP = "NetworkLab"


def document_vnet(*, vnet_cidr: str, subnet_cidr: str) -> VNet:
    """aksvnet in NetworkLab; of another range it has the one subnet that was asked for."""
    subnets: tuple[Subnet, ...] = (
        Subnet("kubenet", "10.220.1.0/24"),
        Subnet("azurecni", subnet_cidr),
        Subnet("services", "10.220.3.0/24"),
    )
    if vnet_cidr != DOCUMENT_VNET:
        subnets = (subnets[1],)
    return VNet("aksvnet", _GROUP, (vnet_cidr,), subnets)


def document_cluster(lab: str, vnet: VNet) -> ClusterSpec:
    """azurecni-cluster; another lab's carries that lab's name as well."""
    return ClusterSpec(
        name="azurecni-cluster" if lab == DEFAULT_LAB else f"azurecni-cluster-{lab}",
        resource_group=_GROUP,
        location="eastus",
        vnet=vnet.key,
        subnet="azurecni",
        service_cidr="10.200.0.0/16",
        dns_service_ip="10.200.0.10",
    )
