"""Resource groups, and the lists of everything in one or in the subscription.

Deleting a group deletes what is in it: clusters first, then what they stood on. Source: ARM,
"Resource group and resource deletion"; crossplane-contrib/provider-azure#141 (a second DELETE is
taken), Azure/azure-sdk-tools#611 (a DELETE while a deployment goes on is taken).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from podwire.arm.desk import Answer, Ask, Desk, page
from podwire.arm.errors import ArmError, group_not_found
from podwire.arm.filters import Filter
from podwire.arm.ids import GROUPS, group_id
from podwire.arm.kinds.base import Kind, tagged
from podwire.arm.kinds.stored import Stored, with_state
from podwire.arm.operations import Deed
from podwire.arm.places import region
from podwire.arm.rules.common import being_deleted
from podwire.arm.shapes import TAGS, Shape
from podwire.arm.store import Body, OperationRow, Row

ROLE_ASSIGNMENTS = "microsoft.authorization/roleassignments"
_ORDER = (
    "microsoft.containerservice/managedclusters",
    "microsoft.network/loadbalancers",
    "microsoft.network/publicipaddresses",
    "microsoft.network/networkinterfaces",
    "microsoft.network/virtualnetworks",
)
"""What must be gone before what stands after it; what is not named here goes last."""


class Groups(Kind):
    name = GROUPS
    shape: ClassVar[Shape] = {"location": str, "tags": TAGS, "managedBy": str}

    def __init__(self, desk: Desk, kinds: Mapping[str, Kind]) -> None:
        super().__init__(desk)
        self._kinds = kinds

    @property
    def deeds(self) -> Mapping[str, Deed]:
        return {f"{self.name}/delete": Deed(self._remove, self._settle)}

    def shown(self, row: Row) -> Body:
        return row.body

    def get(self, ask: Ask) -> Answer:
        body = self.desk.group(ask.target.group)
        if body is None:
            raise group_not_found(ask.target.group)
        return Answer(200, body)

    def listing(self, ask: Ask) -> Answer:
        chosen = Filter.parse(ask.query.get("$filter", ""))
        return page(chosen.resources(self.desk.groups()))

    def resources(self, ask: Ask) -> Answer:
        """Everything in the group, or in the subscription, without its properties."""
        chosen = Filter.parse(ask.query.get("$filter", ""))
        if ask.target.group:
            self.desk.check_group(ask.target)
            wanted = [ask.target.group]
        else:
            wanted = [one["name"] for one in self.desk.groups()]
        rows = [row for name in wanted for row in self._inside(name)]
        return page(chosen.resources(_outline(row.body) for row in rows))

    def _inside(self, group: str) -> list[Row]:
        """Its resources: not their parts, nor what extends them."""
        stored = self.desk.store.below(group_id(self.desk.subscription, group))
        rows = [*stored, *self.desk.rendered(group)]
        return [row for row in rows if row.kind.count("/") == 1 and row.kind != ROLE_ASSIGNMENTS]

    def put(self, ask: Ask) -> Answer:
        name, old = ask.target.group, self.desk.group(ask.target.group)
        path = group_id(self.desk.subscription, name)
        self.desk.rules.check_put(GROUPS, path, old, ask.body)
        self._check_stays(ask)
        body = {
            "id": old["id"] if old else path,
            "name": old["name"] if old else name,
            "type": GROUPS,
            "location": region(ask.body.get("location") or (old or {}).get("location", "")),
            "tags": ask.body.get("tags", {}),
            "properties": {"provisioningState": "Succeeded"},
        }
        self.desk.store.put(GROUPS, body)
        return Answer(200 if old else 201, body)

    def patch(self, ask: Ask) -> Answer:
        body = tagged(self.get(ask).body or {}, ask.body)
        self._check_stays(ask)
        self.desk.store.put(GROUPS, body)
        return Answer(200, body)

    def delete(self, ask: Ask) -> Answer:
        """Taken whatever is being done inside, and again while it is being done, as ARM does."""
        body = self.desk.group(ask.target.group)
        if body is None:
            raise group_not_found(ask.target.group)
        if (begun := self._deletion(ask)) is not None:
            return Answer(202, None, self.desk.located(ask, begun))
        self.desk.rules.check_delete(GROUPS, body["id"], body)
        self.desk.store.put(GROUPS, with_state(body, "Deleting"))
        begun = self.desk.operations.begin(body["id"], f"{GROUPS}/delete")
        return Answer(202, None, self.desk.located(ask, begun))

    def _check_stays(self, ask: Ask) -> None:
        if self._deletion(ask) is not None:
            raise being_deleted(ask.target.group)

    def _deletion(self, ask: Ask) -> OperationRow | None:
        """The operation that deletes the group, while it is under way."""
        return self.desk.operations.on(group_id(self.desk.subscription, ask.target.group))

    async def _remove(self, operation: OperationRow) -> Body | None:
        """What is being done in the group is done first; nothing new begins in it."""
        await self.desk.operations.wait_below(operation.resource)
        rows = self.desk.store.below(operation.resource)
        for row in sorted(rows, key=lambda row: _rank(row.kind)):
            kind = self._kinds.get(row.kind)
            if isinstance(kind, Stored):
                await kind.remove(row.body)
            self.desk.store.delete(row.key)
        return None

    def _settle(self, operation: OperationRow, error: ArmError | None) -> None:
        row = self.desk.store.get(operation.resource)
        if row is not None and error:
            self.desk.store.put(GROUPS, with_state(row.body, "Succeeded"))
        elif row is not None:
            self.desk.store.delete(operation.resource)


def _rank(kind: str) -> int:
    return _ORDER.index(kind) if kind in _ORDER else len(_ORDER)


def _outline(body: Body) -> Body:
    names = ("id", "name", "type", "location", "tags", "sku", "kind", "identity", "managedBy")
    return {name: body[name] for name in names if name in body}
