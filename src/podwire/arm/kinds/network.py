"""Microsoft.Network: virtual networks with their subnets and peerings, security groups, routes.

What is written here the fabric builds. Addresses, overlaps and limits are the rules' business.
"""

from __future__ import annotations

from typing import ClassVar

from podwire.arm.desk import Ask, Desk
from podwire.arm.errors import not_offered
from podwire.arm.kinds.stored import Part, Stored
from podwire.arm.shapes import REFERENCE, TAGS, Shape
from podwire.arm.store import Body
from podwire.arm.translate.vnet import SUBNET_DEFAULTS, VNETS, subnet_prefix, vnet_value

SUBNET: Shape = {
    "name": str,
    "properties": {
        "addressPrefix": str,
        "addressPrefixes": [str],
        "networkSecurityGroup": REFERENCE,
        "routeTable": REFERENCE,
        "natGateway": REFERENCE,
        "delegations": [dict],
        "serviceEndpoints": [dict],
    },
}
PEERING: Shape = {
    "name": str,
    "properties": {
        "remoteVirtualNetwork": REFERENCE,
        "allowVirtualNetworkAccess": bool,
        "allowForwardedTraffic": bool,
        "allowGatewayTransit": bool,
        "useRemoteGateways": bool,
    },
}


class Fabric:
    """Makes the lab's VNets be as the store says."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def body(self, path: str) -> Body | None:
        row = self._desk.store.get(path)
        return row.body if row else None

    async def converge(self) -> None:
        """Every VNet whose value is no longer what the lab has."""
        have = self._desk.lab.vnets()
        for row in self._desk.store.of_kind(VNETS):
            value = vnet_value(row.body, self.body)
            if have.get(value.key) != value:
                await self._desk.lab.put_vnet(value)


class NetworkKind(Stored):
    """Whatever of the network's changes, the VNets that it concerns follow."""

    async def follow(self, body: Body) -> None:
        await Fabric(self.desk).converge()

    async def remove(self, body: Body) -> None:
        """Nothing refers to it any more, or the rules would have refused."""


class VirtualNetworks(NetworkKind):
    name = VNETS
    lists = {"subnets": "subnets", "virtualNetworkPeerings": "virtualNetworkPeerings"}
    shape: ClassVar[Shape] = {
        "location": str,
        "tags": TAGS,
        "properties": {
            "addressSpace": {"addressPrefixes": [str]},
            "dhcpOptions": {"dnsServers": [str]},
            "subnets": [SUBNET],
            "virtualNetworkPeerings": [PEERING],
            "enableDdosProtection": bool,
        },
    }

    def completed(self, ask: Ask, body: Body, old: Body | None) -> Body:
        properties = {"enableDdosProtection": False, **body["properties"]}
        if properties["enableDdosProtection"]:
            raise not_offered("DDoS protection", "properties.enableDdosProtection")
        space = properties.get("addressSpace") or {}
        properties["addressSpace"] = {"addressPrefixes": [], **space}
        properties["subnets"] = [completed_subnet(one) for one in properties["subnets"]]
        return {"tags": {}, **body, "properties": properties}

    async def remove(self, body: Body) -> None:
        key = vnet_value(body, lambda _: None).key
        if key in self.desk.lab.vnets():
            await self.desk.lab.delete_vnet(key)


class Subnets(Part):
    name = f"{VNETS}/subnets"
    prop = "subnets"
    shape = SUBNET

    def completed(self, ask: Ask, part: Body, parent: Body) -> Body:
        return completed_subnet(part)


class Peerings(Part):
    name = f"{VNETS}/virtualNetworkPeerings"
    prop = "virtualNetworkPeerings"
    shape = PEERING


def completed_subnet(part: Body) -> Body:
    properties = {**SUBNET_DEFAULTS, **part["properties"]}
    if "natGateway" in properties:
        raise not_offered("NAT gateways", "properties.natGateway")
    prefix = subnet_prefix(part)
    properties.pop("addressPrefixes", None)
    return {**part, "properties": {**properties, "addressPrefix": prefix}}
