"""`podwire cni install | migrate | uninstall`: what they write and how they say it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from podwire.cli import cni_mode
from podwire.cli.main import cli
from podwire.cni.migrate import Moved


@pytest.fixture(autouse=True)
def _as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cni_mode, "check_root", lambda: None)


@pytest.mark.parametrize("mode", ["bridge", "transparent"])
def test_install_writes_plugins_and_the_conflist_of_the_mode(tmp_path: Path, mode: str) -> None:
    words = ["cni", "install", "--mode", mode, "--root", str(tmp_path)]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 0, done.output
    conflist = json.loads((tmp_path / "etc/cni/net.d/10-azure.conflist").read_text())
    assert conflist["plugins"][0]["mode"] == mode
    for name in ("azure-vnet", "azure-vnet-ipam"):
        assert (tmp_path / "opt/cni/bin" / name).stat().st_mode & 0o111


def test_an_unknown_mode_is_wrong_usage(tmp_path: Path) -> None:
    words = ["cni", "install", "--mode", "tunnel", "--root", str(tmp_path)]
    assert CliRunner().invoke(cli, words).exit_code == 2
    assert list(tmp_path.iterdir()) == []


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
