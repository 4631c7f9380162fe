"""The document's own cluster, as a value: what `up` makes when nothing else is said."""

from __future__ import annotations

from podwire.model.cluster import ClusterSpec
from podwire.model.layout import DEFAULT_LAB
from podwire.model.vnet import Subnet, VNet


def document_cluster(lab: str, *, vnet_cidr: str, subnet_cidr: str) -> ClusterSpec:
    """azurecni-cluster in NetworkLab; another lab's cluster carries that lab's name as well."""
    subnets: tuple[Subnet, ...] = (
        Subnet("kubenet", "10.220.1.0/24"),
        Subnet("azurecni", subnet_cidr),
        Subnet("services", "10.220.3.0/24"),
    )
    if vnet_cidr != "10.220.0.0/16":
        subnets = (subnets[1],)
    return ClusterSpec(
        name="azurecni-cluster" if lab == DEFAULT_LAB else f"azurecni-cluster-{lab}",
        resource_group="NetworkLab",
        location="eastus",
        vnet=VNet("aksvnet", "NetworkLab", (vnet_cidr,), subnets),
        subnet="azurecni",
        service_cidr="10.200.0.0/16",
        dns_service_ip="10.200.0.10",
    )
