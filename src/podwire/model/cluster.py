"""A managed cluster as a value: what is asked for, and the names that follow from it.

Source: AKS naming rules (scale set computer names are prefix + instance id in base 36, six digits).
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from ipaddress import IPv4Network

from podwire.model.errors import InvalidInputError
from podwire.model.node_pool import Pool
from podwire.model.vnet import Subnet, resource_key

CLUSTER_DOMAIN = "cluster.local"
CONTROL_PLANE_SUBNET = Subnet("control-plane", "172.31.0.0/24")
"""Where managed control planes live: outside every VNet, in a range that AKS reserves."""
PLATFORM_ADDRESS = "172.31.0.254"
"""Where the lab itself serves images, in the same range of every VNet."""
API_PORT = 443
REGISTRY_PORT = 5000
"""The lab's image registry, on PLATFORM_ADDRESS."""
MIRROR_PORT = 5001
"""The lab's pull-through mirror of docker.io, there too, when that registry answers."""
AZURE, KUBENET = "azure", "kubenet"
"""Network plugins."""
_BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class ClusterSpec:
    """What is asked for.

    vnet: the VNet's key; subnet: the name of the subnet for nodes, and with the plugin azure for
    pods; CIDRs and IPs as text; pod_cidr: kubenet's; version: as in v1.20.2, "" for what is here;
    node_group: the name of the node resource group, "" for AKS's own choice.
    """

    name: str
    resource_group: str
    location: str
    vnet: str
    subnet: str
    service_cidr: str
    dns_service_ip: str
    pools: tuple[Pool, ...] = (Pool("nodepool1", 3, 30),)
    network_plugin: str = AZURE
    network_policy: str = ""
    pod_cidr: str = ""
    dns_prefix: str = ""
    version: str = ""
    node_group: str = ""

    @property
    def key(self) -> str:
        return resource_key(self.resource_group, self.name)

    @property
    def node_resource_group(self) -> str:
        return self.node_group or f"MC_{self.resource_group}_{self.name}_{self.location}"[:80]

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
        prefix = self.dns_prefix or self.name.lower().replace("_", "-")[:54].strip("-")
        seed = f"{self.resource_group}/{self.name}/hcp".encode()
        return f"{prefix}-{zlib.crc32(seed):08x}.hcp.{self.location}.azmk8s.io"

    @property
    def is_kubenet(self) -> bool:
        return self.network_plugin == KUBENET

    @property
    def node_count(self) -> int:
        return sum(one.count for one in self.pools)

    def pool(self, name: str) -> Pool:
        """Raises InvalidInputError when there is none of that name."""
        for one in self.pools:
            if one.name == name:
                return one
        have = ", ".join(one.name for one in self.pools)
        raise InvalidInputError(f"cluster {self.name} has no node pool {name!r}; it has: {have}")

    def subnet_of(self, pool: Pool) -> str:
        return pool.subnet or self.subnet

    def scale_set(self, pool: str) -> str:
        return f"aks-{pool}-{self.digits}-vmss"

    def node_name(self, pool: str, instance: int) -> str:
        return f"{self.scale_set(pool)}{base36(instance, 6)}"


def base36(number: int, width: int) -> str:
    """`number` in lower-case base 36, zero-padded: 10 -> 00000a, 36 -> 000010."""
    digits = ""
    while number:
        number, rest = divmod(number, 36)
        digits = _BASE36[rest] + digits
    return digits.rjust(width, "0")
