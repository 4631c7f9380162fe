from __future__ import annotations

import json
import os
import re
from pathlib import Path

from podwire.cni.log import Log
from podwire.cni.settings import Settings


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


def test_json_lines_on_request(tmp_path: Path) -> None:
    settings = Settings(log_dir=str(tmp_path), log_format="json")
    Log.of(settings, "azure-vnet").write("[net] Created.")
    assert json.loads((tmp_path / "azure-vnet.log").read_text())["msg"] == "Created."


def test_many_writers_rotate_and_lose_no_line(tmp_path: Path) -> None:
    """A Log per line, as a call has one of its own."""
    path = tmp_path / "log"
    children = [_forked_writer(path, f"writer {number}", 60) for number in range(6)]
    assert [os.waitpid(one, 0)[1] for one in children] == [0] * 6
    files = sorted(tmp_path.iterdir())
    assert 2 <= len(files) <= 8
    lines = [line.split("] ")[1] for one in files for line in one.read_text().splitlines()]
    wanted = [f"writer {number} line {line}" for number in range(6) for line in range(60)]
    assert sorted(lines) == sorted(wanted)


def _forked_writer(path: Path, name: str, lines: int) -> int:
    child = os.fork()
    if child == 0:
        try:
            for number in range(lines):
                Log(str(path), limit=3000).write(f"{name} line {number}")
        finally:
            os._exit(0)
    return child
