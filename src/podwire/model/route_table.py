"""Route tables of a VNet as values: what a user writes. What follows from it: effective_routes.

Source: Azure's virtual network traffic routing (next hop types, system routes).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network

from podwire.model.errors import InvalidInputError


class NextHop(StrEnum):
    """Where a route leads, in Azure's words; read in any case of letters."""

    VIRTUAL_APPLIANCE = "VirtualAppliance"
    """To the NIC that has the route's next hop address, if it forwards."""
    VNET_LOCAL = "VnetLocal"
    INTERNET = "Internet"
    NONE = "None"
    """Nowhere: dropped."""
    GATEWAY = "VirtualNetworkGateway"
    """Nowhere either, for the lab has no gateways."""
    PEERING = "VNetPeering"
    """To a peered VNet. Of system routes only."""

    @classmethod
    def _missing_(cls, value: object) -> NextHop | None:
        return next((one for one in cls if one.lower() == str(value).lower()), None)


@dataclass(frozen=True, slots=True)
class Route:
    """A user defined route. prefix: CIDR; next_hop_ip: of a VirtualAppliance, else "".

    Raises InvalidInputError when one of them is none.
    """

    name: str
    prefix: str
    next_hop_type: NextHop
    next_hop_ip: str = ""

    def __post_init__(self) -> None:
        try:
            IPv4Network(self.prefix)
            if self.next_hop_type == NextHop.VIRTUAL_APPLIANCE:
                IPv4Address(self.next_hop_ip)
        except ValueError as error:
            raise InvalidInputError(
                f"route {self.name} to {self.prefix} by {self.next_hop_ip or 'nothing'} cannot be: "
                f"{error}; give a CIDR, and an address for a VirtualAppliance"
            ) from error


@dataclass(frozen=True, slots=True)
class RouteTable:
    """What a subnet's packets follow before the system's routes. One prefix occurs once."""

    name: str
    routes: tuple[Route, ...] = ()

    def under(self, other: RouteTable) -> RouteTable:
        """With the other's routes, which take the place of its own to the same prefixes."""
        taken = {one.prefix for one in other.routes}
        kept = (one for one in self.routes if one.prefix not in taken)
        return replace(self, routes=(*kept, *other.routes))
