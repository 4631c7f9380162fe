"""Programs run to their end: output, progress, errors that show what was said."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from podwire.cluster.commands import follow, run
from podwire.model.errors import ProcessError


def test_output_environment_and_directory(tmp_path: Path) -> None:
    said = run(["sh", "-c", 'echo "$LC_ALL $X"; pwd'], cwd=tmp_path, env={"X": "y"})
    assert said == f"C y\n{tmp_path}\n"


def test_a_failure_shows_the_last_words() -> None:
    with pytest.raises(ProcessError, match=r"(?s)\(exit 7\): line 39\n.*line 50$"):
        run(["sh", "-c", "for i in $(seq 50); do echo line $i >&2; done; exit 7"])


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(ProcessError, match="no-such-program"):
        run(["no-such-program"])


def test_a_death_by_signal_is_told() -> None:
    with pytest.raises(ProcessError, match="signal 9"):
        run(["sh", "-c", "kill -9 $$"])


def test_ticks_come_while_the_program_runs() -> None:
    ticks: list[int] = []
    assert run(["sh", "-c", "sleep 0.8; echo done"], tick=lambda: ticks.append(1)) == "done\n"
    assert ticks


def test_lines_come_one_by_one() -> None:
    lines: list[str] = []
    follow(["sh", "-c", "echo a >&2; echo b >&2; echo no"], lines.append)
    assert lines == ["a", "b"]


def test_a_failure_while_following_shows_the_last_words() -> None:
    with pytest.raises(ProcessError, match=r"exit 1.*broken"):
        follow(["sh", "-c", "echo broken >&2; exit 1"], lambda _: None)


def test_an_interruption_ends_the_program_and_its_children(tmp_path: Path) -> None:
    pids: list[int] = []

    def interrupt(line: str) -> None:
        pids.append(int(line))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        follow(["sh", "-c", "sleep 60 & echo $! >&2; wait"], interrupt)
    assert_gone(pids[0])


def test_a_killed_caller_takes_the_program_along(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    code = (
        "from podwire.cluster.commands import run\n"
        f"run(['sh', '-c', 'echo $$ > {note}.new; mv {note}.new {note}; exec sleep 60'])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", code], env=environment) as caller:
        wait_for(note.exists)
        caller.send_signal(signal.SIGKILL)
    assert_gone(int(note.read_text()))


def assert_gone(pid: int) -> None:
    def gone() -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except (FileNotFoundError, ProcessLookupError):
            return True

    wait_for(gone)


def wait_for(condition: object) -> None:
    end = time.monotonic() + 10
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "did not happen within 10 s"
        time.sleep(0.02)
