"""The endpoint as an OpenAPI document, made of the kinds and their shapes.

For people who generate clients or requests; the endpoint itself does not read it. Source: OpenAPI
3.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from podwire.arm.ids import GROUPS
from podwire.arm.kinds.base import Kind
from podwire.arm.shapes import schema

_ERROR = {
    "description": "A refusal",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
}
_BODY = {"type": "object"}


def document(kinds: Mapping[str, Kind]) -> dict[str, Any]:
    """kinds: by name in lower case."""
    paths: dict[str, Any] = {}
    for kind in kinds.values():
        path = path_of(kind.name)
        collection, _, _ = path.rpartition("/")
        paths[path] = _item(kind, path)
        paths.setdefault(collection, {})["get"] = _operation(collection, "list", kind.name)
        for word, shape in kind.actions.items():
            there = f"{path}/{word}"
            paths[there] = {"post": _operation(there, word, kind.name, shape)}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Podwire's Azure Resource Manager endpoint", "version": "1"},
        "paths": paths,
        "components": {
            "schemas": {"Error": {"type": "object", "required": ["error"]}},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"bearer": []}],
    }


def path_of(kind: str) -> str:
    """With a parameter for each name: {subscription}, {group}, {name0}, ..."""
    if kind == GROUPS:
        return "/subscriptions/{subscription}/resourceGroups/{group}"
    namespace, *types = kind.split("/")
    group = "" if types[0] == "locations" else "/resourceGroups/{group}"
    pairs = "".join(f"/{one}/{{name{at}}}" for at, one in enumerate(types))
    return f"/subscriptions/{{subscription}}{group}/providers/{namespace}{pairs}"


def _item(kind: Kind, path: str) -> dict[str, Any]:
    return {
        "get": _operation(path, "get", kind.name),
        "put": _operation(path, "put", kind.name, kind.shape),
        "patch": _operation(path, "patch", kind.name, {"tags": dict}),
        "delete": _operation(path, "delete", kind.name),
    }


def _operation(path: str, verb: str, kind: str, shape: Any = None) -> dict[str, Any]:
    names = [word[1:-1] for word in path.split("/") if word.startswith("{")]
    string = {"type": "string", "minLength": 1}
    version = {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$"}
    parameters: list[dict[str, Any]] = [
        {"name": one, "in": "path", "required": True, "schema": string} for one in names
    ]
    parameters += [
        {"name": "api-version", "in": "query", "required": True, "schema": version},
        {"name": "$filter", "in": "query", "schema": {"type": "string"}},
        {"name": "If-Match", "in": "header", "schema": {"type": "string"}},
    ]
    operation: dict[str, Any] = {
        "operationId": f"{verb}-{kind.replace('/', '-')}",
        "tags": [kind.split("/")[0]],
        "parameters": parameters,
        "responses": {
            "200": {
                "description": "As asked",
                "content": {"application/json": {"schema": _BODY}},
            },
            "201": {"description": "Made, or begun to be"},
            "202": {"description": "Begun; follow Azure-AsyncOperation or Location"},
            "204": {"description": "Nothing there"},
            "4XX": _ERROR,
        },
    }
    if shape is not None:
        content = {"application/json": {"schema": schema(shape)}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation
