"""What of an output counts as shown: the check of docs/walkthrough.md must be able to fail."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.e2e.tour import Command, Reader, commands, is_as_shown

DOCUMENT = """\
# A chapter
```console
$ first
shown … here
$ second \\
  --long
node0# third
…
```
```
$ not typed
```
"""


def test_commands_of_a_document() -> None:
    assert list(commands(DOCUMENT)) == [
        Command(3, "", "first", ["shown … here"]),
        Command(5, "", "second \\\n  --long", []),
        Command(7, "node0", "third", ["…"]),
    ]


def test_a_block_without_a_prompt_is_refused() -> None:
    with pytest.raises(ValueError, match="line 2"):
        list(commands("```console\nno prompt\n```\n"))


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("a b\n", ["a b"]),
        ("a     b  \n", ["a b"]),
        ("  a b\n", ["a b"]),
        ("\x1b[31ma\x1b[0m b\n", ["a b"]),
        ("pod-x1 10.1.2.3 Running\n", ["pod-… 10.1.2.… Running"]),
        ("one\ntwo\nthree\n", ["…", "three"]),
        ("one\ntwo\nthree\n", ["one", "…", "three", "…"]),
        ("", ["…"]),
        ("x.*y\n", ["x.*y"]),
    ],
)
def test_is_as_shown(said: str, shown: list[str]) -> None:
    assert is_as_shown(said, shown)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("a c\n", ["a b"]),
        ("a b\nmore\n", ["a b"]),
        ("", ["a b"]),
        ("two\none\n", ["one", "…", "two"]),
        ("pod-x1\n10.1.2.3\n", ["pod-… 10.1.2.…"]),
        ("xzzy\n", ["x.*y"]),
        ("ab\n", ["a b"]),
    ],
)
def test_is_not_as_shown(said: str, shown: list[str]) -> None:
    assert not is_as_shown(said, shown)


def test_the_reader_keeps_variables_and_sees_failures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.e2e.tour._PATIENCE", 0.0)
    reader = Reader("/bin/true", os.environ, tmp_path)
    try:
        reader.follow(Command(1, "", "A=1"))
        reader.follow(Command(2, "", 'echo "is $A"; pwd', ["is 1", str(tmp_path)]))
        with pytest.raises(AssertionError, match="line 3"):
            reader.follow(Command(3, "", "echo two", ["three"]))
        with pytest.raises(AssertionError, match="exit status 1"):
            reader.follow(Command(4, "", "false"))
    finally:
        reader.close()
