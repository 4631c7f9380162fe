"""The document's cluster as a value, for the tests of this room."""

from podwire.model.cluster import ClusterSpec
from podwire.model.vnet import Subnet, VNet

SUBNET = Subnet("azurecni", "10.220.2.0/24")
VNET = VNet("aksvnet", "NetworkLab", ("10.220.0.0/16",), (SUBNET,))
API_ADDRESS = "172.31.0.4"
SPEC = ClusterSpec(
    name="azurecni-cluster",
    resource_group="NetworkLab",
    location="eastus",
    vnet=VNET.key,
    subnet="azurecni",
    service_cidr="10.200.0.0/16",
    dns_service_ip="10.200.0.10",
)
