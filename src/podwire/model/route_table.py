"""Route tables of a VNet as values: what a user writes. What follows from it: effective_routes.

Source: Azure's virtual network traffic routing (next hop types, system routes).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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
    """A user defined route. prefix: CIDR; next_hop_ip: of a VirtualAppliance, else ""."""

    name: str
    prefix: str
    next_hop_type: NextHop
    next_hop_ip: str = ""


@dataclass(frozen=True, slots=True)
class RouteTable:
    """What a subnet's packets follow before the system's routes. One prefix occurs once."""

    name: str
    routes: tuple[Route, ...] = ()
