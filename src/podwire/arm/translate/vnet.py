"""Virtual networks: Azure's body and the lab's VNet, both ways. Pure.

Must not know where bodies are kept: what a subnet refers to (its route table, its security group)
is asked of `find`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from podwire.arm.ids import parse, resource_id
from podwire.arm.store import Body
from podwire.arm.translate.security import route_table, security_group
from podwire.model.peering import connect_peerings
from podwire.model.vnet import Peering, Subnet, VNet, resource_key

VNETS = "Microsoft.Network/virtualNetworks"
Find: TypeAlias = Callable[[str], Body | None]
"""The body of the resource with an id."""
SUBNET_DEFAULTS: Body = {
    "delegations": [],
    "privateEndpointNetworkPolicies": "Disabled",
    "privateLinkServiceNetworkPolicies": "Enabled",
}


def vnet_values(bodies: Iterable[Body], find: Find) -> dict[str, VNet]:
    """What the lab shall have, by key: all of them together, for peerings join two.

    Raises InvalidInputError when two that are peered overlap.
    """
    return connect_peerings([vnet_value(one, find) for one in bodies])


def key_of(body: Body) -> str:
    return resource_key(body["id"].split("/")[4], body["name"])


def vnet_value(body: Body, find: Find) -> VNet:
    """What the lab shall build. The prefixes are as given: the rules have checked them."""
    properties = body["properties"]
    return VNet(
        name=body["name"],
        resource_group=body["id"].split("/")[4],
        prefixes=tuple(properties.get("addressSpace", {}).get("addressPrefixes", [])),
        subnets=tuple(_subnet_value(one, find) for one in properties.get("subnets", [])),
        peerings=tuple(_peering(one) for one in properties.get("virtualNetworkPeerings", [])),
    )


def _subnet_value(body: Body, find: Find) -> Subnet:
    properties = body["properties"]
    table = find((properties.get("routeTable") or {}).get("id", ""))
    group = find((properties.get("networkSecurityGroup") or {}).get("id", ""))
    return Subnet(
        body["name"],
        subnet_prefix(body),
        route_table(table) if table else None,
        security_group(group) if group else None,
    )


def _peering(body: Body) -> Peering:
    properties = body["properties"]
    remote = parse(properties["remoteVirtualNetwork"]["id"])
    return Peering(
        name=body["name"],
        remote=resource_key(remote.group, remote.name),
        allow_access=properties.get("allowVirtualNetworkAccess", True),
        allow_forwarded=properties.get("allowForwardedTraffic", False),
        allow_gateway_transit=properties.get("allowGatewayTransit", False),
        use_remote_gateways=properties.get("useRemoteGateways", False),
    )


def subnet_prefix(body: Body) -> str:
    """A subnet has addressPrefix, or since 2018 a list of them of which the lab takes one."""
    properties = body["properties"]
    prefixes = properties.get("addressPrefixes", [])
    return str(properties.get("addressPrefix") or (prefixes[0] if prefixes else ""))


def vnet_body(vnet: VNet, subscription: str, location: str) -> Body:
    """A VNet that the lab has and nobody has PUT."""
    name = resource_id(subscription, vnet.resource_group, VNETS, vnet.name)
    return {
        "id": name,
        "name": vnet.name,
        "type": VNETS,
        "location": location,
        "tags": {},
        "properties": {
            "addressSpace": {"addressPrefixes": list(vnet.prefixes)},
            "provisioningState": "Succeeded",
            "enableDdosProtection": False,
            "subnets": [_subnet_body(one, name) for one in vnet.subnets],
            "virtualNetworkPeerings": [],
        },
    }


def _subnet_body(subnet: Subnet, vnet_id: str) -> Body:
    return {
        "id": f"{vnet_id}/subnets/{subnet.name}",
        "name": subnet.name,
        "type": f"{VNETS}/subnets",
        "properties": {
            "addressPrefix": subnet.prefix,
            "provisioningState": "Succeeded",
            **SUBNET_DEFAULTS,
        },
    }
