"""What belongs to no resource: subscriptions, tenants, regions, providers, operations.

Answers None for what it does not know, so that the kinds are asked. Must not know any kind's
meaning; of their names it makes the list of providers.
"""

from __future__ import annotations

from collections.abc import Iterable

from podwire.arm.desk import Answer, Ask, Desk, page
from podwire.arm.errors import ArmError
from podwire.arm.kinds.groups import Groups
from podwire.arm.places import LOCATIONS
from podwire.arm.store import FAILED, RUNNING, Body, OperationRow
from podwire.arm.tokens import TENANT

_PATIENCE = 1.0
"""How long the status of an operation that still runs is held back, in seconds: a client that
asks gets the end at once instead of a poll later."""


_API_VERSION = "2024-07-01"
"""The one that is told to who asks which there are, as `az resource` does; all are taken."""


class Platform:
    """names: the kinds' names, as Azure writes them."""

    def __init__(self, desk: Desk, groups: Groups, names: Iterable[str]) -> None:
        self.desk = desk
        self._groups = groups
        self._names = sorted(names)

    async def answer(self, ask: Ask) -> Answer | None:
        target = ask.target
        kind = target.kind.lower()
        if kind.endswith(("/locations/operations", "/locations/operationresults")):
            return await self._operation(ask)
        if kind == "microsoft.resources/subscriptions":
            return self._subscription(ask)
        if not target.subscription or target.tail == "providers":
            return self._root(ask)
        if "/" not in kind and ask.target.tail.lower() in ("", "register"):
            return self._provider(ask)
        return None

    def _root(self, ask: Ask) -> Answer | None:
        match ask.method, ask.target.path.lower():
            case "GET", "/subscriptions":
                return page([self._subscription_body()])
            case "GET", "/tenants":
                return page([{"id": f"/tenants/{TENANT}", "tenantId": TENANT}])
        if ask.method == "GET" and ask.target.tail == "providers" and not ask.target.group:
            return page(self._provider_body(one) for one in self._namespaces())
        if ask.target.kind:
            return None
        raise ArmError(
            404, "InvalidResourcePath", f"The request URI '{ask.target.path}' names nothing."
        )

    def _subscription(self, ask: Ask) -> Answer:
        if ask.method == "GET":
            match ask.target.tail.lower():
                case "":
                    return Answer(200, self._subscription_body())
                case "locations":
                    return page(self._location(*one) for one in LOCATIONS.items())
                case "resources":
                    return self._groups.resources(ask)
                case "tagnames":
                    return page([])
        raise ArmError(
            404, "InvalidResourcePath", f"The request URI '{ask.target.path}' names nothing."
        )

    def _subscription_body(self) -> Body:
        return {
            "id": f"/subscriptions/{self.desk.subscription}",
            "subscriptionId": self.desk.subscription,
            "tenantId": TENANT,
            "displayName": "Podwire",
            "state": "Enabled",
            "authorizationSource": "RoleBased",
            "subscriptionPolicies": {"spendingLimit": "Off"},
        }

    def _location(self, name: str, title: str) -> Body:
        return {
            "id": f"/subscriptions/{self.desk.subscription}/locations/{name}",
            "name": name,
            "type": "Region",
            "displayName": title,
            "regionalDisplayName": title,
            "metadata": {"regionType": "Physical", "regionCategory": "Recommended"},
        }

    def _namespaces(self) -> list[str]:
        return sorted({name.split("/")[0] for name in self._names})

    def _provider(self, ask: Ask) -> Answer | None:
        found = (one for one in self._namespaces() if one.lower() == ask.target.kind.lower())
        name = next(found, None)
        if name is None or ask.method not in ("GET", "POST"):
            return None
        return Answer(200, self._provider_body(name))

    def _provider_body(self, namespace: str) -> Body:
        kinds = [name.partition("/")[2] for name in self._names if name.startswith(f"{namespace}/")]
        return {
            "id": f"/subscriptions/{self.desk.subscription}/providers/{namespace}",
            "namespace": namespace,
            "registrationState": "Registered",
            "registrationPolicy": "RegistrationRequired",
            "resourceTypes": [
                {
                    "resourceType": one,
                    "locations": list(LOCATIONS.values()),
                    "apiVersions": [_API_VERSION],
                }
                for one in kinds
            ],
        }

    async def _operation(self, ask: Ask) -> Answer:
        row = self._found(ask)
        if row.status == RUNNING:
            await self.desk.operations.wait(row, _PATIENCE)
            row = self._found(ask)
        if ask.target.kind.lower().endswith("results"):
            return _result(ask, row)
        return Answer(200, _status(row), {"Retry-After": "1"} if row.status == RUNNING else {})

    def _found(self, ask: Ask) -> OperationRow:
        row = self.desk.store.operation(ask.target.name)
        if row is None or ask.method != "GET":
            raise ArmError(
                404, "OperationNotFound", f"Operation '{ask.target.name}' could not be found."
            )
        return row


def _status(row: OperationRow) -> Body:
    body: Body = {"id": row.id, "name": row.id, "status": row.status, "startTime": row.started}
    if row.ended:
        body["endTime"] = row.ended
    return {**body, **(row.outcome or {})}


def _result(ask: Ask, row: OperationRow) -> Answer:
    """What a Location answers: 202 while it runs, then what the action itself would have."""
    outcome = row.outcome or {}
    if row.status == RUNNING:
        where = f"{ask.base}{ask.target.path}?api-version={ask.query['api-version']}"
        return Answer(202, None, {"Location": where, "Retry-After": "1"})
    if row.status == FAILED:
        return Answer(409, outcome)
    return Answer(200, outcome["properties"]) if "properties" in outcome else Answer(204)
