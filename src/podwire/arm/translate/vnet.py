"""Virtual networks: Azure's body and the lab's VNet, both ways. Pure.

Must not know where bodies are kept: what a subnet refers to (its route table, its security group)
is asked of `find`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from podwire.arm.ids import resource_id
from podwire.arm.store import Body
from podwire.model.vnet import Subnet, VNet

VNETS = "Microsoft.Network/virtualNetworks"
Find: TypeAlias = Callable[[str], Body | None]
"""The body of the resource with an id."""


def vnet_value(body: Body, find: Find) -> VNet:
    """What the lab shall build. The prefixes are as given: `model/aks_rules` checks them."""
    properties = body["properties"]
    group = body["id"].split("/")[4]
    return VNet(
        name=body["name"],
        resource_group=group,
        prefixes=tuple(properties.get("addressSpace", {}).get("addressPrefixes", [])),
        subnets=tuple(subnet_value(one, find) for one in properties.get("subnets", [])),
    )


def subnet_value(body: Body, find: Find) -> Subnet:
    return Subnet(body["name"], subnet_prefix(body))


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
            "subnets": [subnet_body(one, name) for one in vnet.subnets],
            "virtualNetworkPeerings": [],
        },
    }


def subnet_body(subnet: Subnet, vnet_id: str) -> Body:
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


SUBNET_DEFAULTS: Body = {
    "delegations": [],
    "privateEndpointNetworkPolicies": "Disabled",
    "privateLinkServiceNetworkPolicies": "Enabled",
}
