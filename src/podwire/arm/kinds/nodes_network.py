"""NICs, with what the fabric makes of route tables and security groups on those of nodes; and what
nobody can PUT in the lab."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from podwire.arm.desk import Answer, Ask, Desk
from podwire.arm.errors import ArmError, not_offered, resource_not_found
from podwire.arm.kinds.addresses import OwnInterfaces
from podwire.arm.kinds.base import Kind
from podwire.arm.kinds.network import SecurityGroups
from podwire.arm.operations import Deed
from podwire.arm.render import NodeGroups
from podwire.arm.shapes import Shape
from podwire.arm.store import Body, OperationRow
from podwire.arm.translate.machines import NICS
from podwire.arm.translate.security import effective_groups_body, effective_routes_body
from podwire.model.effective_routes import effective_routes
from podwire.model.effective_security import effective_rules
from podwire.model.vnet import Nic, VNet


class NetworkInterfaces(OwnInterfaces):
    actions: ClassVar[Mapping[str, Shape]] = {
        "effectiveroutetable": {},
        "effectivenetworksecuritygroups": {},
    }

    def __init__(self, desk: Desk, nodes: NodeGroups) -> None:
        super().__init__(desk)
        self.nodes = nodes

    @property
    def deeds(self) -> Mapping[str, Deed]:
        return {
            **super().deeds,
            f"{self.name}/effectiveroutetable": Deed(self._routes, _settled),
            f"{self.name}/effectivenetworksecuritygroups": Deed(self._groups, _settled),
        }

    def act(self, ask: Ask) -> Answer:
        row = self.desk.found(ask.target)
        if "virtualMachine" not in row.body["properties"]:
            raise ArmError(
                400,
                "NetworkInterfaceNotAttached",
                f"Network interface {row.body['id']} is not attached to a running virtual machine, "
                "so nothing is in effect there; the nodes' own are: az network nic list.",
            )
        name = f"{self.name}/{ask.action}"
        begun = self.desk.operations.begin(row.key, name)
        return Answer(202, None, self.desk.located(ask, begun))

    async def _routes(self, operation: OperationRow) -> Body | None:
        nic, vnet = self._placed(operation.resource)
        return effective_routes_body(effective_routes(nic, vnet))

    async def _groups(self, operation: OperationRow) -> Body | None:
        nic, vnet = self._placed(operation.resource)
        row = self.desk.find(operation.resource)
        part = row.body["properties"]["ipConfigurations"][0] if row else {"properties": {}}
        subnet = part["properties"].get("subnet", {}).get("id", "")
        groups = {one.body["name"]: one.body["id"] for one in self.desk.listed(SecurityGroups.name)}
        return effective_groups_body(effective_rules(nic, vnet), groups, operation.resource, subnet)

    def _placed(self, key: str) -> tuple[Nic, VNet]:
        """The NIC with this id, and the VNet that it is on."""
        words = key.split("/")
        facts: Any = self.nodes.cluster_of(words[4])
        for node in facts.nodes if facts else ():
            if node.nic.name.lower() == words[-1]:
                return node.nic, self.desk.lab.effective_vnet(facts.spec.vnet)
        raise resource_not_found(NICS, words[-1], words[4])


class Unmade(Kind):
    """Types that the lab has only as its clusters' own; name: which one."""

    def __init__(self, desk: Desk, name: str, why: str) -> None:
        super().__init__(desk)
        self.name = name  # type: ignore[misc]
        self._why = why

    def put(self, ask: Ask) -> Answer:
        self.desk.check_group(ask.target)
        raise not_offered(self._why)

    def delete(self, ask: Ask) -> Answer:
        if self.desk.find(ask.target.path) is None:
            self.desk.check_group(ask.target)
            return Answer(204)
        raise not_offered(self._why)


def _settled(operation: OperationRow, error: ArmError | None) -> None:
    """Nothing is stored of it."""
