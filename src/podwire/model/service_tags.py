"""What stands in a security rule in place of a prefix, as addresses.

Source: Azure's virtual network service tags. VirtualNetwork is the VNet, the VNets that are peered
with it, the prefixes of the user's routes of the subnet, and the platform's address.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from ipaddress import IPv4Network

from podwire.model.effective_routes import RESERVED
from podwire.model.errors import InvalidInputError
from podwire.model.prefixes import EVERYTHING, Networks, union, without
from podwire.model.security import ANY
from podwire.model.vnet import PLATFORM_RANGE, WIRE_SERVER, Nic, VNet

Tags = Callable[[str], Networks]
"""The addresses of a tag in lower case. Raises KeyError."""

PLATFORM: Networks = (IPv4Network(PLATFORM_RANGE),)
_PRIVATE = without(
    union(
        IPv4Network(one)
        for one in (*RESERVED, "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3", WIRE_SERVER)
    ),
    PLATFORM,
)


def tags_of(nic: Nic, vnet: VNet) -> Tags:
    """What the tags mean in the rules of this NIC and its subnet."""
    subnet = vnet.subnet_of(nic) or nic.subnet
    table = subnet.route_table
    peers = (prefix for one in vnet.peerings if one.open for prefix in one.remote_prefixes)
    routes = (one.prefix for one in table.routes) if table else ()
    return _tags((*vnet.prefixes, *peers, *routes))


@lru_cache(maxsize=64)
def _tags(prefixes: tuple[str, ...]) -> Tags:
    vnet = union(IPv4Network(one) for one in (*prefixes, WIRE_SERVER))
    return {
        "virtualnetwork": vnet,
        "azureloadbalancer": (IPv4Network(WIRE_SERVER),),
        "internet": without(without(EVERYTHING, _PRIVATE), vnet),
        "azurecloud": PLATFORM,
    }.__getitem__


def expand(prefixes: Iterable[str], tags: Tags) -> Networks:
    """The addresses that CIDRs, addresses, tags and "*" name together.

    Raises InvalidInputError for anything else.
    """
    return union(network for one in prefixes for network in _networks(one, tags))


def _networks(text: str, tags: Tags) -> Networks:
    if text == ANY:
        return EVERYTHING
    try:
        if text[:1].isdigit():
            return (IPv4Network(text, strict=False),)
        return tags(text.partition(".")[0].lower())  # AzureCloud.eastus: the lab is one region
    except (ValueError, KeyError):
        raise InvalidInputError(
            f"Security rule has invalid Address prefix. Value provided: {text}; the lab knows "
            "CIDRs, addresses, * and the tags VirtualNetwork, AzureLoadBalancer, Internet, "
            "AzureCloud",
            code="SecurityRuleInvalidAddressPrefix",
        ) from None
