"""Command lines: flags in any place, short ones joined (-aq, -n5), long ones with = or without.

Runs on the node under `python3 -IS`: argparse would cost more time than the whole command.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .client import ToolError


class Options:
    """What was given. `rest`: the words that belong to no flag."""

    def __init__(self) -> None:
        self.values: dict[str, list[str]] = {}
        self.rest: list[str] = []

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def get(self, name: str, default: str = "") -> str:
        """The last value that was given for the flag."""
        return self.values.get(name, [default])[-1]

    def all(self, name: str) -> list[str]:
        return self.values.get(name, [])


def parse(
    words: Sequence[str],
    switches: Mapping[str, str],
    valued: Mapping[str, str],
    *,
    until_word: bool = False,
) -> Options:
    """switches, valued: flag as typed -> its name, as in {"-a": "all", "--all": "all"}.

    until_word: flags end at the first word that is none, as in `exec ID ls -l`.
    Raises ToolError for a flag that is not known.
    """
    options, todo = Options(), list(words)
    while todo:
        word = todo.pop(0)
        if word == "--":
            options.rest += todo
            break
        if not word.startswith("-") or word == "-":
            options.rest.append(word)
            if until_word:
                options.rest += todo
                break
            continue
        flag, value, joined = _split(word, switches)
        if flag in switches and value is None:
            options.values.setdefault(switches[flag], []).append("")
            todo[:0] = joined
        elif flag in valued:
            if value is None and not todo:
                raise ToolError(f"flag needs an argument: {flag}")
            given = todo.pop(0) if value is None else value
            options.values.setdefault(valued[flag], []).append(given)
        elif flag in switches:  # --all=true, --all=false
            if value not in ("false", "0"):
                options.values.setdefault(switches[flag], []).append("")
        else:
            raise ToolError(f"unknown flag: {flag}; --help lists those there are")
    return options


def _split(word: str, switches: Mapping[str, str]) -> tuple[str, str | None, list[str]]:
    """The flag, the value that is joined to it, and further switches that are."""
    if word.startswith("--"):
        flag, equals, value = word.partition("=")
        return flag, value if equals else None, []
    flag, more = word[:2], word[2:]
    if flag in switches:
        return flag, None, [f"-{more}"] if more else []
    return flag, more.removeprefix("=") if more else None, []
