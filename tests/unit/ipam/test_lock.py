from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from podwire.ipam.lock import locked
from podwire.model.cni_error import TRY_AGAIN, CniError


def test_the_second_waits_in_vain_and_hears_who_holds_it(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    with locked(path, wait=1), pytest.raises(CniError) as refused, locked(path, wait=0.02):
        pass
    assert refused.value.code == TRY_AGAIN
    assert "timed out locking store" in refused.value.msg
    held = rf"held by process {os.getpid()} since \d\d:\d\d:\d\d"
    assert re.fullmatch(held, refused.value.details)


def test_a_dead_holder_holds_nothing(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    child = os.fork()
    if child == 0:
        status = 1
        try:
            with locked(path, wait=1):
                status = 0
                os._exit(status)
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    with locked(path, wait=0):
        assert Path(path).read_text().split()[0] == str(os.getpid())
