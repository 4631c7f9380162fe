"""A type of resource: what it answers to each method, unless it says otherwise, is that it cannot.

Must not know any particular type. A kind's checks and writes are not interrupted by other
requests: nothing in them waits, what takes time is an operation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from podwire.arm.desk import Answer, Ask, Desk, page
from podwire.arm.errors import ArmError
from podwire.arm.filters import Filter
from podwire.arm.operations import Deed
from podwire.arm.shapes import TAGS, Shape, fitted
from podwire.arm.store import Body, Row


class Kind:
    """name: Namespace/type[/type...] as Azure writes it; shape: of a PUT's body; actions: what
    can be POSTed below one of it, in lower case."""

    name: ClassVar[str]
    shape: ClassVar[Shape] = {}
    actions: ClassVar[Mapping[str, Shape]] = {}

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    @property
    def deeds(self) -> Mapping[str, Deed]:
        """The operations that it brings about, by name."""
        return {}

    def shown(self, row: Row) -> Body:
        """A resource as a client sees it."""
        return {**row.body, "etag": row.etag}

    def get(self, ask: Ask) -> Answer:
        row = self.desk.found(ask.target)
        return Answer(200, self.shown(row), {"ETag": row.etag})

    def listing(self, ask: Ask) -> Answer:
        if ask.target.group:
            self.desk.check_group(ask.target)
        rows = self.desk.listed(self.name, ask.target.group)
        chosen = Filter.parse(ask.query.get("$filter", ""))
        return page(chosen.resources(self.shown(row) for row in rows))

    def put(self, ask: Ask) -> Answer:
        raise not_allowed(ask)

    def patch(self, ask: Ask) -> Answer:
        raise not_allowed(ask)

    def delete(self, ask: Ask) -> Answer:
        raise not_allowed(ask)

    def act(self, ask: Ask) -> Answer:
        """POST below the target; ask.action is one of `actions`, and the body fits its shape."""
        raise not_allowed(ask)


def not_allowed(ask: Ask) -> ArmError:
    return ArmError(
        405,
        "MethodNotAllowed",
        f"The requested resource does not support http method '{ask.method}'.",
    )


def tagged(body: Body, given: Body) -> Body:
    """PATCH of a resource's tags, the one thing that Azure lets everyone change that way."""
    other = sorted(given.keys() - {"tags"})
    if other:
        raise ArmError(
            400, "InvalidRequestContent", f"Only tags can be patched, not {', '.join(other)}."
        )
    return {**body, "tags": fitted(given.get("tags", {}), TAGS, "tags")}
