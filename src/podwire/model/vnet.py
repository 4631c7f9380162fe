"""The virtual network as values: VNet, subnets, NICs, peerings; which addresses a NIC gets.

Source: Azure's virtual network rules (five reserved addresses a subnet; secondary addresses of a
node taken contiguously, lowest first; virtual network peering).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from podwire.model.errors import InvalidInputError
from podwire.model.route_table import RouteTable
from podwire.model.security import SecurityGroup

WIRE_SERVER = "168.63.129.16"
"""Azure's platform address: wire server, DNS, DHCP, load balancer probes."""
IMDS = "169.254.169.254"
"""The instance metadata service."""
FABRIC_MAC = "12:34:56:78:9a:bc"
"""The MAC with which Azure's fabric answers every ARP request of a NIC."""
PLATFORM_RANGE = "172.31.0.0/16"
"""Where the lab puts what in Azure has a public address, as control planes: no VNet may have it."""
RESERVED_FIRST = 4
"""Addresses at a subnet's start that are never handed out; the last one is not either."""
SMALLEST_SUBNET = 29
"""The longest prefix of a subnet."""


def resource_key(resource_group: str, name: str) -> str:
    """What tells a VNet or a cluster from all others: Azure's names know no case."""
    return f"{resource_group}/{name}".lower()


def usable(prefix: int) -> int:
    """How many addresses of a subnet with this prefix length can be handed out: all but five."""
    return max(0, (1 << (32 - prefix)) - RESERVED_FIRST - 1)


@dataclass(frozen=True, slots=True)
class Subnet:
    """prefix: CIDR, as in 10.220.2.0/24. route_table, security: what is associated with it."""

    name: str
    prefix: str
    route_table: RouteTable | None = None
    security: SecurityGroup | None = None

    @property
    def network(self) -> IPv4Network:
        return IPv4Network(self.prefix)

    @property
    def gateway(self) -> str:
        return str(self.network.network_address + 1)

    @property
    def usable(self) -> int:
        return usable(self.network.prefixlen)

    def free(self, taken: Iterable[str]) -> Iterable[IPv4Address]:
        """The addresses that may be handed out and are not taken, lowest first."""
        used = {int(IPv4Address(one)) for one in taken}
        first = int(self.network.network_address) + RESERVED_FIRST
        for number in range(first, int(self.network.broadcast_address)):
            if number not in used:
                yield IPv4Address(number)


@dataclass(frozen=True, slots=True)
class Peering:
    """One side of a peering. remote: the other VNet's key; remote_prefixes: its address space.

    connected: the other side is there, too (Azure: Connected, else Initiated). allow_access: the
    two VNets reach each other; allow_forwarded: what comes from there may have its source
    elsewhere. The rest is kept and has no effect, for the lab has no gateways.
    """

    name: str
    remote: str
    remote_prefixes: tuple[str, ...] = ()
    connected: bool = False
    allow_access: bool = True
    allow_forwarded: bool = False
    allow_gateway_transit: bool = False
    use_remote_gateways: bool = False

    @property
    def open(self) -> bool:
        """Whether packets pass, as far as this side is concerned."""
        return self.connected and self.allow_access


@dataclass(frozen=True, slots=True)
class VNet:
    name: str
    resource_group: str
    prefixes: tuple[str, ...]
    subnets: tuple[Subnet, ...]
    peerings: tuple[Peering, ...] = ()

    def subnet_of(self, nic: Nic) -> Subnet | None:
        """The NIC's subnet as it is now; None for a NIC of the platform, outside the VNet."""
        have = (one for one in self.subnets if one.name == nic.subnet.name)
        return next((one for one in have if one.prefix == nic.subnet.prefix), None)

    @property
    def key(self) -> str:
        """What tells it from all other VNets."""
        return resource_key(self.resource_group, self.name)

    def subnet(self, name: str) -> Subnet:
        for one in self.subnets:
            if one.name == name:
                return one
        have = ", ".join(one.name for one in self.subnets) or "none"
        raise InvalidInputError(f"VNet {self.name} has no subnet {name!r}; it has: {have}")


@dataclass(frozen=True, slots=True)
class Nic:
    """A network interface card: one MAC, a primary and some secondary addresses of one subnet.

    addresses: the primary one first; mac: lower case with colons. ip_forwarding: packets whose
    source or destination is not its own may leave and reach it.
    """

    name: str
    mac: str
    subnet: Subnet
    addresses: tuple[str, ...]
    ip_forwarding: bool = False
    security: SecurityGroup | None = None

    @property
    def primary(self) -> str:
        return self.addresses[0]

    @property
    def secondaries(self) -> tuple[str, ...]:
        return self.addresses[1:]


def allocate(subnet: Subnet, count: int, taken: Iterable[str]) -> tuple[str, ...]:
    """The lowest contiguous run of `count` free addresses, else the lowest free ones.

    Raises InvalidInputError (SubnetIsFull) when fewer are free.
    """
    free = [int(one) for one in subnet.free(taken)]
    if len(free) < count:
        raise subnet_is_full(subnet, count)
    runs = (at for at in range(len(free) - count + 1) if free[at + count - 1] - free[at] < count)
    start = next(runs, None)
    chosen = free[:count] if start is None else free[start : start + count]
    return tuple(str(IPv4Address(one)) for one in chosen)


def subnet_is_full(subnet: Subnet, count: int) -> InvalidInputError:
    """What Azure's network answers when `count` more addresses are asked for."""
    return InvalidInputError(
        f"Subnet {subnet.name} with address prefix {subnet.prefix} does not have enough "
        f"capacity for {count} IP addresses.",
        code="SubnetIsFull",
    )
