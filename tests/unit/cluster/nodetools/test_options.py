"""Flags as people type them."""

from __future__ import annotations

import pytest

from podwire.cluster.nodetools.client import ToolError
from podwire.cluster.nodetools.options import parse

SWITCHES = {"-a": "all", "--all": "all", "-q": "quiet", "-i": "stdin", "-t": "tty"}
VALUED = {"-f": "filter", "--filter": "filter", "-n": "last"}


@pytest.mark.parametrize(
    ("words", "values", "rest"),
    [
        ("-aq x", {"all": [""], "quiet": [""]}, ["x"]),
        ("x --all y", {"all": [""]}, ["x", "y"]),
        ("-f a=b --filter=c=d", {"filter": ["a=b", "c=d"]}, []),
        ("-n5 -an 6", {"last": ["5", "6"], "all": [""]}, []),
        ("-n=7", {"last": ["7"]}, []),
        ("--all=false --all=true", {"all": [""]}, []),
        ("-- -a", {}, ["-a"]),
        ("-", {}, ["-"]),
    ],
)
def test_parse(words: str, values: dict[str, list[str]], rest: list[str]) -> None:
    options = parse(words.split(), SWITCHES, VALUED)
    assert (options.values, options.rest) == (values, rest)


def test_flags_end_at_the_first_word_when_asked() -> None:
    options = parse(["-it", "ID", "ls", "-a"], SWITCHES, {}, until_word=True)
    assert (set(options.values), options.rest) == ({"stdin", "tty"}, ["ID", "ls", "-a"])


@pytest.mark.parametrize("words", ["-z", "--nope", "-az", "-f"])
def test_what_is_refused(words: str) -> None:
    with pytest.raises(ToolError, match="flag"):
        parse(words.split(), SWITCHES, VALUED)
