"""Microsoft.Authorization: roles that exist, and assignments, which are kept and grant nothing.

The lab has one client that may do everything; but `az aks create` makes its identity a Network
Contributor of the subnet, and wants to see that it has become one. Source: Azure built-in roles.
"""

from __future__ import annotations

import uuid
from typing import ClassVar

from podwire.arm.desk import Answer, Ask, page
from podwire.arm.errors import ArmError
from podwire.arm.filters import Filter
from podwire.arm.kinds.base import Kind
from podwire.arm.operations import rfc3339
from podwire.arm.shapes import Shape
from podwire.arm.store import Body, Row

NAMESPACE = "Microsoft.Authorization"
ROLES = {
    "Owner": "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
    "Contributor": "b24988ac-6180-42a0-ab88-20f7382dd24c",
    "Reader": "acdd72a7-3385-48ef-bd42-f606fba81ae7",
    "Network Contributor": "4d97b98b-1d4f-4787-a291-c67834d212e7",
    "Managed Identity Operator": "f1a07417-d97a-45cb-824c-7a7467783830",
    "Azure Kubernetes Service Cluster Admin Role": "0ab0b1a8-8aac-4efd-b8c2-3ee1fb270be8",
    "Azure Kubernetes Service Cluster User Role": "4abbcc35-e782-43d8-92c5-2d3f1bd2253f",
    "Azure Kubernetes Service Contributor Role": "ed7f3fbd-7b88-4dd4-9017-9adb7ce333f8",
}


class RoleDefinitions(Kind):
    name = f"{NAMESPACE}/roleDefinitions"

    def get(self, ask: Ask) -> Answer:
        for role, guid in ROLES.items():
            if guid == ask.target.name.lower():
                return Answer(200, self._body(role, guid))
        raise ArmError(
            404,
            "RoleDefinitionDoesNotExist",
            f"The specified role definition with ID '{ask.target.name}' does not exist.",
        )

    def listing(self, ask: Ask) -> Answer:
        wanted = Filter.parse(ask.query.get("$filter", "")).get("roleName")
        return page(
            self._body(role, guid)
            for role, guid in ROLES.items()
            if wanted is None or role.lower() == wanted.lower()
        )

    def _body(self, role: str, guid: str) -> Body:
        base = f"/subscriptions/{self.desk.subscription}"
        return {
            "id": f"{base}/providers/{self.name}/{guid}",
            "name": guid,
            "type": self.name,
            "properties": {
                "roleName": role,
                "type": "BuiltInRole",
                "description": "",
                "assignableScopes": ["/"],
                "permissions": [{"actions": ["*"], "notActions": []}],
            },
        }


class RoleAssignments(Kind):
    """At any scope: the path before /providers/Microsoft.Authorization."""

    name = f"{NAMESPACE}/roleAssignments"
    shape: ClassVar[Shape] = {
        "properties": {
            "roleDefinitionId": str,
            "principalId": str,
            "principalType": str,
            "scope": str,
        }
    }

    def shown(self, row: Row) -> Body:
        return row.body

    def get(self, ask: Ask) -> Answer:
        row = self.desk.store.get(ask.target.path)
        if row is None:
            raise ArmError(
                404,
                "RoleAssignmentNotFound",
                f"The role assignment '{ask.target.name}' is not found.",
            )
        return Answer(200, row.body)

    def listing(self, ask: Ask) -> Answer:
        """At the scope and above it, with atScope(); else also below it."""
        chosen = Filter.parse(ask.query.get("$filter", ""))
        scope = _scope(ask.target.path).lower()
        here = any(name == "atscope" for name, _ in chosen.functions)
        person = chosen.get("principalId") or dict(chosen.functions).get("assignedto")
        found = []
        for row in self.desk.store.of_kind(self.name):
            other = row.body["properties"]["scope"].lower()
            near = _within(scope, other) or (not here and _within(other, scope))
            if near and person in (None, row.body["properties"]["principalId"]):
                found.append(row.body)
        return page(found)

    def put(self, ask: Ask) -> Answer:
        try:
            uuid.UUID(ask.target.name)
        except ValueError as error:
            raise ArmError(
                400,
                "InvalidRoleAssignmentId",
                f"The role assignment ID '{ask.target.name}' is not valid. The role assignment ID "
                "must be a GUID.",
            ) from error
        given = ask.body.get("properties", {})
        for name in ("roleDefinitionId", "principalId"):
            if not given.get(name):
                raise ArmError(
                    400, "InvalidRequestContent", f"Required property '{name}' is missing."
                )
        self._check_new(ask, given)
        now = rfc3339()
        body = {
            "id": ask.target.path,
            "name": ask.target.name,
            "type": self.name,
            "properties": {
                "principalType": "ServicePrincipal",
                **given,
                "scope": _scope(ask.target.path),
                "createdOn": now,
                "updatedOn": now,
            },
        }
        self.desk.store.put(self.name, body)
        return Answer(201, body)

    def _check_new(self, ask: Ask, given: Body) -> None:
        if given["roleDefinitionId"].rpartition("/")[2].lower() not in ROLES.values():
            raise ArmError(
                400,
                "RoleDefinitionDoesNotExist",
                f"The specified role definition with ID '{given['roleDefinitionId']}' does not "
                "exist.",
            )
        for row in self.desk.store.collection(ask.target.path.rpartition("/")[0]):
            had = row.body["properties"]
            same = all(had[name] == given[name] for name in ("roleDefinitionId", "principalId"))
            if same and row.key != ask.target.key:
                raise ArmError(
                    409,
                    "RoleAssignmentExists",
                    f"The role assignment already exists. The ID of the existing role assignment "
                    f"is {row.body['name'].replace('-', '')}.",
                )

    def delete(self, ask: Ask) -> Answer:
        row = self.desk.store.get(ask.target.path)
        if row is None:
            return Answer(204)
        self.desk.store.delete(row.key)
        return Answer(200, row.body)


def _scope(path: str) -> str:
    """What the last /providers/ extends."""
    at = path.lower().rfind("/providers/")
    return path[:at] or "/"


def _within(inner: str, outer: str) -> bool:
    return f"{inner}/".startswith(outer.rstrip("/") + "/")
