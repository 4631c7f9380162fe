"""The node resource groups: made of what the lab has whenever somebody asks, never stored.

Of a scale set only its extensions are kept, with the store's secrets, for they are what a user
sets there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from podwire.arm.backend import Backend
from podwire.arm.ids import resource_id
from podwire.arm.store import ArmStore, Body
from podwire.arm.translate.balancers import (
    BALANCERS,
    PUBLIC_ADDRESSES,
    address_bodies,
    balancer_body,
)
from podwire.arm.translate.machines import (
    MACHINE_NICS,
    MACHINES,
    NICS,
    SCALE_SETS,
    Names,
    group_body,
    machine_body,
    nic_body,
    scale_set_body,
)
from podwire.arm.translate.security import route_table_body
from podwire.arm.translate.vnet import VNETS, vnet_body
from podwire.model.cluster import ClusterSpec
from podwire.model.route_table import RouteTable


class NodeGroups:
    """subscription: the lab's."""

    def __init__(self, subscription: str, store: ArmStore, lab: Backend) -> None:
        self.subscription = subscription
        self._store = store
        self._lab = lab

    def groups(self) -> list[Body]:
        return [group_body(self.names(one.spec)) for one in self._lab.clusters().values()]

    def node_groups(self) -> list[str]:
        return [one.spec.node_resource_group for one in self._lab.clusters().values()]

    def of_group(self, group: str) -> list[tuple[str, Body]]:
        """Each resource with its kind; empty for what is no node resource group."""
        facts = self.cluster_of(group)
        return list(self._resources(facts)) if facts else []

    def cluster_of(self, group: str) -> Any | None:
        """The facts of the cluster whose nodes are in the group."""
        wanted = group.lower()
        every = self._lab.clusters().values()
        found = (one for one in every if one.spec.node_resource_group.lower() == wanted)
        return next(found, None)

    def names(self, spec: ClusterSpec) -> Names:
        return Names(spec, self.subscription, self._lab.vnets().get(spec.vnet))

    def extensions(self, scale_set: str) -> list[Body]:
        """Of a scale set, by its id: with their protected settings."""
        text = self._store.secret(_key(scale_set))
        found: list[Body] = json.loads(text)["extensions"] if text else []
        return found

    def is_latest(self, scale_set: str, instance: int) -> bool:
        """Whether the instance has what was last set."""
        applied = self._applied(scale_set)
        return applied is None or instance in applied

    def put_extensions(self, scale_set: str, extensions: list[Body]) -> None:
        """Set them; no instance has them yet."""
        self._put(scale_set, extensions, [])

    def put_applied(self, scale_set: str, instances: Iterable[int] | None) -> None:
        """These have what was last set, too; None: all of them, and those to come."""
        had = self._applied(scale_set)
        both = None if instances is None or had is None else sorted({*had, *instances})
        self._put(scale_set, self.extensions(scale_set), both)

    def _applied(self, scale_set: str) -> list[int] | None:
        text = self._store.secret(_key(scale_set))
        found: list[int] | None = json.loads(text)["applied"] if text else None
        return found

    def _put(self, scale_set: str, extensions: list[Body], applied: list[int] | None) -> None:
        content = {"extensions": extensions, "applied": applied}
        self._store.put_secret(_key(scale_set), json.dumps(content))

    def _resources(self, facts: Any) -> Iterator[tuple[str, Body]]:
        spec: ClusterSpec = facts.spec
        names = self.names(spec)
        for pool in spec.pools:
            scale_set = names.scale_set(pool.name)
            shown = [without_secrets(one) for one in self.extensions(scale_set)]
            yield SCALE_SETS, scale_set_body(names, pool, shown)
        for node in facts.nodes:
            yield from self._machine(names, node)
        yield from self._network(names, facts.pod_routes)
        yield from self._balancers(names)

    def _machine(self, names: Names, node: Any) -> Iterator[tuple[str, Body]]:
        found = (one for one in names.spec.pools if one.name == node.pool)
        if (pool := next(found, None)) is None:
            return
        latest = self.is_latest(names.scale_set(pool.name), node.instance)
        machine = machine_body(names, node, pool, latest=latest)
        yield MACHINES, machine
        own = machine["properties"]["networkProfile"]["networkInterfaces"][0]["id"]
        yield MACHINE_NICS, nic_body(names, node, pool, own, MACHINE_NICS)
        yield NICS, nic_body(names, node, pool, names.of(NICS, node.nic.name), NICS)

    def _network(self, names: Names, table: RouteTable | None) -> Iterator[tuple[str, Body]]:
        """What the cluster itself keeps in the VNet: its own VNet, a kubenet's route table."""
        spec = names.spec
        vnet = self._lab.vnets().get(spec.vnet)
        if vnet is None:
            return
        if vnet.resource_group.lower() == spec.node_resource_group.lower():
            yield VNETS, vnet_body(vnet, self.subscription, spec.location)
        if table is not None:
            kind = "Microsoft.Network/routeTables"
            table_id = resource_id(self.subscription, spec.node_resource_group, kind, table.name)
            yield kind, route_table_body(table, table_id, spec.location)

    def _balancers(self, names: Names) -> Iterator[tuple[str, Body]]:
        if names.vnet is None:
            return
        group = names.spec.node_resource_group.lower()
        reserved = {
            row.body["properties"].get("ipAddress", ""): row.body["id"]
            for row in self._store.of_kind(PUBLIC_ADDRESSES)
        }
        for one in self._lab.load_balancers(names.spec.vnet):
            if one.resource_group.lower() == group:
                yield BALANCERS, balancer_body(names, one, reserved)
                for address in address_bodies(names, one, reserved):
                    yield PUBLIC_ADDRESSES, address


def without_secrets(extension: Body) -> Body:
    """As Azure shows it: protectedSettings go in and never come out."""
    hidden = ("protectedSettings", "protectedSettingsFromKeyVault")
    properties = {
        name: value for name, value in extension.get("properties", {}).items() if name not in hidden
    }
    return {**extension, "properties": properties}


def _key(scale_set: str) -> str:
    return f"{scale_set}/extensions"
