"""`podwire support-bundle`: which files of a lab go in, and what is refused."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.unit.lens.saved import saved

from podwire.cli import support_bundle as command
from podwire.cli.main import cli
from podwire.lens import codec
from podwire.model.errors import InvalidInputError


def test_of_a_saved_snapshot(tmp_path: Path) -> None:
    given, out = tmp_path / "now.json", tmp_path / "out.tar.gz"
    given.write_text(codec.to_json(saved("bridge")))
    done = CliRunner().invoke(cli, ["support-bundle", "--from", str(given), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == str(out)
    assert codec.load(out) == saved("bridge")
    assert out.stat().st_mode & 0o777 == 0o600
    with tarfile.open(out) as tar:
        assert {"out/snapshot.json", "out/MANIFEST"} <= set(tar.getnames())
        assert not [one for one in tar.getnames() if "/logs/" in one]


def test_what_cannot_be_read_or_written_is_an_error(tmp_path: Path) -> None:
    given = tmp_path / "now.json"
    given.write_text("{")
    done = CliRunner().invoke(cli, ["support-bundle", "--from", str(given)])
    assert isinstance(done.exception, InvalidInputError)
    given.write_text(codec.to_json(saved("bridge")))
    words = ["support-bundle", "--from", str(given), "--out", str(tmp_path / "no/x.tar.gz")]
    done = CliRunner().invoke(cli, words)
    assert isinstance(done.exception, InvalidInputError)
    assert "see --out" in str(done.exception)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["now.json"]


def test_only_files_of_the_list(tmp_path: Path) -> None:
    wanted = [
        "n1/azure-vnet.log",
        "n1/azure-vnet.log.1",
        "n1/kubelet.log",
        "n1/podwire-agent.log",
        "daemon.log",
        "rg.aks/etcd.log",
    ]
    for name in (*wanted, "n1/pods/shop/0.log", "n1/shop.log", "n1/id_rsa", "rg.aks/admin.conf"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    assert [one.name for one in command._lab_logs(tmp_path)] == [
        f"logs/lab/{one}" for one in [*wanted[:2], wanted[3], wanted[2], *wanted[4:]]
    ]


@pytest.mark.parametrize("word", ["--out", "--from", "--name"])
def test_help_shows_each_option(word: str) -> None:
    assert word in CliRunner().invoke(cli, ["support-bundle", "--help"]).output
