"""The table of refusals, read; and docs/azure-errors.md, made of it:

python -m tests.unit.arm.rules.refusals > docs/azure-errors.md
"""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from podwire.arm import ids
from podwire.arm.errors import ArmError, as_arm_error, operation_not_allowed
from podwire.arm.places import LOCATIONS
from podwire.arm.rules import check_delete, check_put
from podwire.model import pool_rules
from podwire.model.errors import PodwireError
from tests.unit.arm.rules.small_world import (
    AKS,
    GROUP,
    NET,
    NODES,
    TEMPLATES,
    VMSS,
    VNET,
    SmallWorld,
    route,
)

TABLE = Path(__file__).with_name("refusals.toml")
_ABBREVIATIONS = {
    "$regions": ",".join(LOCATIONS),
    "$autoscaler": pool_rules._AUTOSCALER,
    "$vnet": VNET,
    "$vmss": VMSS,
    "$nodes": NODES,
    "$net": NET,
    "$aks": AKS,
    "$g": GROUP,
}
_HEAD = """# What the Azure endpoint refuses
Every request below is refused before anything is stored or built, with the status, code, text and
target that Azure gives, as far as these are known; a note says where they are not. `az` prints:

    ERROR: (Code) Message
    Code: Code
    Message: Message
    Target: Target

This page is made of the table that the tests run (`tests/unit/arm/rules/refusals.toml`), in which
each request has a nearest neighbour that is accepted. Ids are those of a group `NetworkLab`.
"""


@dataclass(frozen=True, slots=True)
class Case:
    """raw: as in the table, abbreviations written out."""

    section: str
    raw: Mapping[str, Any]

    @property
    def title(self) -> str:
        return str(self.raw["title"])

    @property
    def expected(self) -> tuple[int, str, str, str]:
        raw = self.raw
        return raw.get("status", 400), raw["code"], self.message, raw.get("target", "")

    @property
    def message(self) -> str:
        if self.raw["message"] == "$busy":
            return operation_not_allowed(*self.raw["busy"]).message
        return str(self.raw["message"])

    @property
    def details(self) -> tuple[tuple[str, str], ...]:
        return (tuple(self.raw["details"]),) if "details" in self.raw else ()

    def neighbour(self) -> Mapping[str, Any]:
        return {**self.raw, **self.raw["accepts"]}


def cases() -> list[Case]:
    table = tomllib.loads(TABLE.read_text())
    return [
        Case(section["title"], _written_out(one))
        for section in table["section"]
        for one in section["case"]
    ]


def ask(case: Mapping[str, Any]) -> ArmError | None:
    """Put the request to the rules; what they refuse, as the endpoint answers it."""
    world = SmallWorld()
    for resource_id, change in case.get("given", {}).items():
        _apply(world.rows[resource_id.lower()], change)
    for subnet_id, holders in case.get("used", {}).items():
        world.holders[subnet_id.lower()] = [(one, count) for one, count in holders]
    method, resource_id = case["request"].split(" ", 1)
    kind = ids.parse(resource_id).kind
    old = copy.deepcopy(world.get(resource_id))
    try:
        if method == "DELETE":
            check_delete(kind, resource_id, old, world)
        else:
            check_put(kind, resource_id, old, _body(kind, old, case.get("change", {})), world)
    except PodwireError as error:
        return as_arm_error(error)
    return None


def page() -> str:
    lines, section = [_HEAD], ""
    for case in cases():
        if case.section != section:
            section = case.section
            lines.append(f"## {section}\n")
        lines.append(_entry(case))
    return "\n".join(lines)


def _entry(case: Case) -> str:
    status, code, message, target = case.expected
    where = f", target `{target}`" if target else ""
    more = "".join(f"> ({code}) {_short(text)}\n" for code, text in case.details)
    note = f"\n{case.raw['note']}\n" if "note" in case.raw else ""
    return f"### {case.title}\n{status} `{code}`{where}\n\n> {_short(message)}\n{more}{note}"


def _short(text: str) -> str:
    """Without what only fills a page; < and * as they are in Markdown."""
    first, second, *_ = LOCATIONS
    text = text.replace(",".join(LOCATIONS), f"{first},{second},...")
    text = re.sub(r"a{20,}", "aaa...a", text)
    return re.sub(r"([<*_\\])", r"\\\1", text)


def _body(kind: str, old: Any, change: Mapping[str, Any]) -> Any:
    template = TEMPLATES.get(kind.rpartition("/")[2].lower(), {})
    body = copy.deepcopy(template if old is None else old)
    if old is not None and kind.lower().endswith("/agentpools"):
        body = {"properties": body["properties"]}
    _apply(body, change)
    return body


def _apply(body: Any, change: Mapping[str, Any]) -> None:
    for path, value in change.items():
        *way, last = (int(one) if one.isdigit() else one for one in path.split("."))
        place = body
        for word in way:
            place = place[word]
        if value == "<absent>":
            if isinstance(place, list) or last in place:
                del place[last]
        else:
            place[last] = _made(value)


def _made(value: Any) -> Any:
    if isinstance(value, str) and value.startswith("@tags "):
        return {f"t{at}": "x" for at in range(int(value[6:]))}
    if isinstance(value, str) and value.startswith("@routes "):
        return [route(f"r{at}", f"10.{at // 256}.{at % 256}.0/24") for at in range(int(value[8:]))]
    return copy.deepcopy(value)


def _written_out(value: Any) -> Any:
    if isinstance(value, dict):
        return {_written_out(key): _written_out(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_written_out(one) for one in value]
    if not isinstance(value, str) or value == "$busy":
        return value
    for short, whole in _ABBREVIATIONS.items():
        value = value.replace(short, whole)
    return re.sub(r"\$a(\d+)", lambda found: "a" * int(found[1]), value)


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201
