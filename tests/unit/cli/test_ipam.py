"""`podwire ipam`: the words that reach a lab's node, wrong usage, ages."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner

from podwire.cli import ipam as module
from podwire.cli.ipam_text import age
from podwire.cli.main import cli


class _EnteredError(Exception):
    pass


@pytest.fixture
def entered(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is handed to the node that --node names; the command ends there."""
    calls: list[Any] = []

    def enter(layout: Any, node: str, argv: list[str]) -> None:
        calls.append((layout.name, node, argv[1:]))
        raise _EnteredError

    monkeypatch.setattr(module, "enter", enter)
    return calls


@pytest.mark.parametrize(
    ("words", "there"),
    [
        (["show", "-o", "azure"], ["show", "--output=azure", "--cooling=30.0"]),
        (["check", "--runtime", "x -q", "--grace=9"], ["check", "--runtime=x -q", "--grace=9.0"]),
        (["gc", "--dry-run"], ["gc", "--runtime=", "--grace=300.0", "--dry-run"]),
        (["release", "--force", "10.1.0.5"], ["release", "--force"]),
    ],
)
def test_a_command_for_a_labs_node_is_run_there_word_for_word(
    entered: list[Any], words: list[str], there: list[str]
) -> None:
    where = ["--node", "1", "--name", "two", "--state-dir", "/s"]
    done = CliRunner().invoke(cli, ["ipam", *words, *where])
    assert isinstance(done.exception, _EnteredError)
    ((lab, node, argv),) = entered
    assert (lab, node) == ("two", "1")
    assert argv[:4] == ["-I", "-m", "podwire.cli.main", "ipam"]
    everywhere = ("--state-dir=/s", "--output=text", "--log-dir=/var/log", "--log-format=text")
    assert "--state-dir=/s" in argv
    told = [one for one in argv[4:] if one not in everywhere]
    assert told == [*there, "--", *(["10.1.0.5"] if "release" in words else [])]


@pytest.mark.parametrize(
    "words",
    [
        ["show", "-o", "yaml"],
        ["show", "--cooling=-1"],
        ["check", "--grace=never"],
        ["check", "extra"],
        ["release"],
        ["release", "10.1.0.5", "10.1.0.6"],
        ["free", "10.1.0.5"],
    ],
)
def test_wrong_usage(entered: list[Any], words: list[str]) -> None:
    assert CliRunner().invoke(cli, ["ipam", *words]).exit_code == 2


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0s"), (119, "119s"), (120, "2m"), (7199, "119m"), (7200, "2h"), (2 * 86400, "2d")],
)
def test_ages(seconds: float, said: str) -> None:
    assert age(seconds) == said
