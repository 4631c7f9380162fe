"""`podwire cni install`: what each option fixes on the node."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from podwire.cli import cni_install
from podwire.cli.main import cli


@pytest.fixture(autouse=True)
def _as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cni_install, "check_root", lambda: None)


def install(root: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, ["cni", "install", "--root", str(root), *words])


def ipam(root: Path) -> dict[str, str]:
    document = json.loads((root / "etc/cni/net.d/10-azure.conflist").read_text())
    return document["plugins"][0]["ipam"]


@pytest.mark.parametrize("mode", ["bridge", "transparent"])
def test_plugins_agent_and_the_conflist_of_the_mode(tmp_path: Path, mode: str) -> None:
    done = install(tmp_path, "--mode", mode)
    assert done.exit_code == 0, done.output
    conflist = json.loads((tmp_path / "etc/cni/net.d/10-azure.conflist").read_text())
    assert conflist["plugins"][0]["mode"] == mode
    for name in ("bin/azure-vnet", "bin/azure-vnet-ipam", "lib/podwire-agent"):
        assert (tmp_path / "opt/cni" / name).stat().st_mode & 0o111
    assert "/opt/cni/lib/podwire-agent is for what starts services here" in done.output


def test_plugin_and_agent_have_the_same_fixed_values(tmp_path: Path) -> None:
    fixed = ["--state-dir=/s", "--log-dir=/l", "--log-format=json", "--cooling=7"]
    fixed += ["--wire-server-url=http://10.0.0.1/x", "--interfaces-file=/i.json"]
    done = install(tmp_path, *fixed, "--socket=/a.sock", "--shim=python", "--agent-timeout=3")
    assert done.exit_code == 0, done.output
    shim = (tmp_path / "opt/cni/bin/azure-vnet").read_text()
    plugin = (tmp_path / "opt/cni/lib/in-process/azure-vnet").read_text()
    agent = (tmp_path / "opt/cni/lib/podwire-agent").read_text()
    assert "'/a.sock', '/opt/cni/lib/in-process/azure-vnet', 3.0" in shim
    assert "socket='/a.sock'" in agent
    (settings,) = {one[one.index("Settings(") :].split(")")[0] for one in (plugin, agent)}
    for word in ("'/s'", "'/l'", "'json'", "'http://10.0.0.1/x'", "=7.0", "'/i.json'"):
        assert word in settings


def test_without_a_shim_there_is_no_agent(tmp_path: Path) -> None:
    done = install(tmp_path, "--shim=none", "--systemd-dir=/units")
    assert done.exit_code == 0, done.output
    assert "agent" not in done.output
    assert not (tmp_path / "opt/cni/lib/podwire-agent").exists()
    assert not (tmp_path / "units").exists()


def test_the_unit_for_an_image_and_what_to_type_on_the_machine(tmp_path: Path) -> None:
    done = install(tmp_path, "--systemd-dir=/units", "--metrics-socket=", "--metrics-port=9100")
    assert "systemctl enable podwire-agent.service" in done.output
    unit = (tmp_path / "units/podwire-agent.service").read_text()
    assert "ExecStart=/opt/cni/lib/podwire-agent --metrics-port=9100\n" in unit


def test_a_range_is_in_the_conflist(tmp_path: Path) -> None:
    words = ["--source=range", "--subnet=10.1.0.0/24", "--range-start=10.1.0.100"]
    assert install(tmp_path, *words).exit_code == 0
    assert ipam(tmp_path) == {
        "type": "azure-vnet-ipam",
        "environment": "range",
        "subnet": "10.1.0.0/24",
        "rangeStart": "10.1.0.100",
    }
    assert install(tmp_path, "--source=file").exit_code == 0
    assert ipam(tmp_path) == {"type": "azure-vnet-ipam", "environment": "fileIpam"}


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--mode=tunnel"], "tunnel"),
        (["--bin-dir=bin"], "'bin' must be an absolute path"),
        (["--cooling=-1"], "-1"),
        (["--subnet=10.1.0.0/24"], "--subnet is for --source range"),
        (["--source=range"], "ipam.subnet"),
        (["--source=range", "--subnet=10.1.0.0/33"], "10.1.0.0/33"),
        (["--enable"], "--enable needs"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    tmp_path: Path, words: list[str], named: str
) -> None:
    done = install(tmp_path, *words)
    assert done.exit_code != 0
    assert named in f"{done.output}{done.exception}"
    assert list(tmp_path.iterdir()) == []
