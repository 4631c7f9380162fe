"""Resources that are written by PUT and that the lab follows in an operation, and parts of them.

`Stored` is a resource of its own; `Part` is a member of a list in its parent's body, with an id
below the parent's (a subnet, a route). One row holds a resource with its parts, so that a write
is whole. Must not know any particular type.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from podwire.arm.desk import Answer, Ask, Desk, page
from podwire.arm.errors import ArmError, another_operation, child_not_found, resource_not_found
from podwire.arm.ids import Target
from podwire.arm.kinds.base import Kind, not_allowed, tagged
from podwire.arm.operations import Deed
from podwire.arm.places import region
from podwire.arm.store import Body, OperationRow, Row


class Stored(Kind):
    """A kind says how a body is completed (`completed`) and how the lab follows (`follow`,
    `remove`)."""

    lists: ClassVar[Mapping[str, str]] = {}
    """Properties that hold parts, each with the kind's last word: {"subnets": "subnets"}."""

    @property
    def deeds(self) -> Mapping[str, Deed]:
        return {
            f"{self.name}/write": Deed(self._follow, self.settle_put),
            f"{self.name}/delete": Deed(self._remove, self._settle_delete),
        }

    def completed(self, ask: Ask, body: Body, old: Body | None) -> Body:
        """The body to store, with what Azure fills in. Raises ArmError for what is not offered."""
        return body

    async def follow(self, body: Body) -> None:
        """Make the lab as the store says now; idempotent."""

    async def remove(self, body: Body) -> None:
        """Take it out of the lab; idempotent."""

    def put(self, ask: Ask) -> Answer:
        old = self.desk.store.get(ask.target.path)
        self.desk.check_conditions(ask, old)
        body = self.whole(ask, old)
        self.check_writable(ask.target, old)
        return self.written(ask, body, old)

    def patch(self, ask: Ask) -> Answer:
        row = self.desk.found(ask.target)
        self.check_writable(ask.target, row)
        self.desk.check_conditions(ask, row)
        fresh = self.desk.store.put(self.name, tagged(row.body, ask.body))
        return Answer(200, self.shown(fresh))

    def delete(self, ask: Ask) -> Answer:
        row = self.desk.store.get(ask.target.path)
        if row is None:
            self.check_writable(ask.target, None)
            return Answer(204)
        self.check_writable(ask.target, row)
        self.desk.check_conditions(ask, row)
        self.desk.rules.check_delete(self.name, row.body["id"], row.body)
        with self.desk.store.transaction():
            self.desk.store.put(self.name, with_state(row.body, "Deleting"))
            begun = self.desk.operations.begin(row.key, f"{self.name}/delete")
        return Answer(202, None, self.desk.located(ask, begun))

    def check_writable(self, target: Target, row: Row | None) -> None:
        """Its group is there and nobody is changing it. Raises ArmError."""
        self.desk.check_group(target)
        if row is None and self.desk.find(target.path) is not None:
            raise managed(target)
        if busy := self.desk.operations.busy(target.path):
            raise another_operation(busy.id)

    def written(self, ask: Ask, body: Body, old: Row | None, given: Body | None = None) -> Answer:
        """Store the body and begin to follow it; the answer to the PUT. given: the operation's."""
        state = "Updating" if old else "Creating"
        with self.desk.store.transaction():
            row = self.desk.store.put(self.name, with_state(body, state))
            begun = self.desk.operations.begin(row.key, f"{self.name}/write", given)
        return Answer(201 if old is None else 200, self.shown(row), self.desk.begun(ask, begun))

    def whole(self, ask: Ask, old: Row | None) -> Body:
        """The body, checked, with its id, name and type, and its parts with theirs."""
        target, old_body = ask.target, old.body if old else None
        sent = {**ask.body, "name": target.name}
        self.desk.rules.check_put(self.name, target.path, old_body, sent)
        body = dict(ask.body)
        body["location"] = region(body.get("location") or (old_body or {}).get("location", ""))
        body["id"] = old.body["id"] if old else target.path
        body["name"] = old.body["name"] if old else target.name
        body["type"] = self.name
        properties = dict(body.get("properties", {}))
        for prop, word in self.lists.items():
            if prop in properties:
                before = old.body["properties"].get(prop, []) if old else []
                properties[prop] = self._parts(body["id"], properties[prop], word, before)
            elif old and prop in old.body["properties"]:
                properties[prop] = old.body["properties"][prop]
            else:
                properties[prop] = []
        body["properties"] = properties
        return self.completed(ask, body, old_body)

    def _parts(self, parent: str, given: list[Body], word: str, before: list[Body]) -> list[Body]:
        have = {one["name"].lower(): one for one in before}
        parts = []
        for one in given:
            if not one.get("name"):
                raise ArmError(
                    400, "InvalidRequestFormat", f"Cannot parse the request: a {word} has no name."
                )
            old = have.get(one["name"].lower())
            parts.append(part_body(parent, word, one["name"], one, self.name, old))
        return parts

    async def _follow(self, row: OperationRow) -> Body | None:
        found = self.desk.store.get(row.resource)
        if found is not None:
            await self.follow(found.body)
        return None

    async def _remove(self, row: OperationRow) -> Body | None:
        found = self.desk.store.get(row.resource)
        if found is not None:
            await self.remove(found.body)
        return None

    def settle_put(self, operation: OperationRow, error: ArmError | None) -> None:
        row = self.desk.store.get(operation.resource)
        if row is not None:
            body = with_state(row.body, "Failed" if error else "Succeeded")
            self.desk.store.put(self.name, settled_parts(body, self.lists))

    def _settle_delete(self, operation: OperationRow, error: ArmError | None) -> None:
        row = self.desk.store.get(operation.resource)
        if row is not None and error:
            self.desk.store.put(self.name, with_state(row.body, "Failed"))
        elif row is not None:
            self.desk.store.delete(operation.resource)


