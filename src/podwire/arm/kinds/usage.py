"""How full a VNet's subnets are, and whether an address is free: what one asks before one plans.

Source: Microsoft.Network, Virtual Networks - List Usage, Check IP Address Availability.
"""

from __future__ import annotations

from podwire.arm.desk import Answer, Ask, Desk, page
from podwire.arm.errors import ArmError, resource_not_found
from podwire.arm.kinds.base import Kind
from podwire.arm.kinds.network import Subnets
from podwire.arm.rules.fields import same, text
from podwire.arm.rules.interfaces import configurations, is_reserved
from podwire.arm.rules.prefixes import check_address
from podwire.arm.rules.world import World
from podwire.arm.store import Body
from podwire.arm.translate.vnet import VNETS, subnet_prefix
from podwire.model.vnet import Subnet

_OFFERED = 5
"""How many free addresses are named when the one that was asked for is taken."""


class _OfVNet(Kind):
    def __init__(self, desk: Desk, world: World) -> None:
        super().__init__(desk)
        self.world = world

    def subnets(self, ask: Ask) -> list[tuple[Body, Subnet]]:
        """With their ids. Raises ArmError (404) when there is no such VNet."""
        vnet = ask.target.parent
        if self.world.get(vnet) is None:
            self.desk.check_group(ask.target)
            raise resource_not_found(VNETS, ask.target.names[0], ask.target.group)
        listed = self.world.children(vnet, Subnets.name)
        return [(dict(one), Subnet(one["name"], subnet_prefix(dict(one)))) for one in listed]


class Usages(_OfVNet):
    name = f"{VNETS}/usages"

    def listing(self, ask: Ask) -> Answer:
        return page(
            {
                "id": body["id"],
                "name": {"value": "SubnetSpace", "localizedValue": "Subnet size and usage"},
                "currentValue": sum(count for _, count in self.world.used(body["id"])),
                "limit": subnet.usable,
                "unit": "Count",
            }
            for body, subnet in self.subnets(ask)
        )


class Availability(_OfVNet):
    name = f"{VNETS}/CheckIPAddressAvailability"

    def listing(self, ask: Ask) -> Answer:
        wanted = ask.query.get("ipaddress", "")
        address = check_address(wanted, "Private IP address", "InvalidIPAddress")
        found = (one for one in self.subnets(ask) if address in one[1].network)
        body, subnet = next(found, ({}, None))
        if subnet is None:
            raise ArmError(
                400,
                "PrivateIPAddressNotInAnySubnet",
                f"Private IP address {wanted} does not belong to any subnet of virtual network "
                f"{ask.target.names[0]}.",
            )
        taken = self._taken(body["id"])
        free = wanted not in taken and not is_reserved(address, subnet)
        answer: Body = {"available": free, "isPlatformReserved": False}
        if not free:
            others = [str(one) for one, _ in zip(subnet.free(taken), range(_OFFERED), strict=False)]
            answer["availableIPAddresses"] = others
        return Answer(200, answer)

    def _taken(self, subnet_id: str) -> set[str]:
        return {
            text(one, "properties.privateIPAddress")
            for _, one in configurations(self.world)
            if same(text(one, "properties.subnet.id"), subnet_id)
        }
