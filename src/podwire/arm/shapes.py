"""What a request's body may look like: as much as the endpoint reads, the rest is kept as it came.

A shape is str, int, bool or dict (any object), a list with the shape of its members, or an object
of shapes by name. After `fitted` the code that reads the body needs no further checks of types.
The endpoint's OpenAPI document is made of the same shapes. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from podwire.arm.errors import ArmError

Shape: TypeAlias = Any
_WORDS = {str: "a string", int: "an integer", bool: "a boolean", dict: "an object"}
_SCHEMAS = {str: "string", int: "integer", bool: "boolean", dict: "object"}

TAGS: Shape = {}
REFERENCE: Shape = {"id": str}


def fitted(value: Any, shape: Shape, path: str = "") -> Any:
    """`value` without its nulls; raises ArmError (InvalidRequestFormat) where it does not fit."""
    if isinstance(shape, list):
        if not isinstance(value, list):
            raise _unfit(path, "an array")
        return [
            fitted(one, shape[0], f"{path}[{at}]")
            for at, one in enumerate(value)
            if one is not None
        ]
    if isinstance(shape, Mapping):
        return _fitted_object(value, shape, path)
    right = isinstance(value, shape) and (shape is bool or not isinstance(value, bool))
    if not right:
        raise _unfit(path, _WORDS[shape])
    return without_nulls(value)


def _fitted_object(value: Any, shape: Mapping[str, Shape], path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _unfit(path, "an object")
    return {
        name: fitted(one, shape[name], f"{path}.{name}" if path else name)
        if name in shape
        else without_nulls(one)
        for name, one in value.items()
        if one is not None
    }


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_nulls(one) for name, one in value.items() if one is not None}
    if isinstance(value, list):
        return [without_nulls(one) for one in value if one is not None]
    return value


def _unfit(path: str, wanted: str) -> ArmError:
    where = f"property '{path}'" if path else "the body"
    return ArmError(
        400, "InvalidRequestFormat", f"Cannot parse the request: {where} must be {wanted}.", path
    )


def schema(shape: Shape) -> dict[str, Any]:
    """The shape as JSON schema."""
    if isinstance(shape, list):
        return {"type": "array", "items": schema(shape[0])}
    if isinstance(shape, Mapping):
        return {"type": "object", "properties": {name: schema(one) for name, one in shape.items()}}
    return {"type": _SCHEMAS[shape]}
