"""One rule of iptables as a value, from iptables-save's text. Must not know what a packet is.

Sources: iptables(8), iptables-extensions(8).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')
_TARGET_OPTIONS = ("-j", "-g")


@dataclass(frozen=True, slots=True)
class Option:
    """--name value, or ! --name value. module: of the -m before it, "" for iptables' own."""

    module: str
    name: str
    value: str
    inverted: bool


@dataclass(frozen=True, slots=True)
class Rule:
    """target: of -j or -g, "" for none; goto: of -g; options: the target's."""

    text: str
    matches: tuple[Option, ...]
    target: str = ""
    goto: bool = False
    options: Mapping[str, str] = field(default_factory=dict)


@lru_cache(maxsize=8192)
def parse(text: str) -> Rule:
    """From a rule's text without "-A CHAIN "."""
    words = _words(text)
    at = next((n for n, word in enumerate(words) if word in _TARGET_OPTIONS), len(words))
    matches = tuple(_options(words[:at]))
    if at == len(words):
        return Rule(text, matches)
    given = {one.name: one.value for one in _options(words[at + 2 :])}
    return Rule(text, matches, words[at + 1], words[at] == "-g", given)


def _words(text: str) -> list[str]:
    return [quoted or plain for quoted, plain in _WORD.findall(text)]


def _options(words: list[str]) -> Iterator[Option]:
    module, inverted, at = "", False, 0
    while at < len(words):
        name, at = words[at], at + 1
        if name == "!":
            inverted = True
            continue
        values = []
        while at < len(words) and not words[at].startswith("-") and words[at] != "!":
            values.append(words[at])
            at += 1
        value = " ".join(values)
        if name == "-m":
            module = value
        else:
            yield Option(module, name, value, inverted)
        inverted = False
