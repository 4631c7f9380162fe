from __future__ import annotations

import os
import re
from pathlib import Path

from podwire.cni.log import Log


def test_a_line_has_azure_cnis_form(tmp_path: Path) -> None:
    path = tmp_path / "azure-vnet.log"
    Log(str(path)).write("[net] Creating veth pair a b.")
    form = rf"\d{{4}}/\d\d/\d\d \d\d:\d\d:\d\d \[{os.getpid()}\] \[net\] Creating veth pair a b\.\n"
    assert re.fullmatch(form, path.read_text())


def test_what_a_caller_sends_forges_no_line(tmp_path: Path) -> None:
    path = tmp_path / "log"
    Log(str(path)).write("StdinData:{\n2020/01/01 forged\x1b[2J}")
    text = path.read_text()
    assert text.count("\n") == 1
    assert r"{\n2020/01/01 forged\x1b[2J}" in text


def test_it_is_not_made_before_the_first_line_and_never_fails(tmp_path: Path) -> None:
    Log(str(tmp_path / "log"))
    assert list(tmp_path.iterdir()) == []
    Log(str(tmp_path / "missing" / "log")).write("dropped")
    Log(str(tmp_path)).write("a directory is no log")


def test_eight_files_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "log"
    for number in range(20):
        Log(str(path), limit=60).write(f"line {number:02} " + "x" * 60)
    names = sorted(one.name for one in tmp_path.iterdir())
    assert names == ["log", *(f"log.{number}" for number in range(1, 8))]
    assert "line 19" in path.read_text()
    assert "line 12" in (tmp_path / "log.7").read_text()


def test_a_log_opened_before_another_rotated_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "log"
    early = Log(str(path), limit=100)
    early.write("first " + "x" * 100)
    Log(str(path), limit=100).write("second")
    early.write("third")
    assert "second" in path.read_text()
    assert "third" in (tmp_path / "log.1").read_text()
