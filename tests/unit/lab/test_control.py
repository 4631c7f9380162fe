"""Who is the daemon: the lock says it, and a dead one's lock says nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from podwire.lab import control
from podwire.model.layout import LabLayout


def layout(tmp_path: Path) -> LabLayout:
    return LabLayout("x", tmp_path / "state", tmp_path / "run", tmp_path / "log")


def test_nobody_holds_a_lab_that_never_was(tmp_path: Path) -> None:
    assert control.daemon_pid(layout(tmp_path)) is None


def test_the_lock_names_its_holder_and_goes_with_it(tmp_path: Path) -> None:
    place = layout(tmp_path)
    lock = control.lock_daemon(place)
    assert lock is not None
    assert control.daemon_pid(place) == os.getpid()
    assert control.lock_daemon(place) is None
    os.close(lock)
    assert control.daemon_pid(place) is None


def test_asking_a_lab_that_is_not_there_says_how_to_start_it(tmp_path: Path) -> None:
    with pytest.raises(control.DaemonError, match=r"'x' is not running.*podwire up"):
        control.ask(layout(tmp_path), op="status")
