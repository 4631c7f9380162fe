"""Node pools as ARM has them: flat profiles within a cluster, or resources of their own. Pure.

Names, max-pods and addresses are checked by `model/pool_rules.py`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Network
from typing import Any

from podwire.arm import ids
from podwire.arm.errors import ArmError, not_offered, operation_not_allowed
from podwire.arm.rules import unchanged, versions
from podwire.arm.rules.cluster_network import Network, network_of, vnet_of
from podwire.arm.rules.fields import at, choice, number, objects, properties, same, text
from podwire.arm.rules.world import Body, World
from podwire.model.errors import invalid_parameter
from podwire.model.ip_modes import NODE_SUBNET, Moment, Ranges, subnet_need
from podwire.model.node_pool import SYSTEM, USER, Pool, Surge
from podwire.model.pool_rules import check_create, check_pool, check_upgrade
from podwire.model.vnet import Subnet, VNet, subnet_is_full

POOLS = "microsoft.containerservice/managedclusters/agentpools"
MOST_POOLS = 100
_SETTLED = ("", "Succeeded", "Failed", "Canceled")
_VM_SIZE = re.compile(r"Standard_[A-Z]+[0-9][A-Za-z0-9-]*(_[A-Za-z0-9]+)*", re.IGNORECASE)


def check_put(pool_id: str, old: Body | None, new: Body, world: World) -> None:
    cluster_id, name = ids.parse(pool_id).parent, ids.parse(pool_id).name
    cluster = world.get(cluster_id) or {}
    check_idle(cluster)
    existing = profiles_of(cluster, world)
    flat = {**properties(new), "name": name}
    rest = [one for one in existing if not same(text(one, "name"), name)]
    check_profiles(cluster, existing, [*rest, flat], world)


def check_delete(pool_id: str, old: Body, world: World) -> None:
    cluster = world.get(ids.parse(pool_id).parent) or {}
    check_idle(cluster)
    rest = [
        one
        for one in profiles_of(cluster, world)
        if not same(text(one, "name"), ids.parse(pool_id).name)
    ]
    if not rest:
        raise _not_allowed("There has to be at least one agent pool.")
    if not any(_system(one) for one in rest):
        raise _not_allowed("There has to be at least one system agent pool.")


def check_idle(cluster: Body) -> None:
    """Nothing else is being done to it, and it runs."""
    state = text(cluster, "properties.provisioningState")
    if state not in _SETTLED:
        raise operation_not_allowed(text(cluster, "name"), state)
    for pool in objects(cluster, "properties.agentPoolProfiles"):
        state = text(pool, "provisioningState")
        if state not in _SETTLED:
            raise operation_not_allowed(text(cluster, "name"), f"{text(pool, 'name')} - {state}")
    if text(cluster, "properties.powerState.code") == "Stopped":
        raise ArmError(
            400,
            "OperationNotAllowed",
            f"Operation is not allowed: cluster {text(cluster, 'name')} is stopped. Please start "
            "it before this operation: az aks start.",
        )


def profiles_of(cluster: Body, world: World) -> list[Body]:
    """Flat, of the cluster's own list, else of its agent pools."""
    listed = objects(cluster, "properties.agentPoolProfiles")
    if listed:
        return listed
    below = world.children(text(cluster, "id"), POOLS)
    return [{**properties(one), "name": text(one, "name")} for one in below]


def check_profiles(
    cluster: Body,
    old: Sequence[Body],
    new: Sequence[Body],
    world: World,
    network: Network | None = None,
) -> None:
    """Each pool by itself and with what it was, then all of them in their subnets.

    cluster: what it is to be, of which id, name, location, versions are read.
    """
    before = {text(one, "name"): one for one in old}
    merged = _placed([_merged(before.get(text(one, "name")), one) for one in new])
    network = network or network_of(None, cluster)
    for profile in merged:
        _check_profile(cluster, before.get(text(profile, "name")), profile, world)
    _check_list(merged)
    pools = [pool_of(one, network) for one in merged]
    for pool in pools:
        check_pool(pool)
    vnet = vnet_of([text(one, "vnetSubnetID") for one in merged], world)
    upgrading = _upgrading(old, merged)
    check_room(cluster, list(zip(merged, pools, strict=True)), network, vnet, world, upgrading)


def pool_of(profile: Body, network: Network) -> Pool:
    """The model's pool; count, bounds and surge as sent, max-pods the plugin's default."""
    scaling = bool(at(profile, "enableAutoScaling"))
    return Pool(
        text(profile, "name"),
        number(profile, "count") or 0,
        number(profile, "maxPods") or network.mode.default_max_pods,
        Surge.parse(text(profile, "upgradeSettings.maxSurge") or "1"),
        number(profile, "minCount") if scaling else None,
        number(profile, "maxCount") if scaling else None,
        mode=SYSTEM if _system(profile) else USER,
    )


