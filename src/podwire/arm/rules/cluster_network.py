"""A managed cluster's network profile and the VNet that its pools are in. Pure.

The ranges themselves are checked by `model/aks_rules.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from podwire.arm import ids
from podwire.arm.errors import ArmError
from podwire.arm.rules.fields import choice, same, strings, text
from podwire.arm.rules.network import SUBNETS, services, vnet_value
from podwire.arm.rules.world import Body, World
from podwire.model.aks_rules import (
    DEFAULT_POD_CIDR,
    NETWORK_POLICIES,
    check_dns_service_ip,
    check_network_policy,
    check_pod_cidr,
    check_service_cidr,
)
from podwire.model.errors import invalid_parameter
from podwire.model.ip_modes import KUBENET, NODE_SUBNET, OVERLAY, Mode
from podwire.model.vnet import VNet

DEFAULT_SERVICE_CIDR, DEFAULT_DNS_SERVICE_IP = "10.0.0.0/16", "10.0.0.10"
DEFAULT_PLUGIN = "kubenet"
_OWN_SERVICE = "Microsoft.ContainerService/managedClusters"
_SUBNET_KIND = "microsoft.network/virtualnetworks/subnets"
_EXPECT = (
    "Expect fully qualified resource Id that start with '/subscriptions/{subscriptionId}' or "
    "'/providers/{resourceProviderNamespace}/'."
)


@dataclass(frozen=True, slots=True)
class Network:
    """What a cluster's network profile says, defaults filled in. CIDRs and IPs as text."""

    mode: Mode
    policy: str
    service_cidr: str
    dns_service_ip: str
    pod_cidr: str


def network_of(old: Body | None, new: Body) -> Network:
    """Of the body that is sent, else of the stored one, else AKS's default."""

    def value(name: str, default: str) -> str:
        path = f"properties.networkProfile.{name}"
        return text(new, path) or (text(old, path) if old else "") or default

    return Network(
        _mode(value("networkPlugin", DEFAULT_PLUGIN), value("networkPluginMode", "")),
        value("networkPolicy", "none"),
        value("serviceCidr", DEFAULT_SERVICE_CIDR),
        value("dnsServiceIP", DEFAULT_DNS_SERVICE_IP),
        value("podCidr", DEFAULT_POD_CIDR),
    )


def _mode(plugin: str, plugin_mode: str) -> Mode:
    if plugin not in ("azure", "kubenet"):
        details = f"{plugin!r} is neither azure nor kubenet"
        raise invalid_parameter("networkProfile.networkPlugin", details)
    if plugin == "kubenet":
        return KUBENET
    return OVERLAY if plugin_mode.lower() == "overlay" else NODE_SUBNET


def check_network(network: Network, vnet: VNet) -> None:
    """The ranges against one another and every subnet of the VNet, at each PUT."""
    service = check_service_cidr(network.service_cidr, vnet)
    check_dns_service_ip(network.dns_service_ip, service)
    if network.mode is not NODE_SUBNET:
        check_pod_cidr(network.pod_cidr, vnet, service)
    body = {"policy": network.policy}
    policy = choice(body, "policy", NETWORK_POLICIES, "NetworkPolicy")
    check_network_policy(policy, network.mode)


def vnet_of(subnet_ids: Iterable[str], world: World) -> VNet:
    """The one VNet that all these subnets are in; an empty one when there is none.

    Raises when an id is none, its subnet is missing, taken by another service, or elsewhere.
    """
    found = list(dict.fromkeys(one for one in subnet_ids if one))
    for at, subnet_id in enumerate(found):
        _check_subnet(at, subnet_id, world)
    if not found:
        return VNet("", "", (), ())
    vnet_id = ids.parse(found[0]).parent
    for other in found[1:]:
        if not same(ids.parse(other).parent, vnet_id):
            raise invalid_parameter(
                "agentPoolProfile.vnetSubnetID",
                f"all node pools of a cluster are in one virtual network; {other} is not in "
                f"{vnet_id}",
            )
    prefixes = strings(world.get(vnet_id) or {}, "properties.addressSpace.addressPrefixes")
    return vnet_value(vnet_id, prefixes, list(world.children(vnet_id, SUBNETS)))


def _check_subnet(at: int, subnet_id: str, world: World) -> None:
    if not subnet_id.lower().startswith("/subscriptions/"):
        raise ArmError(
            400,
            "LinkedInvalidPropertyId",
            f"Property id '{subnet_id}' at path 'properties.agentPoolProfiles[{at}].vnetSubnetID' "
            f"is invalid. {_EXPECT}",
        )
    target = ids.parse(subnet_id)
    if target.kind.lower() != _SUBNET_KIND or target.tail:
        details = f"{subnet_id} is not the id of a subnet"
        raise invalid_parameter("agentPoolProfile.vnetSubnetID", details)
    subnet = world.get(subnet_id)
    if subnet is None:
        raise ArmError(
            400,
            "SubnetNotFound",
            f"Could not find subnet {target.name} in vnet {target.names[0]} from resource group "
            f"{target.group} of subscription {target.subscription}.",
        )
    others = [one for one in services(subnet) if not same(one, _OWN_SERVICE)]
    if others:
        raise ArmError(
            400,
            "SubnetIsDelegated",
            f"Subnet {subnet_id} is delegated to {', '.join(others)} and cannot be used by "
            f"{_OWN_SERVICE}.",
            "agentPoolProfile.vnetSubnetID",
        )
