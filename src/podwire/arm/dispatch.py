"""From a request to the kind of resource that answers it, with ARM's own refusals on the way.

Must not know of HTTP servers. Source: Azure Resource Manager's REST conventions (api-version,
unknown namespaces and types, methods).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from podwire.arm.adopt import Adoption
from podwire.arm.desk import Answer, Ask, Desk
from podwire.arm.errors import ArmError
from podwire.arm.ids import GROUPS
from podwire.arm.kinds.base import Kind, not_allowed
from podwire.arm.kinds.groups import Groups
from podwire.arm.kinds.platform import Platform
from podwire.arm.shapes import fitted

OLDEST, NEWEST = "2014-04-01", "2027-12-31"
"""The api-versions that are taken: all of them mean the same here."""
_VERSION = re.compile(r"(\d{4}-\d{2}-\d{2})(-[A-Za-z]+(\.\d+)?)?")


class Dispatcher:
    """kinds: by name in lower case."""

    def __init__(
        self, desk: Desk, kinds: Mapping[str, Kind], platform: Platform, adoption: Adoption
    ) -> None:
        self.desk = desk
        self.kinds = kinds
        self.platform = platform
        self._adoption = adoption
        self._namespaces = {name.split("/")[0] for name in kinds} | {"microsoft.resources"}

    async def answer(self, ask: Ask) -> Answer:
        """Raises ArmError for everything that is not in order."""
        check_version(ask.query.get("api-version"))
        target = ask.target
        if target.subscription and target.subscription.lower() != self.desk.subscription:
            raise ArmError(
                404,
                "SubscriptionNotFound",
                f"The subscription '{target.subscription}' could not be found.",
            )
        self._adoption.look()
        if (answer := await self.platform.answer(ask)) is not None:
            return answer
        if target.kind == GROUPS and target.tail:
            return self._of_group(ask)
        return self._of_kind(ask)

    def _of_group(self, ask: Ask) -> Answer:
        groups = self.kinds[GROUPS.lower()]
        assert isinstance(groups, Groups)
        match ask.method, ask.target.tail.lower():
            case "GET", "resourcegroups":
                return groups.listing(ask)
            case "GET", "resources":
                return groups.resources(ask)
            case _:
                raise not_allowed(ask)

    def _of_kind(self, ask: Ask) -> Answer:
        target = ask.target
        if target.tail:
            collection = self.kinds.get(f"{target.kind}/{target.tail}".lower())
            if collection is not None and ask.method == "GET":
                return collection.listing(ask)
        kind = self.kinds.get(target.kind.lower())
        if kind is None or (target.tail and target.tail.lower() not in kind.actions):
            raise self._unknown(ask)
        if target.tail:
            return self._action(kind, ask)
        return _of_one(kind, ask)

    def _action(self, kind: Kind, ask: Ask) -> Answer:
        if ask.method != "POST":
            raise not_allowed(ask)
        word = ask.target.tail.lower()
        target = replace(ask.target, path=ask.target.parent, tail="")
        body = fitted(ask.body, kind.actions[word])
        return kind.act(replace(ask, target=target, action=word, body=body))

    def _unknown(self, ask: Ask) -> ArmError:
        """404, or 405 when it is a collection that cannot do this."""
        target = ask.target
        whole = f"{target.kind}/{target.tail}" if target.tail else target.kind
        if whole.lower() in self.kinds:
            return not_allowed(ask)
        namespace, _, kind = whole.partition("/")
        if namespace.lower() not in self._namespaces:
            return ArmError(
                404,
                "InvalidResourceNamespace",
                f"The resource namespace '{namespace}' is invalid.",
            )
        return ArmError(
            404,
            "InvalidResourceType",
            f"The resource type '{kind}' could not be found in the namespace '{namespace}' for "
            f"api version '{ask.query['api-version']}'. The supported api-versions are "
            f"'{OLDEST}' to '{NEWEST}'.",
        )


def _of_one(kind: Kind, ask: Ask) -> Answer:
    match ask.method:
        case "GET":
            return kind.get(ask)
        case "HEAD":
            return _exists(kind, ask)
        case "PUT":
            return kind.put(replace(ask, body=fitted(ask.body, kind.shape)))
        case "PATCH":
            return kind.patch(replace(ask, body=fitted(ask.body, {})))
        case "DELETE":
            return kind.delete(ask)
        case _:
            raise not_allowed(ask)


def _exists(kind: Kind, ask: Ask) -> Answer:
    try:
        kind.get(ask)
    except ArmError as error:
        return Answer(error.status)
    return Answer(204)


def check_version(text: str | None) -> None:
    """Raises ArmError as Azure does for none, and for one that was never published."""
    if not text:
        raise ArmError(
            400,
            "MissingApiVersionParameter",
            "The api-version query parameter (?api-version=) is required for all requests.",
        )
    found = _VERSION.fullmatch(text)
    if found is None or not OLDEST <= found[1] <= NEWEST:
        raise ArmError(
            400,
            "InvalidApiVersionParameter",
            f"The api-version '{text}' is invalid. The supported versions are "
            f"'{OLDEST}' to '{NEWEST}'.",
        )
