"""The filters of `docker ps`: pure functions.

Source: Docker Engine API 1.40, ContainerList, `filters`: a JSON object of lists, or, as old
clients send it, of objects whose keys are the values.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping

from podwire.cluster.docker_api.views import Entry
from podwire.model.errors import InvalidInputError


def parse_filters(text: str) -> dict[str, list[str]]:
    """The filters of a query. Raises InvalidInputError for what is no such object."""
    try:
        found = json.loads(text or "{}")
        return {str(name): [str(one) for one in values] for name, values in found.items()}
    except (ValueError, TypeError, AttributeError):
        raise InvalidInputError(f"invalid filter {text!r}: a JSON object of lists") from None


def select(entries: Iterable[Entry], filters: Mapping[str, list[str]]) -> list[Entry]:
    """The entries that pass all filters; of one filter's values any suffices, of labels all.

    Raises InvalidInputError for a filter that is not known.
    """
    for name in filters:
        if name not in _TESTS:
            known = ", ".join(sorted(_TESTS))
            raise InvalidInputError(f"invalid filter '{name}'; this API knows {known}")
    return [
        entry
        for entry in entries
        if all(_passes(entry, name, values) for name, values in filters.items())
    ]


def _passes(entry: Entry, name: str, values: list[str]) -> bool:
    results = [_TESTS[name](entry, value) for value in values]
    return all(results) if name == "label" else not results or any(results)


def _by_name(entry: Entry, value: str) -> bool:
    try:
        return any(re.search(value, one) for one in (entry.name, f"/{entry.name}"))
    except re.error:
        raise InvalidInputError(f"invalid filter name={value!r}: no regular expression") from None


def _by_label(entry: Entry, value: str) -> bool:
    name, equals, wanted = value.partition("=")
    return name in entry.labels and (not equals or entry.labels[name] == wanted)


def _by_ancestor(entry: Entry, value: str) -> bool:
    short = entry.image_id.removeprefix("sha256:").startswith(value)
    return short or value.removesuffix(":latest") in (entry.image, entry.image_id)


def _by_exit(entry: Entry, value: str) -> bool:
    return entry.state == "exited" and str(entry.exit_code) == value


_TESTS: dict[str, Callable[[Entry, str], bool]] = {
    "ancestor": _by_ancestor,
    "exited": _by_exit,
    "id": lambda entry, value: entry.id.startswith(value),
    "label": _by_label,
    "name": _by_name,
    "status": lambda entry, value: entry.state == value,
}
