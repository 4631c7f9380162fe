"""Reading JSON that a client sent, of which nothing is certain. Pure; it knows no resource type.

What is missing is "" or nothing; a value of the wrong type is refused as Azure's parsers do.
A path is as in "properties.addressSpace.addressPrefixes".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from podwire.arm.errors import ArmError
from podwire.arm.rules.world import Body


def at(body: Body, path: str) -> Any:
    """The value there, None when any part of the path is missing."""
    value: Any = body
    for word in path.split("."):
        if value is None:
            return None
        if not isinstance(value, Mapping):
            raise not_parsed(value, "object", path)
        value = value.get(word)
    return value


def text(body: Body, path: str) -> str:
    value = at(body, path)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise not_parsed(value, "string", path)
    return value


def number(body: Body, path: str) -> int | None:
    value = at(body, path)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise not_parsed(value, "integer", path)
    return value


def strings(body: Body, path: str) -> list[str]:
    return _list(body, path, str, "string")


def objects(body: Body, path: str) -> list[Body]:
    return _list(body, path, Mapping, "object")


def properties(body: Body) -> Body:
    value = at(body, "properties")
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise not_parsed(value, "object", "properties")
    return value


def reference(body: Body, path: str) -> str:
    """The id in {"id": ...} there."""
    return text(body, f"{path}.id")


def choice(body: Body, path: str, choices: Iterable[str], kind: str) -> str:
    """One of the values, in any case, as it is written in `choices`; "" when missing.

    kind: what Azure calls the type of the values, for the refusal.
    """
    value = text(body, path)
    for one in choices:
        if value.lower() == one.lower():
            return one
    if value:
        raise not_parsed(value, kind, path)
    return ""


def not_parsed(value: Any, kind: str, path: str) -> ArmError:
    shown = f'"{value}"' if isinstance(value, str) else str(value)
    return _unreadable(f"Error converting value {shown} to type '{kind}'. Path '{path}'.")


def missing(name: str, path: str) -> ArmError:
    """path: of the object that must have it."""
    return _unreadable(f"Required property '{name}' not found in JSON. Path '{path}'.")


def _unreadable(detail: str) -> ArmError:
    details = [("InvalidJson", detail)]
    return ArmError(400, "InvalidRequestFormat", "Cannot parse the request.", details=details)


def same(one: str, other: str) -> bool:
    """Two ids or names that ARM takes for one."""
    return one.rstrip("/").lower() == other.rstrip("/").lower()


def _list(body: Body, path: str, of: type, kind: str) -> list[Any]:
    """of, kind: what each must be, and what Azure calls that."""
    value = at(body, path)
    if value is None:
        return []
    if not isinstance(value, list | tuple):
        raise not_parsed(value, "array", path)
    for one in value:
        if not isinstance(one, of):
            raise not_parsed(one, kind, path)
    return list(value)
