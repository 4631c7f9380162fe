"""Running a program to its end: its output, its progress, and an error that shows what it said.

Must not know the programs. For programs that keep running see `kernel.process`.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from podwire.model.errors import ProcessError

_TIED = ("setpriv", "--pdeathsig", "KILL", "--")
_TICK = 0.25
_TAIL = 12


def run(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    tick: Callable[[], None] | None = None,
) -> str:
    """Run `argv` in the C locale and return its stdout; `tick` is called four times a second.

    env: added to the environment. Raises ProcessError with the last lines that it said.
    """
    with _started(argv, cwd, env, stdout=subprocess.PIPE) as process:
        while True:
            try:
                out, err = process.communicate(timeout=_TICK if tick else None)
                break
            except subprocess.TimeoutExpired:
                if tick:
                    tick()
    _check(argv, process.returncode, (err or out).splitlines())
    return out


def follow(
    argv: Sequence[str],
    on_line: Callable[[str], None],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> None:
    """Run `argv`, giving each line of its stderr to `on_line` as it comes; stdout is dropped.

    Raises ProcessError with the last lines.
    """
    tail: deque[str] = deque(maxlen=_TAIL)
    with _started(argv, cwd, env, stdout=subprocess.DEVNULL) as process:
        assert process.stderr is not None
        for line in process.stderr:
            tail.append(line.rstrip("\n"))
            on_line(tail[-1])
        process.wait()
    _check(argv, process.returncode, list(tail))


@contextmanager
def _started(
    argv: Sequence[str], cwd: Path | None, env: Mapping[str, str] | None, *, stdout: int
) -> Iterator[subprocess.Popen[str]]:
    """The process in a session of its own; it and its children are gone when the block is left."""
    try:
        process = subprocess.Popen(
            [*_TIED, *argv],
            cwd=cwd,
            env={**os.environ, "LC_ALL": "C", **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise ProcessError(f"cannot start {argv[0]}: {error}") from error
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)


def _check(argv: Sequence[str], code: int, said: Sequence[str]) -> None:
    if code == 0:
        return
    how = f"signal {-code}" if code < 0 else f"exit {code}"
    tail = "\n".join(line for line in said if line.strip()).strip().splitlines()[-_TAIL:]
    raise ProcessError(f"{_short(argv)} failed ({how}): " + ("\n  ".join(tail) or "no message"))


def _short(argv: Sequence[str]) -> str:
    """The program and its first words, without options."""
    words = [word for word in argv[1:] if not word.startswith("-") and "=" not in word]
    return " ".join([argv[0], *words[:3]])[:100]
