"""The processes of a container, as `ps -ef` has them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from podwire.cluster.docker_api import processes
from podwire.cluster.docker_api.processes import Process, parse_stat, row

STAT = "42 (a) b (c) S 7 42 42 {tty} -1 4194560 0 0 0 0 150 50 0 0 20 0 1 0 {start} 0 0"


def test_a_stat_line() -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    stat = STAT.format(tty=os.makedev(136, 3), start=10 * ticks)
    found = parse_stat(stat, b"/bin/a\0-x\0", 5, 1000.0)
    assert found == Process(5, 42, 7, 1010.0, 200 / ticks, "pts/3", "/bin/a -x")
    kernel = parse_stat(STAT.format(tty=0, start=0), b"", 0, 0)
    assert (kernel.tty, kernel.command) == ("?", "[a) b (c]")


def test_rows() -> None:
    process = Process(5, 42, 7, 1000.0, 3661.0, "?", "x")
    found = row(process, {5: "five"}, 1000.0 + 7322)
    assert found[:4] == ["five", "42", "7", "50"]
    assert found[5:] == ["?", "01:01:01", "x"]
    old = row(process, {}, 1000.0 + 10 * 86400)
    assert old[0] == "5"
    assert old[4] == "Jan01"


def fake_proc(root: Path, pid: int, cgroup: str) -> None:
    directory = root / "proc" / str(pid)
    directory.mkdir(parents=True)
    (directory / "cgroup").write_text(cgroup)
    (directory / "stat").write_text(STAT.format(tty=0, start=0).replace("42", str(pid), 1))
    (directory / "cmdline").write_bytes(b"run\0%d\0" % pid)


def test_the_members_of_a_container(tmp_path: Path) -> None:
    for pid, cgroup in ((10, "1:cpu:/a\n"), (11, "1:cpu:/b\n"), (12, "1:cpu:/a\n")):
        fake_proc(tmp_path, pid, cgroup)
    (tmp_path / "proc/stat").write_text("cpu 1\nbtime 1000\n")
    (tmp_path / "proc/13").mkdir()  # it ended just now
    rows = processes.process_rows(tmp_path, 10)
    assert [(one[1], one[-1]) for one in rows] == [("10", "run 10"), ("12", "run 12")]
    with pytest.raises(FileNotFoundError):
        processes.process_rows(tmp_path, 99)
