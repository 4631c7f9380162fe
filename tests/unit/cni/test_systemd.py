"""The agent's unit as text; tests/netns/cni/test_systemd.py runs it under systemd."""

from __future__ import annotations

from pathlib import Path

import pytest

from podwire.cni import systemd
from podwire.cni.install import install
from podwire.cni.systemd import UNIT, unit_text

# systemd.exec(5): each of these gives a service mounts of its own, or hides a pod's namespace.
MOUNTING = ("Protect", "Private", "ReadOnly", "ReadWrite", "Inaccessible", "Bind", "TemporaryFile",
            "Root", "Mount", "ProcSubset", "ExecPaths", "NoExec", "DynamicUser", "StateDirectory",
            "RuntimeDirectory")  # fmt: skip


def options(text: str) -> dict[str, str]:
    lines = [one for one in text.splitlines() if "=" in one and not one.startswith("#")]
    return dict(one.split("=", 1) for one in lines)


def test_a_pods_namespace_that_is_mounted_later_is_not_hidden_from_the_agent() -> None:
    for name in options(unit_text(("/opt/cni/lib/podwire-agent",))):
        assert not name.startswith(MOUNTING)


def test_the_agent_is_always_started_again_and_may_end_its_calls() -> None:
    found = options(unit_text(("/opt/cni/lib/podwire-agent",)))
    assert found["Type"] == "notify"
    assert (found["Restart"], found["StartLimitIntervalSec"]) == ("always", "0")
    assert found["KillMode"] == "mixed"
    assert "containerd.service" in found["Before"]


@pytest.mark.parametrize(
    ("word", "quoted"),
    [
        ("/opt/a", "/opt/a"),
        ("--at=/a b", '"--at=/a b"'),
        ("/100%/$HOME", "/100%%/$$HOME"),
        ('/a"b\\c', '"/a\\"b\\\\c"'),
    ],
)
def test_words_are_quoted_for_systemd(word: str, quoted: str) -> None:
    assert options(unit_text((word,)))["ExecStart"] == quoted


def test_install_writes_the_unit_when_there_is_an_agent_and_remove_forgets_it(
    tmp_path: Path,
) -> None:
    install(tmp_path, systemd_dir="/units")
    assert not (tmp_path / "units").exists()
    words = ("--metrics-port=9100",)
    install(tmp_path, shim="python", systemd_dir="/units", agent_options=words)
    command = options((tmp_path / "units" / UNIT).read_text())["ExecStart"]
    assert command == "/opt/cni/lib/podwire-agent --metrics-port=9100"
    assert (tmp_path / "opt/cni/lib/podwire-agent").stat().st_mode & 0o777 == 0o755


def test_a_unit_that_was_never_there_is_no_failure(tmp_path: Path) -> None:
    assert not systemd.remove(tmp_path)
