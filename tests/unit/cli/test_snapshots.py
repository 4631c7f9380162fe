"""Where a snapshot comes from, and what is said when there is none."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from podwire.cli.main import cli
from podwire.lens import codec
from podwire.lens.snapshot import Snapshot
from podwire.model.errors import InvalidInputError, PodwireError

SEEN = Snapshot(taken=1.0, took=0.5, lab="there")


def run(*words: str | Path, given: bytes | None = None) -> Result:
    return CliRunner().invoke(cli, ["snapshot", *map(str, words)], input=given)


@pytest.mark.parametrize("pack", [lambda text: text, gzip.compress])
def test_a_saved_one_comes_back_from_a_file_and_from_stdin(tmp_path: Path, pack: object) -> None:
    assert callable(pack)
    given = pack(codec.to_json(SEEN).encode())
    (tmp_path / "now").write_bytes(given)
    assert codec.from_json(run("--from", tmp_path / "now").stdout) == SEEN
    assert codec.from_json(run("--from", "-", given=given).stdout) == SEEN


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "is no JSON"),
        (b"\x1f\x8b\x08garbage", "cannot read the snapshot"),
        (b"\x00\xff\xfe\x80", "is no JSON"),
        (b'{"version": 2, "taken": 1, "took": 1}', "its version: 2"),
        (b'{"version": 1, "taken": "x", "took": 1}', "no whole snapshot"),
    ],
)
def test_garbage_is_refused_with_the_files_name(tmp_path: Path, text: bytes, said: str) -> None:
    (tmp_path / "garbage").write_bytes(text)
    failed = run("--from", tmp_path / "garbage").exception
    assert isinstance(failed, InvalidInputError)
    assert said in str(failed)
    assert "garbage" in str(failed)


def test_a_directory_is_no_snapshot(tmp_path: Path) -> None:
    failed = run("--from", tmp_path).exception
    assert isinstance(failed, InvalidInputError)
    assert "Is a directory" in str(failed)


def test_a_live_one_needs_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    failed = run().exception
    assert isinstance(failed, PodwireError)
    assert "root" in str(failed)


def test_a_lab_that_was_named_and_does_not_run_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    failed = run("--name", "no-such-lab").exception
    assert isinstance(failed, PodwireError)
    assert "no-such-lab" in str(failed)


def test_a_name_that_no_lab_can_have_is_refused() -> None:
    failed = run("--name", "No Lab").exception
    assert isinstance(failed, InvalidInputError)
    assert "No Lab" in str(failed)


def test_a_place_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "now").write_text(codec.to_json(SEEN))
    failed = run("--from", tmp_path / "now", "--output", tmp_path / "none/x").exception
    assert isinstance(failed, InvalidInputError)
    assert "see --output" in str(failed)
