"""What the lab has and nobody has PUT: `podwire up` makes VNets and clusters as well as `az` does.

Looked at before each request; a row is written for whatever has none.
"""

from __future__ import annotations

from podwire.arm.desk import Desk
from podwire.arm.ids import GROUPS, group_id, resource_id
from podwire.arm.store import Body
from podwire.arm.translate.cluster import CLUSTERS, cluster_body
from podwire.arm.translate.vnet import VNETS, vnet_body
from podwire.model.cluster import ClusterSpec
from podwire.model.vnet import VNet

_LOCATION = "eastus"


class Adoption:
    """Remembers what it has seen, so that looking again costs next to nothing."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._seen: set[str] = set()

    def look(self) -> None:
        desk = self._desk
        have = desk.lab.clusters()
        vnets = desk.lab.vnets().items()
        if fresh := {key: vnet for key, vnet in vnets if f"vnet {key}" not in self._seen}:
            own = self._node_groups()
            for key, vnet in fresh.items():
                if vnet.resource_group.lower() not in own:
                    self._vnet(vnet)
                    self._seen.add(f"vnet {key}")
        for key, facts in have.items():
            if key not in self._seen:
                self._cluster(facts.spec)
                self._seen.add(key)

    def _node_groups(self) -> set[str]:
        """Also of clusters that the lab is only about to have: a VNet of their own comes first."""
        stored = self._desk.store.of_kind(CLUSTERS)
        wanted = (row.body["properties"]["nodeResourceGroup"] for row in stored)
        return {one.lower() for one in (*self._desk.renderer.node_groups(), *wanted)}

    def _vnet(self, vnet: VNet) -> None:
        path = self._id(vnet.resource_group, VNETS, vnet.name)
        if self._desk.store.get(path) is None:
            group = self._group(vnet.resource_group)
            body = vnet_body(vnet, self._desk.subscription, group["location"])
            self._desk.store.put(VNETS, body)

    def _cluster(self, spec: ClusterSpec) -> None:
        if self._desk.store.get(self._id(spec.resource_group, CLUSTERS, spec.name)) is not None:
            return
        self._group(spec.resource_group)
        vnet = self._desk.lab.vnets()[spec.vnet]
        subnet = self._id(vnet.resource_group, f"{VNETS}/subnets", vnet.name, spec.subnet)
        versions = self._desk.versions()
        body = cluster_body(spec, self._desk.subscription, subnet, versions[-1] if versions else "")
        self._desk.store.put(CLUSTERS, body)

    def _id(self, group: str, kind: str, *names: str) -> str:
        return resource_id(self._desk.subscription, group, kind, *names)

    def _group(self, name: str) -> Body:
        found = self._desk.group(name)
        if found is not None:
            return found
        body: Body = {
            "id": group_id(self._desk.subscription, name),
            "name": name,
            "type": GROUPS,
            "location": _LOCATION,
            "tags": {},
            "properties": {"provisioningState": "Succeeded"},
        }
        self._desk.store.put(GROUPS, body)
        return body
