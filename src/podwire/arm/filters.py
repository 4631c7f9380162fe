"""`$filter`, as far as `az` and the SDKs use it: comparisons and functions joined by `and`.

Pure. Source: OData 4, as Azure Resource Manager and Microsoft.Authorization take it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from podwire.arm.errors import ArmError

_TERM = re.compile(
    r"\s*(?:(?P<name>[A-Za-z/]+)\s+eq\s+'(?P<value>(?:[^']|'')*)'"
    r"|(?P<function>[A-Za-z]+)\((?:'(?P<argument>[^']*)')?\))\s*"
)


@dataclass(frozen=True, slots=True)
class Filter:
    """equal: what each name must be, names in lower case; functions: name and argument, as in
    ("atscope", "")."""

    equal: tuple[tuple[str, str], ...] = ()
    functions: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Filter:
        """Raises ArmError (InvalidFilterInQueryString) for what is not understood."""
        equal, functions, at = [], [], 0
        while at < len(text):
            term = _TERM.match(text, at)
            if term is None:
                raise _invalid(text)
            if term["name"]:
                equal.append((term["name"].lower(), term["value"].replace("''", "'")))
            else:
                functions.append((term["function"].lower(), term["argument"] or ""))
            at = term.end()
            if at < len(text):
                if text[at : at + 4].lower() != "and ":
                    raise _invalid(text)
                at += 4
        return cls(tuple(equal), tuple(functions))

    def get(self, name: str) -> str | None:
        return next((value for one, value in self.equal if one == name.lower()), None)

    def resources(self, bodies: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """Those that fit, by resourceType, resourceGroup, name, location, tagName and tagValue."""
        return [body for body in bodies if all(_fits(body, *one) for one in self.equal)]


def _fits(body: dict[str, Any], name: str, value: str) -> bool:
    tags = body.get("tags") or {}
    match name:
        case "resourcetype":
            return str(body.get("type", "")).lower() == value.lower()
        case "resourcegroup":
            return f"/resourcegroups/{value.lower()}/" in f"{body['id'].lower()}/"
        case "name" | "location":
            return str(body.get(name, "")).lower() == value.lower()
        case "tagname":
            return value in tags
        case "tagvalue":
            return value in tags.values()
        case _:
            raise _invalid(f"{name} eq '{value}'")


def _invalid(text: str) -> ArmError:
    return ArmError(
        400,
        "InvalidFilterInQueryString",
        f"Invalid $filter '{text}' specified in the query string.",
    )
