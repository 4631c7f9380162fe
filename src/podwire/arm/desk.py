"""The things that every kind of resource works with, and what a request and an answer are.

A kind (kinds/) is a class that answers for one type of resource. It finds resources here: those in
the store, and those that are only rendered from what the lab has. Must not know any kind.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from podwire.arm.backend import Backend
from podwire.arm.errors import ArmError, group_not_found, resource_not_found
from podwire.arm.ids import GROUPS, Target, group_id
from podwire.arm.operations import Operations
from podwire.arm.store import ArmStore, Body, OperationRow, Row
from podwire.lab.steps import Emit

RETRY_AFTER = "1"
"""How long a client shall wait before it asks again, in seconds."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A request. base: scheme and host that the client used, for links; query: names in lower
    case; headers: likewise; action: what is POSTed below the target, in lower case, else ""."""

    method: str
    target: Target
    base: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body = field(default_factory=dict)
    action: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """body: None for none at all."""

    status: int
    body: Body | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Rules(Protocol):
    """What is refused before anything is stored. Both raise InvalidInputError or ArmError."""

    def check_put(self, kind: str, resource_id: str, old: Body | None, new: Body) -> None:
        """kind: in any case; old: as stored; new: as sent."""

    def check_delete(self, kind: str, resource_id: str, old: Body) -> None: ...
    def check_upgrade(self, cluster_id: str) -> None: ...


class Renderer(Protocol):
    """Resources that are not stored, made of what the lab has now."""

    def groups(self) -> list[Body]: ...
    def of_group(self, group: str) -> list[tuple[str, Body]]:
        """Of a node resource group: each with its kind; empty for any other group."""
        ...

    def node_groups(self) -> list[str]: ...


@dataclass(slots=True)
class Desk:
    """subscription: the lab's one subscription id."""

    subscription: str
    store: ArmStore
    operations: Operations
    lab: Backend
    renderer: Renderer
    emit: Emit
    rules: Rules = field(init=False)
    """Set once all of the desk is there, for they look at it."""

    def versions(self) -> list[str]:
        """The Kubernetes versions that can be had, 1.20.2; the newest last, none if not known."""
        return [one.removeprefix("v") for one in self.lab.versions()]

    def find(self, path: str) -> Row | None:
        """The resource with this id, stored or rendered."""
        return self.store.get(path) or self._rendered(path)

    def _rendered(self, path: str) -> Row | None:
        key = path.lower()
        words = key.split("/")
        if len(words) < 6:
            return None
        found = (row for row in self.rendered(words[4]) if row.key == key)
        return next(found, None)

    def rendered(self, group: str) -> list[Row]:
        return [_row(kind, body) for kind, body in self.renderer.of_group(group)]

    def found(self, target: Target) -> Row:
        """The resource that a request names. Raises ArmError (404) as Azure does."""
        row = self.find(target.path)
        if row is None:
            self.check_group(target)
            raise resource_not_found(target.kind, "/".join(target.names), target.group)
        return row

    def check_group(self, target: Target) -> Body:
        """The target's resource group. Raises ArmError (ResourceGroupNotFound)."""
        group = self.group(target.group)
        if group is None:
            raise group_not_found(target.group)
        return group

    def group(self, name: str) -> Body | None:
        row = self.store.get(group_id(self.subscription, name))
        if row is not None:
            return row.body
        rendered = (one for one in self.renderer.groups() if one["name"].lower() == name.lower())
        return next(rendered, None)

    def groups(self) -> list[Body]:
        stored = [row.body for row in self.store.of_kind(GROUPS)]
        have = {one["name"].lower() for one in stored}
        return stored + [one for one in self.renderer.groups() if one["name"].lower() not in have]

    def listed(self, kind: str, group: str = "") -> list[Row]:
        """All resources of a kind, in a resource group or in all of them, by id."""
        wanted = kind.lower()
        rows = self.store.of_kind(kind)
        if group:
            prefix = f"{group_id(self.subscription, group).lower()}/"
            rows = [row for row in rows if row.key.startswith(prefix)]
        groups = [group] if group else self.renderer.node_groups()
        rendered = [row for name in groups for row in self.rendered(name) if row.kind == wanted]
        return sorted([*rows, *rendered], key=lambda row: row.key)

    def begun(self, ask: Ask, row: OperationRow) -> dict[str, str]:
        """The headers that lead a client to an operation that a PUT began."""
        return {
            "Azure-AsyncOperation": f"{self._operation(ask, row, 'operations')}",
            "Retry-After": RETRY_AFTER,
        }

    def located(self, ask: Ask, row: OperationRow) -> dict[str, str]:
        """Likewise, for POST and DELETE: the location answers 202 while it runs, then as asked."""
        return {
            **self.begun(ask, row),
            "Location": f"{self._operation(ask, row, 'operationresults')}",
        }

    def _operation(self, ask: Ask, row: OperationRow, what: str) -> str:
        namespace = ask.target.kind.split("/")[0]
        return (
            f"{ask.base}/subscriptions/{self.subscription}/providers/{namespace}/locations/lab/"
            f"{what}/{row.id}?api-version={ask.query.get('api-version', '2016-03-30')}"
        )

    def check_conditions(self, ask: Ask, row: Row | None) -> None:
        """If-Match and If-None-Match (RFC 9110). Raises ArmError (PreconditionFailed)."""
        wanted, unwanted = ask.headers.get("if-match", ""), ask.headers.get("if-none-match", "")
        etag = row.etag if row else None
        if wanted and (etag is None or (wanted != "*" and not _among(etag, wanted))):
            raise _precondition("If-Match", wanted, etag)
        if unwanted and etag is not None and (unwanted == "*" or _among(etag, unwanted)):
            raise _precondition("If-None-Match", unwanted, etag)


def _among(etag: str, header: str) -> bool:
    return _opaque(etag) in {_opaque(one) for one in header.split(",")}


def _opaque(etag: str) -> str:
    """Without W/ and quotes: Azure's clients send them back with and without."""
    return etag.strip().removeprefix("W/").strip('"').lower()


def _precondition(header: str, given: str, etag: str | None) -> ArmError:
    state = f"its etag is {etag}" if etag else "it does not exist"
    return ArmError(
        412,
        "PreconditionFailed",
        f"Precondition failed: {header} {given} is not fulfilled by the resource; {state}.",
    )


def _row(kind: str, body: Body) -> Row:
    digest = hashlib.sha1(json.dumps(body, sort_keys=True).encode(), usedforsecurity=False)
    return Row(body["id"].lower(), kind.lower(), body, f'W/"{digest.hexdigest()}"')


def page(bodies: Iterable[Body]) -> Answer:
    """A collection. The lab's are small enough for one page."""
    return Answer(200, {"value": list(bodies)})
