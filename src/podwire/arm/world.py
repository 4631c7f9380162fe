"""What there is, as the rules ask: everything stored and rendered, parts as resources.

A reading only. Kinds are compared in lower case.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from podwire.arm import rules
from podwire.arm.desk import Desk
from podwire.arm.ids import parse
from podwire.arm.store import Body, Row
from podwire.arm.translate.cluster import CLUSTERS, spec_of
from podwire.arm.translate.pools import pool_body, stays
from podwire.model.cluster import AZURE

POOLS = f"{CLUSTERS}/agentPools".lower()
_NIC_PARTS = {
    "microsoft.network/networkinterfaces": "ipConfigurations",
    "microsoft.network/loadbalancers": "frontendIPConfigurations",
}


class DeskWorld:
    """parts: by the part's kind in lower case, the property of its parent that lists it."""

    def __init__(self, desk: Desk, parts: dict[str, str]) -> None:
        self._desk = desk
        self._parts = parts

    def get(self, resource_id: str) -> Body | None:
        target = parse(resource_id)
        if not target.kind:
            return None
        if target.group and target.path.count("/") == 4:
            return self._desk.group(target.group)
        kind = target.kind.lower()
        if kind in self._parts or kind == POOLS:
            parts = self.children(target.parent, kind)
            return next((one for one in parts if one["id"].lower() == target.key), None)
        row = self._desk.find(target.path)
        return row.body if row else None

    def children(self, parent_id: str, kind: str) -> Sequence[Body]:
        row = self._desk.find(parent_id)
        return self._children(row, kind.lower()) if row else []

    def _children(self, row: Row, kind: str) -> list[Body]:
        if kind == POOLS:
            profiles = row.body["properties"]["agentPoolProfiles"]
            return [pool_body(one, row.body["id"]) for one in profiles]
        if kind in self._parts:
            return list(row.body["properties"].get(self._parts[kind], []))
        return []

    def all(self, kind: str) -> Sequence[Body]:
        wanted = kind.lower()
        if wanted in self._parts or wanted == POOLS:
            parents = self._desk.listed(wanted.rpartition("/")[0])
            return [one for row in parents for one in self._children(row, wanted)]
        return [row.body for row in self._desk.listed(wanted)]

    def used(self, subnet_id: str) -> Sequence[tuple[str, int]]:
        return [*self._by_clusters(subnet_id.lower()), *self._by_parts(subnet_id.lower())]

    def _by_clusters(self, subnet: str) -> Iterable[tuple[str, int]]:
        for row in self._desk.store.of_kind(CLUSTERS):
            profiles = [
                one
                for one in row.body["properties"]["agentPoolProfiles"]
                if one["vnetSubnetID"].lower() == subnet and stays(one)
            ]
            if profiles:
                spec = spec_of(row.body)
                group = f"/subscriptions/{self._desk.subscription}/resourceGroups/"
                base = f"{group}{spec.node_resource_group}/providers/Microsoft.Compute"
                for one in profiles:
                    each = one["maxPods"] + 1 if spec.network_plugin == AZURE else 1
                    name = spec.scale_set(one["name"])
                    yield f"{base}/virtualMachineScaleSets/{name}", one["count"] * each

    def _by_parts(self, subnet: str) -> Iterable[tuple[str, int]]:
        for kind, prop in _NIC_PARTS.items():
            for row in self._desk.store.of_kind(kind):
                for one in row.body["properties"].get(prop, []):
                    if (one["properties"].get("subnet") or {}).get("id", "").lower() == subnet:
                        yield one["id"], 1

    def versions(self) -> Sequence[str]:
        return self._desk.versions()


class RuleBook:
    """arm.rules, asked about a desk's world."""

    def __init__(self, world: DeskWorld) -> None:
        self._world = world

    def check_put(self, kind: str, resource_id: str, old: Body | None, new: Body) -> None:
        rules.check_put(kind.lower(), resource_id, old, new, self._world)

    def check_delete(self, kind: str, resource_id: str, old: Body) -> None:
        rules.check_delete(kind.lower(), resource_id, old, self._world)

    def check_upgrade(self, cluster_id: str) -> None:
        rules.check_upgrade(cluster_id, self._world)
