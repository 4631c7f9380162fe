"""`podwire draw`: formats, files, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.unit.lens.draw import scenes

from podwire.cli.main import cli
from podwire.lens import codec
from podwire.model.errors import InvalidInputError


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "seen.json"
    path.write_text(codec.to_json(scenes.of(2)))
    return path


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, ["draw", *map(str, words)])


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("a.svg", "<svg"),
        ("a.html", "<!doctype html>"),
        ("a.mmd", "---\ntitle"),
        ("a.dot", "digraph"),
        ("a.txt", "How pods are wired"),
        ("a", "How pods are wired"),
    ],
)
def test_the_format_is_that_of_the_files_name(
    saved: Path, tmp_path: Path, name: str, begins: str
) -> None:
    assert run("wiring", "--from", saved, "--out", tmp_path / name).exit_code == 0
    assert (tmp_path / name).read_text().startswith(begins)


def test_stdout(saved: Path) -> None:
    done = run("veth", "--from", saved, "--format", "svg", "--theme", "dark")
    assert done.exit_code == 0
    assert done.stdout.startswith("<svg")


def test_one_node(saved: Path) -> None:
    second = scenes.Made(1, 0).name
    done = run("wiring", "--from", saved, "--node", second)
    assert second in done.stdout
    assert scenes.Made(0, 0).name not in done.stdout


def test_compare_of_two_files(saved: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text(codec.to_json(scenes.of(2, "kubenet")))
    done = run("compare", "--from", saved, "--with", other)
    assert "Side by side: bridge and kubenet" in done.stdout
    assert "seen.json" in done.stdout
    assert "other.json" in done.stdout


def test_wrong_usage(saved: Path) -> None:
    two = run("wiring", "--from", saved, "--node", "a", "--node", "b")
    assert two.exit_code == 2
    assert "takes one --node or none" in two.output
    with_ = run("veth", "--from", saved, "--with", saved)
    assert with_.exit_code == 2
    assert "--with is for `compare`" in with_.output
    assert run("moon").exit_code == 2


def test_what_is_not_there(saved: Path, tmp_path: Path) -> None:
    gone = run("wiring", "--from", saved, "--node", "gone")
    assert isinstance(gone.exception, InvalidInputError)
    assert "no node 'gone'" in str(gone.exception)
    nowhere = run("wiring", "--from", saved, "--out", tmp_path / "no" / "a.svg")
    assert "see --out" in str(nowhere.exception)
