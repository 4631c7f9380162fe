"""What the ARM endpoint refuses before anything is built or stored. Pure: JSON in, or a refusal.

    check_put(kind, resource_id, old, new, world)       create or change
    check_delete(kind, resource_id, old, world)
    check_upgrade(cluster_id, world)                    every node replaced, with no PUT

kind: in any case, as in Microsoft.Network/virtualNetworks/subnets; old: as stored, None when new;
new: as sent, `properties` and all. They raise ArmError, or InvalidInputError, which means 400.
Every refusal is listed in docs/azure-errors.md, made from the table of the tests.
"""

from __future__ import annotations

from collections.abc import Callable

from podwire.arm.rules import (
    clusters,
    common,
    groups,
    interfaces,
    network,
    peering,
    pools,
    routes,
    security,
)
from podwire.arm.rules.clusters import check_upgrade
from podwire.arm.rules.world import Body, World

Put = Callable[[str, Body | None, Body, World], None]
Delete = Callable[[str, Body, World], None]

GROUPS = "microsoft.resources/resourcegroups"
_NETWORK, _AKS = "microsoft.network", "microsoft.containerservice/managedclusters"
_PUTS: dict[str, Put] = {
    f"{_NETWORK}/virtualnetworks": network.check_put,
    f"{_NETWORK}/virtualnetworks/subnets": network.check_subnet_put,
    f"{_NETWORK}/virtualnetworks/virtualnetworkpeerings": peering.check_put,
    f"{_NETWORK}/networksecuritygroups": security.check_put,
    f"{_NETWORK}/networksecuritygroups/securityrules": security.check_rule_put,
    f"{_NETWORK}/routetables": routes.check_put,
    f"{_NETWORK}/routetables/routes": routes.check_route_put,
    f"{_NETWORK}/networkinterfaces": interfaces.check_nic_put,
    f"{_NETWORK}/loadbalancers": interfaces.check_balancer_put,
    _AKS: clusters.check_put,
    f"{_AKS}/agentpools": pools.check_put,
}
_DELETES: dict[str, Delete] = {
    GROUPS: groups.check_delete,
    f"{_NETWORK}/virtualnetworks": network.check_delete,
    f"{_NETWORK}/virtualnetworks/subnets": network.check_subnet_delete,
    f"{_NETWORK}/networksecuritygroups": security.check_delete,
    f"{_NETWORK}/routetables": routes.check_delete,
    f"{_NETWORK}/networkinterfaces": interfaces.check_nic_delete,
    f"{_NETWORK}/publicipaddresses": interfaces.check_public_ip_delete,
    f"{_AKS}/agentpools": pools.check_delete,
}


def check_put(kind: str, resource_id: str, old: Body | None, new: Body, world: World) -> None:
    """Whether this resource may be created, or become this. Types without rules: ARM's alone."""
    kind = kind.lower()
    if kind == GROUPS:
        groups.check_put(resource_id, old, new, world)
        return
    common.check(kind, resource_id, old, new, world)
    rule = _PUTS.get(kind)
    if rule is not None:
        rule(resource_id, old, new, world)


def check_delete(kind: str, resource_id: str, old: Body | None, world: World) -> None:
    """Whether it may go. What is not there may always."""
    rule = _DELETES.get(kind.lower())
    if rule is not None and old is not None:
        rule(resource_id, old, world)


__all__ = ["World", "check_delete", "check_put", "check_upgrade"]