class Part(Kind):
    """parent: the kind that holds it; prop: the property of the parent's body that lists it."""

    prop: ClassVar[str]

    def __init__(self, desk: Desk, parent: Stored) -> None:
        super().__init__(desk)
        self.parent = parent

    @property
    def word(self) -> str:
        return self.name.rsplit("/", 1)[1]

    def completed(self, ask: Ask, part: Body, parent: Body) -> Body:
        """The part to store, with what Azure fills in."""
        return part

    def get(self, ask: Ask) -> Answer:
        row = self._row(ask.target)
        part = self.shown_part(self._found(row, ask.target), row)
        return Answer(200, part, {"ETag": row.etag})

    def listing(self, ask: Ask) -> Answer:
        row = self._row(ask.target)
        return page(self.shown_part(one, row) for one in self._list(row.body))

    def shown_part(self, part: Body, row: Row) -> Body:
        """A part as a client sees it; row: its parent's, whose etag it shares."""
        return self.shown(Row(part["id"].lower(), self.name.lower(), part, row.etag))

    def put(self, ask: Ask) -> Answer:
        row = self._row(ask.target)
        old = _named(self._list(row.body), ask.target.name)
        self.desk.check_conditions(ask, row if old else None)
        self.desk.rules.check_put(self.name, ask.target.path, old, ask.body)
        self.parent.check_writable(ask.target, self.desk.store.get(row.key))
        given = part_body(
            row.body["id"], self.word, ask.target.name, ask.body, self.parent.name, old
        )
        part = self.completed(ask, given, row.body)
        members = [one for one in self._list(row.body) if one is not old]
        body = with_list(row.body, self.prop, [*members, part])
        answer = self.parent.written(ask, body, row)
        fresh = self._row(ask.target)
        shown = self.shown_part(self._found(fresh, ask.target), fresh)
        return Answer(200 if old else 201, shown, answer.headers)

    def delete(self, ask: Ask) -> Answer:
        row = self._row(ask.target)
        old = _named(self._list(row.body), ask.target.name)
        if old is None:
            return Answer(204)
        self.parent.check_writable(ask.target, self.desk.store.get(row.key))
        self.desk.check_conditions(ask, row)
        self.desk.rules.check_delete(self.name, old["id"], old)
        members = [one for one in self._list(row.body) if one is not old]
        body = with_list(row.body, self.prop, members)
        self.desk.store.put(self.parent.name, with_state(body, "Updating"))
        begun = self.desk.operations.begin(row.key, f"{self.parent.name}/write")
        return Answer(202, None, self.desk.located(ask, begun))

    def patch(self, ask: Ask) -> Answer:
        raise not_allowed(ask)

    def _row(self, target: Target) -> Row:
        """The parent's row. Raises ArmError (404) that names the parent."""
        row = self.desk.find(target.parent)
        if row is None:
            self.desk.check_group(target)
            names = target.names if target.tail else target.names[:-1]
            raise resource_not_found(self.parent.name, "/".join(names), target.group)
        return row

    def _found(self, row: Row, target: Target) -> Body:
        part = _named(self._list(row.body), target.name)
        if part is None:
            raise child_not_found(target.path)
        return part

    def _list(self, body: Body) -> list[Body]:
        members: list[Body] = body.get("properties", {}).get(self.prop, [])
        return members


def part_body(parent: str, word: str, name: str, given: Body, kind: str, old: Body | None) -> Body:
    """A part with its id, name and type; the spelling of its first PUT stays."""
    name = old["name"] if old else name
    properties = {**given.get("properties", {}), "provisioningState": "Succeeded"}
    return {
        "id": f"{parent}/{word}/{name}",
        "name": name,
        "type": f"{kind}/{word}",
        "properties": properties,
    }


def with_state(body: Body, state: str) -> Body:
    return {**body, "properties": {**body.get("properties", {}), "provisioningState": state}}


def with_list(body: Body, prop: str, members: list[Body]) -> Body:
    return {**body, "properties": {**body["properties"], prop: members}}


def settled_parts(body: Body, lists: Mapping[str, str]) -> Body:
    state: Any = body["properties"]["provisioningState"]
    for prop in lists:
        parts = [with_state(one, state) for one in body["properties"].get(prop, [])]
        body = with_list(body, prop, parts)
    return body


def managed(target: Target) -> ArmError:
    """A node resource group's things are the cluster's own."""
    return ArmError(
        403,
        "DenyAssignmentAuthorizationFailed",
        f"'{target.kind}/{'/'.join(target.names)}' in '{target.group}' is managed by its cluster; "
        "change the cluster instead.",
    )


def _named(parts: list[Body], name: str) -> Body | None:
    return next((one for one in parts if one["name"].lower() == name.lower()), None)
