"""Microsoft.Network: virtual networks with subnets and peerings, security groups, route tables.

What is written here the fabric builds. Addresses, overlaps and limits are the rules' business.
"""

from __future__ import annotations

from typing import ClassVar

from podwire.arm.desk import Ask, Desk
from podwire.arm.errors import not_offered
from podwire.arm.kinds.stored import Part, Stored
from podwire.arm.shapes import REFERENCE, TAGS, Shape
from podwire.arm.store import Body, Row
from podwire.arm.translate.balancers import BALANCERS
from podwire.arm.translate.machines import MACHINE_NICS, NICS
from podwire.arm.translate.security import default_rules
from podwire.arm.translate.vnet import SUBNET_DEFAULTS, VNETS, key_of, subnet_prefix, vnet_values

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
ROUTE: Shape = {
    "name": str,
    "properties": {"addressPrefix": str, "nextHopType": str, "nextHopIpAddress": str},
}
RULE: Shape = {
    "name": str,
    "properties": {
        "priority": int,
        "direction": str,
        "access": str,
        "protocol": str,
        "sourceAddressPrefix": str,
        "sourceAddressPrefixes": [str],
        "destinationAddressPrefix": str,
        "destinationAddressPrefixes": [str],
        "sourcePortRange": str,
        "sourcePortRanges": [str],
        "destinationPortRange": str,
        "destinationPortRanges": [str],
        "sourceApplicationSecurityGroups": [dict],
        "destinationApplicationSecurityGroups": [dict],
    },
}


