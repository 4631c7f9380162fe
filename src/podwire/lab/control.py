"""Talking to a lab's daemon: one JSON line asks, JSON lines answer, the last one has "end".

The socket is root's alone. A lock file held by the daemon says whether it lives: the kernel drops
it with the process, so it can be neither stale nor stolen.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from podwire.model.errors import PodwireError
from podwire.model.layout import LabLayout

_START_TIMEOUT = 15.0
DAEMON = "podwire.arm.daemon"
"""The module that is the daemon: the lab with the ARM endpoint, of which the lab knows no more."""


class DaemonError(PodwireError):
    """The daemon refused or failed; its own words."""


def lock_daemon(layout: LabLayout) -> int | None:
    """Take the lab's lock for this process's life; the fd, or None when a daemon holds it."""
    layout.run.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = os.open(layout.run / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    os.ftruncate(lock, 0)
    os.write(lock, f"{os.getpid()}\n".encode())
    return lock


def daemon_pid(layout: LabLayout) -> int | None:
    """The pid of the lab's living daemon, None when there is none."""
    try:
        lock = os.open(layout.run / "lock", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.read(lock, 32).decode().strip()
        return int(text) if text else None
    else:
        return None
    finally:
        os.close(lock)


def request(layout: LabLayout, question: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Ask the daemon; yields its answers up to the end. Raises DaemonError when it says no."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        try:
            link.connect(str(layout.socket))
        except OSError as error:
            raise DaemonError(
                f"lab {layout.name!r} is not running ({error}); `podwire up` starts it"
            ) from error
        link.sendall(json.dumps(question).encode() + b"\n")
        with link.makefile("r") as lines:
            for line in lines:
                answer = json.loads(line)
                if "end" in answer:
                    if answer.get("error"):
                        raise DaemonError(answer["error"])
                    return
                yield answer
    raise DaemonError(f"the daemon of lab {layout.name!r} ended; see {layout.log('daemon')}")


def ask(layout: LabLayout, **question: Any) -> dict[str, Any]:
    """A question with one answer."""
    return next(request(layout, question))


def ensure_daemon(layout: LabLayout) -> None:
    """Start the lab's daemon unless it lives, and wait for its socket."""
    if daemon_pid(layout) is None:
        layout.logs.mkdir(parents=True, exist_ok=True)
        with layout.log("daemon").open("ab") as log:
            subprocess.Popen(
                [sys.executable, "-m", DAEMON, layout.name],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd="/",
            )
    deadline = time.monotonic() + _START_TIMEOUT
    while time.monotonic() < deadline:
        try:
            ask(layout, op="ping")
        except DaemonError:
            time.sleep(0.05)
        else:
            return
    raise DaemonError(
        f"the daemon of lab {layout.name!r} did not start; see {layout.log('daemon')}"
    )
