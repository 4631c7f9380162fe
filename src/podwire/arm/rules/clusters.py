"""Managed clusters. Pure.

Ranges, names and addresses are checked by `model/`, node pools in `arm/rules/pools.py`.
"""

from __future__ import annotations

import re

from podwire.arm import ids
from podwire.arm.errors import ArmError
from podwire.arm.rules import pools, unchanged, versions
from podwire.arm.rules.cluster_network import check_network, network_of, vnet_of
from podwire.arm.rules.fields import at, objects, same, text
from podwire.arm.rules.names import check_group_name
from podwire.arm.rules.world import Body, World
from podwire.model.errors import InvalidInputError, invalid_parameter

NODE_GROUP_NAME = 80
_CLUSTERS = "microsoft.containerservice/managedclusters"
_DNS_PREFIX = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,52}[A-Za-z0-9])?")


def check_put(cluster_id: str, old: Body | None, new: Body, world: World) -> None:
    if old is None:
        _check_new(cluster_id, new, world)
    else:
        pools.check_idle(old)
        unchanged.check(unchanged.OF_CLUSTERS, old, new)
    name, wanted = ids.parse(cluster_id).name, text(new, "properties.kubernetesVersion")
    versions.check_known(name, wanted, world.versions())
    before = _version(old) if old else ""
    versions.check_upgrade(before, wanted, world.versions())
    _check_network(old, new, world)


def check_upgrade(cluster_id: str, world: World) -> None:
    """Before every node is replaced with no PUT of its own (a node image upgrade).

    Raises SubnetIsFull, and what has become wrong since: a subnet over the service CIDR.
    """
    cluster = world.get(cluster_id) or {}
    pools.check_idle(cluster)
    network = network_of(None, cluster)
    profiles = pools.profiles_of(cluster, world)
    vnet = vnet_of([text(one, "vnetSubnetID") for one in profiles], world)
    check_network(network, vnet)
    values = [(one, pools.pool_of(one, network)) for one in profiles]
    pools.check_room(cluster, values, network, vnet, world, upgrading=True)


def _check_network(old: Body | None, new: Body, world: World) -> None:
    network = network_of(old, new)
    existing = pools.profiles_of(old, world) if old else []
    wanted = objects(new, "properties.agentPoolProfiles") or existing
    cluster = _as_wanted(old, new)
    vnet = vnet_of([text(one, "vnetSubnetID") for one in wanted], world)
    check_network(network, vnet)
    pools.check_profiles(cluster, existing, wanted, world, network)


def _as_wanted(old: Body | None, new: Body) -> Body:
    """The control plane is upgraded before its pools: theirs are compared to the new version."""
    cluster = {**(old or {}), **new}
    wanted = text(new, "properties.kubernetesVersion")
    if not wanted:
        return cluster
    properties = {**(at(new, "properties") or {}), "currentKubernetesVersion": wanted}
    return {**cluster, "properties": properties}


def _version(cluster: Body) -> str:
    current = text(cluster, "properties.currentKubernetesVersion")
    return current or text(cluster, "properties.kubernetesVersion")


def _check_new(cluster_id: str, new: Body, world: World) -> None:
    prefix = text(new, "properties.dnsPrefix")
    if not _DNS_PREFIX.fullmatch(prefix) and not text(new, "properties.fqdnSubdomain"):
        raise _dns_prefix(prefix)
    group = text(new, "properties.nodeResourceGroup")
    if len(group) > NODE_GROUP_NAME:
        raise InvalidInputError(
            "The length of the node resource group name is too long. The maximum length is "
            f"{NODE_GROUP_NAME} and the length of the value provided is {len(group)}. Please see "
            "https://aka.ms/aks-naming-rules for more details.",
            code="InvalidParameter",
            target="nodeResourceGroup",
        )
    if not group:
        return
    check_group_name(group)
    subscription = ids.parse(cluster_id).subscription
    others = (text(one, "properties.nodeResourceGroup") for one in world.all(_CLUSTERS))
    taken = world.get(ids.group_id(subscription, group)) is not None
    if taken or any(same(one, group) for one in others):
        raise ArmError(
            400,
            "NodeResourceGroupAlreadyExists",
            f"The node resource group {group} already exists. Choose a name that no resource "
            "group has; AKS makes it.",
            "nodeResourceGroup",
        )


def _dns_prefix(prefix: str) -> InvalidInputError:
    rule = (
        "must contain between 1 and 54 characters"
        if not 1 <= len(prefix) <= 54
        else "can contain only letters, numbers, and hyphens, and must begin and end with a "
        "letter or a number"
    )
    return invalid_parameter("dnsPrefix", f"DNS prefix '{prefix}' is invalid. DNS prefix {rule}")
