"""`podwire cni migrate | uninstall`: how they say what they did."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner

from podwire.cli import cni_mode
from podwire.cli.main import cli
from podwire.cni.migrate import Moved


@pytest.fixture(autouse=True)
def _as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cni_mode, "check_root", lambda: None)


@pytest.mark.parametrize(
    ("moved", "said"),
    [
        (Moved("bridge", "transparent", 2, ("+ x",)), "went from bridge to transparent, 2 pods"),
        (Moved("bridge", "bridge", 0, ()), "is in mode bridge already"),
        (Moved("bridge", "", 0, ()), "uninstalled; the node was in mode bridge"),
    ],
)
def test_the_outcome_in_words_and_in_json(
    monkeypatch: pytest.MonkeyPatch, moved: Moved, said: str
) -> None:
    def move(*_: Any, **__: Any) -> Moved:
        return moved

    monkeypatch.setattr(cni_mode.mover, "migrate", move)
    words = ["cni", "migrate", "--to", "transparent"]
    assert said in CliRunner().invoke(cli, words).output
    document = json.loads(CliRunner().invoke(cli, [*words, "-o", "json", "--dry-run"]).output)
    assert document["before"] == moved.before
    assert document["dry_run"] is True
