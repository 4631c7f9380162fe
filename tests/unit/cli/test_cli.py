"""The command's own manners: exit status, messages, tables, names of nodes, progress lines."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from podwire.cli import main as command
from podwire.cli.node import find_node
from podwire.cli.output import StepDisplay, print_table
from podwire.model.errors import InvalidInputError

NODES = [{"name": f"aks-nodepool1-1-vmss00000{one}"} for one in range(3)]


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr("sys.argv", ["podwire", *words])
    try:
        command.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_help_teaches_every_command() -> None:
    said = CliRunner().invoke(command.cli, ["--help"]).output
    for word in ("up", "down", "status", "env", "node", "AKS", "VNet"):
        assert word.lower() in said.lower()


def test_every_command_is_read_by_its_own_name() -> None:
    context = click.Context(command.cli)
    for name in command.COMMANDS:
        found = command.cli.get_command(context, name)
        assert found is not None
        assert found.name == name
        assert found.help


READ = """
import sys
from click.testing import CliRunner
from podwire.cli.main import cli
assert CliRunner().invoke(cli, ["plan", "--help"]).exit_code == 0
print(*(one for one in sys.modules if one.startswith("podwire.")))
"""


def test_a_command_reads_its_own_module_alone() -> None:
    done = subprocess.run([sys.executable, "-c", READ], capture_output=True, text=True, check=True)
    read = done.stdout.split()
    assert "podwire.cli.plan" in read
    assert not [one for one in read if one.startswith(("podwire.lens", "podwire.cluster"))]


@pytest.mark.parametrize("words", [["nope"], ["up", "--nodes", "many"], ["status", "-o", "yaml"]])
def test_wrong_usage_is_status_2(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    assert run(monkeypatch, *words) == 2


def test_an_error_is_one_line_and_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "status", "--name", "never-was") == 1
    said = capsys.readouterr().err
    assert said.startswith("podwire: lab 'never-was' is not running")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--pod-cidr 10.244.0.0/16", "use network plugin `kubenet`"),
        ("--network-plugin kubenet --network-policy azure", "NetworkPolicy azure is not supported"),
        ("--network-plugin kubenet --pod-cidr 10.220.0.0/17", "overlaps with reserved VNET CIDR"),
        ("--network-plugin kubenet --pod-cidr 10.1.0.0/99", "invalid CIDR"),
        ("--network-plugin kubenet --nodes 401", "at most 400"),
        ("--nodes 9", "Pre-allocated IPs 279 exceeds IPs available 251"),
    ],
)
def test_up_refuses_what_azure_refuses(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str, said: str
) -> None:
    assert run(monkeypatch, "up", *words.split()) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("name", ["aks-nodepool1-1-vmss000001", "vmss000001", "1"])
def test_a_node_is_found_by_the_end_of_its_name(name: str) -> None:
    assert find_node(NODES, name) is NODES[1]


@pytest.mark.parametrize(("name", "why"), [("9", "does not exist"), ("", "is ambiguous")])
def test_a_node_that_is_not_one_is_named_with_those_that_are(name: str, why: str) -> None:
    with pytest.raises(InvalidInputError, match=why) as refused:
        find_node(NODES, name)
    assert "vmss000002" in str(refused.value)


def test_a_table_is_as_wide_as_it_must_be(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("A", "LONGER"), [("something", "x"), ("y", "z")])
    assert capsys.readouterr().out == "A           LONGER\nsomething   x\ny           z\n"


def event(state: str, text: str, seconds: float) -> dict[str, object]:
    return {
        "step": "a",
        "title": "Build",
        "state": state,
        "text": text,
        "fraction": None,
        "seconds": seconds,
    }


def test_without_a_terminal_progress_is_lines_and_not_too_many(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with StepDisplay() as display:
        for number in range(40):
            display.show(event("progress", f"file {number}", number / 10))
        display.show(event("done", "", 4.0))
        display.show(event("failed", "no disk", 4.0))
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "           Build: file 0",
        "           Build: file 20",
        "[   4.0 s] Build",
        "FAILED Build: no disk",
    ]
