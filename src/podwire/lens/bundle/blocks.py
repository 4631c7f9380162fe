"""Secrets that are whole objects in a text: data of Secrets, protectedSettings, environments.

They are found by name and left by counting brackets, so that JSON inside of a line of a log, also
when its quotes are escaped, and Go's printed structs are understood alike. Pure.
"""

from __future__ import annotations

import re
from collections import Counter

_KINDS = {
    "protectedsettings": "protectedSettings",
    "protected_settings": "protectedSettings",
    "data": "data of a Secret",
    "stringdata": "data of a Secret",
}
_GO = r"(?:map\[[^\]\s]*\](?:\[\])?\w*|\[\]\w+|map)?"
_BLOCK = re.compile(
    r"(?P<name>protected_?settings|stringData|(?<![a-z])(?:data|envs?|environment))"
    rf"(?:\\*[\"'])?\s*[:=]\s*{_GO}(?=[{{\[])",
    re.I,
)
_YAML = re.compile(
    r"^(?P<indent>[ \t]*)(?P<name>data|stringData|protectedSettings):[ \t]*\n"
    r"(?:(?P=indent)[ \t]+[^\n]*(?:\n|\Z))+",
    re.M,
)
_A_SECRET = re.compile(r"kind\W{1,8}Secret\b|\bSecret\{")
_PIECE = re.compile(r"(?P<quote>\\*\")(?:(?!(?<!\\)(?P=quote)).)*(?<!\\)(?P=quote)|[{}\[\]]")


def remove_blocks(text: str, mark: str, removed: Counter[str]) -> str:
    """`data` goes only where the text shows a Secret: many an object has one."""
    has_secret = _A_SECRET.search(text) is not None

    def lines(found: re.Match[str]) -> str:
        if found["name"] == "data" and not has_secret:
            return found[0]
        removed[_kind(found["name"])] += 1
        return f"{found['indent']}{found['name']}: {mark}\n"

    text = _YAML.sub(lines, text)
    kept, at = [], 0
    for found in _BLOCK.finditer(text):
        if found.start() < at or (found["name"].lower() == "data" and not has_secret):
            continue
        removed[_kind(found["name"])] += 1
        kept += [text[at : found.end()], mark]
        at = _end(text, found.end())
    return "".join(kept) + text[at:]


def _kind(name: str) -> str:
    return _KINDS.get(name.lower(), "environment")


def _end(text: str, at: int) -> int:
    """Behind the bracket that closes the one at `at`; the text's end where none does."""
    depth = 0
    for piece in _PIECE.finditer(text, at):
        if piece[0] in "{[":
            depth += 1
        elif piece[0] in "}]":
            depth -= 1
            if not depth:
                return piece.end()
    return len(text)