class Fabric:
    """Makes the lab's VNets be as the store says."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def body(self, path: str) -> Body | None:
        row = self._desk.store.get(path) if path else None
        return row.body if row else None

    async def converge(self) -> None:
        """Every VNet whose value is no longer what the lab has."""
        have = self._desk.lab.vnets()
        bodies = [row.body for row in self._desk.store.of_kind(VNETS) if _stays(row.body)]
        for key, value in vnet_values(bodies, self.body).items():
            if have.get(key) != value:
                await self._desk.lab.put_vnet(value)


def _stays(body: Body) -> bool:
    return bool(body["properties"].get("provisioningState") != "Deleting")


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

    def shown(self, row: Row) -> Body:
        body = super().shown(row)
        properties = body["properties"]
        peerings = properties.get("virtualNetworkPeerings", [])
        subnets = properties.get("subnets", [])
        shown = {
            "virtualNetworkPeerings": [peering_shown(self.desk, one) for one in peerings],
            "subnets": with_configurations(self.desk, subnets),
        }
        return {**body, "properties": {**properties, **shown}}

    def completed(self, ask: Ask, body: Body, old: Body | None) -> Body:
        properties = {"enableDdosProtection": False, **body["properties"]}
        if properties["enableDdosProtection"]:
            raise not_offered("DDoS protection", "properties.enableDdosProtection")
        if properties.get("dhcpOptions", {}).get("dnsServers"):
            raise not_offered("custom DNS servers", "properties.dhcpOptions.dnsServers")
        properties["subnets"] = [completed_subnet(one) for one in properties["subnets"]]
        return {"tags": {}, **body, "properties": properties}

    async def remove(self, body: Body) -> None:
        await self.desk.lab.delete_vnet(key_of(body))


class Subnets(Part):
    name = f"{VNETS}/subnets"
    prop = "subnets"
    shape = SUBNET

    def completed(self, ask: Ask, part: Body, parent: Body) -> Body:
        return completed_subnet(part)

    def shown(self, row: Row) -> Body:
        return with_configurations(self.desk, [super().shown(row)])[0]


class Peerings(Part):
    name = f"{VNETS}/virtualNetworkPeerings"
    prop = "virtualNetworkPeerings"
    shape = PEERING

    def shown(self, row: Row) -> Body:
        return peering_shown(self.desk, row.body)


class RouteTables(NetworkKind):
    name = "Microsoft.Network/routeTables"
    lists = {"routes": "routes"}
    shape: ClassVar[Shape] = {
        "location": str,
        "tags": TAGS,
        "properties": {"routes": [ROUTE], "disableBgpRoutePropagation": bool},
    }

    def completed(self, ask: Ask, body: Body, old: Body | None) -> Body:
        properties = {"disableBgpRoutePropagation": False, **body["properties"]}
        return {"tags": {}, **body, "properties": properties}

    def shown(self, row: Row) -> Body:
        return with_subnets(self.desk, super().shown(row), "routeTable")


class Routes(Part):
    name = f"{RouteTables.name}/routes"
    prop = "routes"
    shape = ROUTE


class SecurityGroups(NetworkKind):
    name = "Microsoft.Network/networkSecurityGroups"
    lists = {"securityRules": "securityRules"}
    shape: ClassVar[Shape] = {
        "location": str,
        "tags": TAGS,
        "properties": {"securityRules": [RULE]},
    }

    def completed(self, ask: Ask, body: Body, old: Body | None) -> Body:
        properties = dict(body["properties"])
        properties["defaultSecurityRules"] = default_rules(body["id"])
        return {"tags": {}, **body, "properties": properties}

    def shown(self, row: Row) -> Body:
        return with_subnets(self.desk, super().shown(row), "networkSecurityGroup")


class SecurityRules(Part):
    name = f"{SecurityGroups.name}/securityRules"
    prop = "securityRules"
    shape = RULE


def completed_subnet(part: Body) -> Body:
    properties = {**SUBNET_DEFAULTS, **part["properties"]}
    if "natGateway" in properties:
        raise not_offered("NAT gateways", "properties.natGateway")
    prefix = subnet_prefix(part)
    for told in ("addressPrefixes", "ipConfigurations"):
        properties.pop(told, None)
    return {**part, "properties": {**properties, "addressPrefix": prefix}}


def with_configurations(desk: Desk, subnets: list[Body]) -> list[Body]:
    """With the ids of the IP configurations that hold an address of each, where there are any."""
    held: dict[str, list[Body]] = {one["id"].lower(): [] for one in subnets}
    nics = [*desk.listed(MACHINE_NICS), *desk.store.of_kind(NICS)] if held else []
    balancers = desk.listed(BALANCERS) if held else []
    for rows, prop in ((nics, "ipConfigurations"), (balancers, "frontendIPConfigurations")):
        for one in (part for row in rows for part in row.body["properties"].get(prop, [])):
            subnet = (one["properties"].get("subnet") or {}).get("id", "").lower()
            held.get(subnet, []).append({"id": one["id"]})
    return [
        {**one, "properties": {**one["properties"], "ipConfigurations": here}} if here else one
        for one in subnets
        for here in [held[one["id"].lower()]]
    ]


def with_subnets(desk: Desk, body: Body, prop: str) -> Body:
    """With the subnets that refer to it, as Azure lists them."""
    key = body["id"].lower()
    users = [
        {"id": one["id"]}
        for row in desk.store.of_kind(VNETS)
        for one in row.body["properties"].get("subnets", [])
        if (one["properties"].get(prop) or {}).get("id", "").lower() == key
    ]
    return {**body, "properties": {**body["properties"], "subnets": users}} if users else body


def peering_shown(desk: Desk, part: Body) -> Body:
    """With its state, which depends on the other side, and the other side's address space."""
    properties = part["properties"]
    mine = part["id"].lower().rsplit("/", 2)[0]
    remote = desk.store.get(properties["remoteVirtualNetwork"]["id"])
    back = remote.body["properties"].get("virtualNetworkPeerings", []) if remote else []
    mutual = any(one["properties"]["remoteVirtualNetwork"]["id"].lower() == mine for one in back)
    state = "Connected" if mutual else "Initiated"
    sync = "FullyInSync" if mutual else "LocalNotInSync"
    space = remote.body["properties"].get("addressSpace", {}) if remote else {}
    shown = {"peeringState": state, "peeringSyncLevel": sync, "remoteAddressSpace": space}
    return {**part, "properties": {**properties, **shown}}
