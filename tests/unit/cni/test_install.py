from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from podwire.cni.install import install, remove
from podwire.cni.shims import c_shim
from podwire.model.errors import InvalidInputError, UnavailableError


def test_a_nodes_root_gets_all_that_a_call_needs(tmp_path: Path) -> None:
    install(tmp_path)
    for name in ("azure-vnet", "azure-vnet-ipam"):
        file = tmp_path / "opt/cni/bin" / name
        assert file.stat().st_mode & 0o777 == 0o755
        text = file.read_text()
        assert text.startswith("#!/usr/bin/python3 -IS\n")
        assert "'/opt/cni/lib/podwire-" in text
        assert "/var/run/azure-vnet" in text
        assert str(tmp_path) not in text
    conflist = json.loads((tmp_path / "etc/cni/net.d/10-azure.conflist").read_text())
    assert (conflist["name"], conflist["cniVersion"]) == ("azure", "0.3.0")
    network, ports = conflist["plugins"]
    assert network == {
        "type": "azure-vnet",
        "mode": "bridge",
        "bridge": "azure0",
        "ipsToRouteViaHost": ["169.254.20.10"],
        "ipam": {"type": "azure-vnet-ipam"},
    }
    assert ports == {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True}


def test_only_the_node_half_compiled_and_nothing_left_over(tmp_path: Path) -> None:
    install(tmp_path)
    (library,) = (tmp_path / "opt/cni/lib").iterdir()
    rooms = {one.name for one in (library / "podwire").iterdir() if one.is_dir()}
    assert rooms == {"model", "kernel", "ipam", "cni", "__pycache__"}
    sources = set(library.rglob("*.py"))
    compiled = {
        one.parent.parent / f"{one.name.split('.')[0]}.py" for one in library.rglob("*.pyc")
    }
    assert sources == compiled
    assert sorted(one.name for one in (tmp_path / "opt/cni/bin").iterdir()) == [
        "azure-vnet",
        "azure-vnet-ipam",
    ]


def test_what_is_installed_runs_alone(tmp_path: Path) -> None:
    """With the machine's Python, isolated, from paths that are not this checkout's."""
    install(
        Path("/"),
        bin_dir=str(tmp_path / "bin"),
        conf_dir=str(tmp_path / "conf"),
        lib_dir=str(tmp_path / "lib"),
        state_dir=str(tmp_path / "state"),
        log_dir=str(tmp_path),
    )
    done = subprocess.run(
        [str(tmp_path / "bin/azure-vnet")],
        env={"CNI_COMMAND": "VERSION", "PYTHONPATH": "/nowhere"},
        input='{"cniVersion": "0.4.0"}',
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["cniVersion"] == "0.4.0"
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("shim", ["none", "python"])
def test_again_changes_nothing_and_an_upgrade_keeps_the_version_before(
    tmp_path: Path, shim: str
) -> None:
    install(tmp_path, shim=shim)
    libraries = tmp_path / "opt/cni/lib"
    (current,) = libraries.glob("podwire-????????????")
    inode = current.stat().st_ino
    for age, name in enumerate(("podwire-old", "podwire-older", "podwire-oldest")):
        (libraries / name).mkdir()
        os.utime(libraries / name, (1000 - age, 1000 - age))
    install(tmp_path, shim=shim)
    kept = {one.name for one in libraries.iterdir()} - {"podwire-agent", "in-process"}
    assert kept == {current.name, "podwire-old"}
    assert current.stat().st_ino == inode


def test_a_mode_that_cannot_be_wired_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="tunnel"):
        install(tmp_path, mode="tunnel")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shim", ["c", "python", "auto"])
def test_a_shim_becomes_the_plugin_when_no_agent_answers(tmp_path: Path, shim: str) -> None:
    install(
        Path("/"),
        bin_dir=str(tmp_path / "bin"),
        conf_dir=str(tmp_path / "conf"),
        lib_dir=str(tmp_path / "lib"),
        state_dir=str(tmp_path / "state"),
        log_dir=str(tmp_path),
        shim=shim,
        socket=str(tmp_path / "agent.sock"),
    )
    for name in ("azure-vnet", "azure-vnet-ipam"):
        text = (tmp_path / "bin" / name).read_bytes()
        assert text.startswith(b"#!/usr/bin/python3" if shim == "python" else b"\x7fELF")
        assert str(tmp_path / "agent.sock").encode() in text
        done = subprocess.run(
            [str(tmp_path / "bin" / name)],
            env={"CNI_COMMAND": "DEL", "CNI_CONTAINERID": "../x"},
            input='{"cniVersion": "0.4.0", "name": "azure", "type": "azure-vnet"}',
            capture_output=True,
            text=True,
        )
        assert (done.returncode, json.loads(done.stdout)["code"]) == (1, 4)
    remove(Path("/"), bin_dir=str(tmp_path / "bin"), lib_dir=str(tmp_path / "lib"))
    assert [*(tmp_path / "bin").iterdir(), *(tmp_path / "lib").iterdir()] == []


def test_a_shim_that_is_not_known_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="rust"):
        install(tmp_path, shim="rust")
    assert list(tmp_path.iterdir()) == []


def test_a_shim_that_cannot_be_kept_is_an_error_that_says_where(tmp_path: Path) -> None:
    (tmp_path / "shim").write_text("in its way")
    with pytest.raises(UnavailableError, match=f"in {tmp_path}/shim: "):
        c_shim("azure-vnet", socket="/s", plugin="/p", seconds=1, cache=tmp_path)