def check_room(
    cluster: Body,
    pools: Sequence[tuple[Body, Pool]],
    network: Network,
    vnet: VNet,
    world: World,
    upgrading: bool,
) -> None:
    """Limits of the whole cluster, then each subnet: its own pools, and what others hold there."""
    mode = network.mode
    pods = None if mode is NODE_SUBNET else IPv4Network(network.pod_cidr)
    check_create(mode, [pool for _, pool in pools], Ranges(pod_cidr=pods))
    for subnet_id in dict.fromkeys(text(one, "vnetSubnetID").lower() for one, _ in pools):
        if not subnet_id:
            continue
        here = [pool for one, pool in pools if text(one, "vnetSubnetID").lower() == subnet_id]
        subnet = vnet.subnet(_name_in(vnet, subnet_id))
        check_create(mode, here, Ranges(subnet))
        _check_shared(cluster, subnet, subnet_id, here, network, world, Moment.MAXIMUM)
        if upgrading:
            check_upgrade(mode, here, Ranges(subnet))
            _check_shared(cluster, subnet, subnet_id, here, network, world, Moment.UPGRADE)


def _check_shared(
    cluster: Body,
    subnet: Subnet,
    subnet_id: str,
    pools: Sequence[Pool],
    network: Network,
    world: World,
    moment: Moment,
) -> None:
    """What others hold in the subnet is gone; AKS itself does not count it, the network does."""
    others = sum(n for holder, n in world.used(subnet_id) if not _own(cluster, holder))
    if subnet_need(network.mode, pools, moment) + others > subnet.usable:
        raise subnet_is_full(subnet, max(network.mode.node_cost(one) for one in pools))


def _own(cluster: Body, holder: str) -> bool:
    return same(ids.parse(holder).group, text(cluster, "properties.nodeResourceGroup"))


def _name_in(vnet: VNet, subnet_id: str) -> str:
    """The subnet's name as the VNet writes it."""
    wanted = ids.parse(subnet_id).name
    return next((one.name for one in vnet.subnets if same(one.name, wanted)), wanted)


def _merged(old: Body | None, new: Body) -> dict[str, Any]:
    return {**(old or {}), **{key: value for key, value in new.items() if value is not None}}


def _placed(profiles: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A pool that names no subnet is in that of the first which does: it takes from that one."""
    first = next((one["vnetSubnetID"] for one in profiles if text(one, "vnetSubnetID")), None)
    return [
        one if text(one, "vnetSubnetID") else {**one, "vnetSubnetID": first} for one in profiles
    ]


def _check_profile(cluster: Body, old: Body | None, new: Body, world: World) -> None:
    if old is not None:
        unchanged.check(unchanged.OF_POOLS, old, new)
    choice(new, "mode", ("System", "User"), "AgentPoolMode")
    if text(new, "osType").lower() not in ("", "linux"):
        what = f"node pools of {text(new, 'osType')}; take Linux"
        raise not_offered(what, "agentPoolProfile.osType")
    size = text(new, "vmSize")
    if size and not _VM_SIZE.fullmatch(size):
        raise ArmError(
            400,
            "BadRequest",
            f"The VM size of {size} is not allowed in your subscription in location "
            f"'{text(cluster, 'location')}'. For more details, please visit "
            "https://aka.ms/aks/quotas-skus-regions",
        )
    control = text(cluster, "properties.currentKubernetesVersion") or text(
        cluster, "properties.kubernetesVersion"
    )
    versions.check_pool(text(new, "orchestratorVersion"), control, world.versions())
    if old is not None:
        before = text(old, "currentOrchestratorVersion") or text(old, "orchestratorVersion")
        versions.check_upgrade(before, text(new, "orchestratorVersion"), world.versions())


def _check_list(profiles: Sequence[Body]) -> None:
    names = [text(one, "name") for one in profiles]
    for name in names:
        if names.count(name) > 1:
            details = f"two node pools have the name '{name}'"
            raise invalid_parameter("agentPoolProfile.name", details)
    if not any(_system(one) for one in profiles):
        raise ArmError(400, "BadRequest", "Must define at least one system pool.")
    if len(profiles) > MOST_POOLS:
        details = f"a cluster has at most {MOST_POOLS} node pools, not {len(profiles)}"
        raise invalid_parameter("agentPoolProfiles", details)


def _upgrading(old: Sequence[Body], new: Sequence[Body]) -> bool:
    before = {text(one, "name"): text(one, "orchestratorVersion") for one in old}
    return any(
        text(one, "name") in before
        and text(one, "orchestratorVersion")
        and versions.plain(text(one, "orchestratorVersion"))
        != versions.plain(before[text(one, "name")])
        for one in new
    )


def _system(profile: Body) -> bool:
    return text(profile, "mode").lower() == "system"


def _not_allowed(message: str) -> ArmError:
    return ArmError(400, "OperationNotAllowed", message)
