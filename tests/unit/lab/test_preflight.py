"""What a machine lacks is named with the way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from podwire.lab import preflight
from podwire.model.errors import PodwireError
from podwire.model.layout import LabLayout


def test_too_little_memory_names_both_numbers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(preflight, "available_memory", lambda: 900 * 1024 * 1024)
    with pytest.raises(PodwireError, match=r"3 nodes need about 1480 MiB.*900 MiB.*--nodes"):
        preflight.check_resources(LabLayout(cache=tmp_path), 3)


def test_too_little_disk_names_the_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Usage:
        free = 5

    monkeypatch.setattr(preflight, "available_memory", lambda: 1 << 40)
    monkeypatch.setattr(preflight.shutil, "disk_usage", lambda _: Usage)
    with pytest.raises(PodwireError, match="/var/lib/podwire"):
        preflight.check_resources(LabLayout(cache=tmp_path), 3)


def test_not_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight.os, "geteuid", lambda: 1000)
    with pytest.raises(PodwireError, match=r"root.*sudo"):
        preflight.check_root()


def test_a_missing_kernel_feature_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Done:
        returncode = 0
        stdout = "veth links\noverlayfs\n"
        stderr = ""

    monkeypatch.setattr(preflight.subprocess, "run", lambda *_, **__: Done)
    with pytest.raises(PodwireError, match="lacks: veth links; overlayfs"):
        preflight.check_kernel()


def test_memory_that_is_available_is_read_from_the_kernel() -> None:
    assert preflight.available_memory() > 0
