"""An agent that ends or stops itself at one moment of one container's call."""

from __future__ import annotations

import os
import signal
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from podwire.cni.agent.frame import Call
from podwire.cni.agent.main import run
from podwire.cni.agent.work import Work

from ..cni.node import WAIT, Node, until
from ..cni.resident import inode, socket_of
from .doors import Doors

ANSWERED = "answered"
"""Among what an agent tells: a call has its answer. What comes later is work beside it."""
_QUIET = 2.0
"""Seconds without a moment after which the work beside is done."""


@dataclass
class Doomed:
    """told: the file with a line for each moment of the container's call."""

    pid: int
    told: Path

    @property
    def lines(self) -> list[str]:
        return self.told.read_text().splitlines()

    @property
    def moments(self) -> list[str]:
        return [one for one in self.lines if one != ANSWERED]

    def stopped(self) -> None:
        self._wait(os.WSTOPPED)

    def ended(self) -> None:
        """With all its threads: until then one of them may pass for a call that goes on."""
        self._wait(os.WEXITED)

    def reaches(self, at: int, change: int = os.WEXITED) -> bool:
        """Whether it dies, or stops, at this moment. False when its work is done before, with fewer
        moments: how often a call looks whether the kernel has done its part differs from call to
        call."""
        look, before, since = change | os.WNOHANG | os.WNOWAIT, -1, time.monotonic()
        while os.waitid(os.P_PID, self.pid, look) is None:
            count, now = len(self.lines), time.monotonic()
            if count != before:
                before, since = count, now
            elif ANSWERED in self.lines and len(self.moments) < at and now - since > _QUIET:
                return False
            assert now - since < WAIT, "the agent goes on"
            time.sleep(0.002)
        return True

    def _wait(self, change: int) -> None:
        look = change | os.WNOHANG | os.WNOWAIT
        until(lambda: os.waitid(os.P_PID, self.pid, look) is not None, "the agent goes on")

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)


@contextmanager
def doomed_agent(
    node: Node, container: str, at: int = 0, how: signal.Signals = signal.SIGKILL
) -> Iterator[Doomed]:
    """A real agent but for its exec. at: 0 for an agent that only tells the moments."""
    told, before = node.directory / "moments", inode(socket_of(node))
    told.write_text("")
    child = os.fork()
    if child == 0:
        try:
            descriptor = os.open(told, os.O_WRONLY | os.O_APPEND)
            _serve(node, container, Doors(at, how, descriptor, armed=False))
            os._exit(0)
        except BaseException:  # noqa: BLE001  a child must never return into pytest
            traceback.print_exc()
            os._exit(1)
    try:
        until(lambda: inode(socket_of(node)) not in (0, before), "the agent did not start")
        yield Doomed(child, told)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _serve(node: Node, container: str, doors: Doors) -> None:
    original = Work.answer

    def answer(work: Work, call: Call) -> tuple[int, bytes]:
        doors.armed = doors.armed or call.env.get("CNI_CONTAINERID") == container
        said = original(work, call)
        if doors.armed:
            doors.tell(ANSWERED)
        return said

    with node.netns.entered(), pytest.MonkeyPatch.context() as patch:
        doors.watch(patch)
        patch.setattr(Work, "answer", answer)
        run(node.settings, str(socket_of(node)))
