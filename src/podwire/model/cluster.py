"""A managed cluster as a value: what is asked for, and the names that follow from it.

Source: AKS naming rules (scale set computer names are prefix + instance id in base 36, six digits).
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from ipaddress import IPv4Network

from podwire.model.vnet import Subnet, VNet

CLUSTER_DOMAIN = "cluster.local"
CONTROL_PLANE_SUBNET = Subnet("control-plane", "172.31.0.0/24")
"""Where the managed control plane lives: outside every VNet, in a range that AKS reserves."""
API_ADDRESS = "172.31.0.4"
API_PORT = 443
REGISTRY_PORT = 5000
"""The lab's image registry, on the control plane's address."""
MIRROR_PORT = 5001
"""The lab's pull-through mirror of docker.io, there too, when that registry answers."""
_BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class ClusterSpec:
    """What is asked for. subnet: the VNet's subnet for nodes and pods; CIDRs and IPs as text."""

    name: str
    resource_group: str
    location: str
    vnet: VNet
    subnet: str
    service_cidr: str
    dns_service_ip: str
    node_count: int = 3
    max_pods: int = 30
    pool: str = "nodepool1"

    @property
    def node_resource_group(self) -> str:
        return f"MC_{self.resource_group}_{self.name}_{self.location}"[:80]

    @property
    def scale_set(self) -> str:
        return f"aks-{self.pool}-{self.digits}-vmss"

    @property
    def digits(self) -> str:
        """Eight digits, the same for all pools of one cluster (AKS derives them likewise)."""
        seed = f"{self.resource_group}/{self.name}".encode()
        return f"{zlib.crc32(seed):010d}"[-8:]

    @property
    def service_ip(self) -> str:
        """The cluster IP of the Service `kubernetes`: the service CIDR's first address."""
        return str(IPv4Network(self.service_cidr)[1])

    @property
    def api_fqdn(self) -> str:
        """The API server's public name: DNS prefix, eight hex digits, region."""
        prefix = self.name.lower().replace("_", "-")[:54].strip("-")
        seed = f"{self.resource_group}/{self.name}/hcp".encode()
        return f"{prefix}-{zlib.crc32(seed):08x}.hcp.{self.location}.azmk8s.io"

    def node_name(self, instance: int) -> str:
        return f"{self.scale_set}{base36(instance, 6)}"


def base36(number: int, width: int) -> str:
    """`number` in lower-case base 36, zero-padded: 10 -> 00000a, 36 -> 000010."""
    digits = ""
    while number:
        number, rest = divmod(number, 36)
        digits = _BASE36[rest] + digits
    return digits.rjust(width, "0")
