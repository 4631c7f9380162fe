"""Text for people: tables, durations, sizes, YAML. Pure functions.

Runs on the node under `python3 -IS`: standard library only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

_WORD = re.compile(r"[A-Za-z][-_./A-Za-z]*")
_NOT_WORDS = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false", "null"])


def table(rows: Sequence[Sequence[str]], *, width: int, gap: int = 3) -> str:
    """Rows in columns, each at least `width` wide and `gap` apart, the last one not padded."""
    if not rows:
        return ""
    columns = range(len(rows[0]) - 1)
    widths = [max(width, *(len(row[one]) + gap for row in rows)) for one in columns]
    lines = ["".join(c.ljust(w) for c, w in zip(row, [*widths, 0], strict=True)) for row in rows]
    return "\n".join(lines) + "\n"


def human_duration(seconds: float) -> str:
    """A duration in Docker's words: 26 minutes, About an hour, 3 days."""
    whole = int(seconds)
    if whole < 1:
        return "Less than a second"
    if whole < 60:
        return _count(whole, "second")
    if (minutes := whole // 60) < 60:
        return "About a minute" if minutes == 1 else _count(minutes, "minute")
    if (hours := int(seconds / 3600 + 0.5)) < 48:
        return "About an hour" if hours == 1 else _count(hours, "hour")
    days = hours // 24
    for limit, size, unit in ((14, 1, "day"), (60, 7, "week"), (730, 30, "month")):
        if days < limit:
            return _count(days // size, unit)
    return _count(days // 365, "year")


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def human_size(size: float, digits: int = 3) -> str:
    """Bytes in decimal units with so many significant digits: 1.55MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.{digits}g}{unit}"
        size /= 1000
    return f"{size:.{digits}g}TB"


def ellipsis(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def yaml(value: Any) -> str:
    """A JSON value as a YAML document. Strings are in double quotes unless they are plain words."""
    return "\n".join(_yaml_lines(value)) + "\n"


def _yaml_lines(value: Any) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for name, one in value.items():
            yield from _entry(f"{_scalar(name)}:", one)
    elif isinstance(value, list) and value:
        for one in value:
            first, *rest = _yaml_lines(one)
            yield f"- {first}"
            yield from (f"  {line}" for line in rest)
    else:
        yield _scalar(value)


def _entry(head: str, value: Any) -> Iterator[str]:
    if isinstance(value, (dict, list)) and value:
        yield head
        indent = "  " if isinstance(value, dict) else ""
        yield from (f"{indent}{line}" for line in _yaml_lines(value))
    else:
        yield f"{head} {_scalar(value)}"


def _scalar(value: Any) -> str:
    """Words that YAML could take for something else (no, null, 1e3) are quoted as JSON is."""
    if isinstance(value, str) and _WORD.fullmatch(value) and value.lower() not in _NOT_WORDS:
        return value
    quoted = json.dumps(value, ensure_ascii=False)
    return "".join(one if one.isprintable() else f"\\U{ord(one):08X}" for one in quoted)
