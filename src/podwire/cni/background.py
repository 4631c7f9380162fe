"""Work beside a call, which ends without waiting for it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable


def in_background(work: Callable[[], None]) -> None:
    """Do `work` in a thread where there are others already, else in a process of its own.

    A plugin's caller waits until its standard files are closed, so the process lets go of them; it
    is the child of a child, so that nobody has to wait for it.
    """
    threading = sys.modules.get("threading")
    if threading is not None and threading.active_count() > 1:
        threading.Thread(target=work, daemon=True).start()
        return
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        if os.fork() == 0:
            _let_go()
            work()
    finally:
        os._exit(0)


def _let_go() -> None:
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
