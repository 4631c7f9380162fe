"""The agent with a clock at each of its doors: where the time of an ADD goes.

    python -m bench.timed_agent FILE AGENT-OPTIONS...

On SIGTERM it writes one JSON object for each ADD to FILE: milliseconds by phase, and `answer`, from
the call's last byte to its answer. What no door accounts for is Python.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from podwire.cni.agent.frame import Call
from podwire.cni.agent.main import main
from podwire.cni.agent.work import Work
from podwire.cni.log import Log
from podwire.ipam.database import Database
from podwire.kernel import sysctl
from podwire.kernel.netlink import NetlinkSocket
from podwire.kernel.nfnetlink import NfNetlink

_thread = threading.local()
_calls: list[dict[str, float]] = []


def timed(owner: Any, name: str, phase: Callable[[Any], str]) -> None:
    """phase: of the call's first argument."""
    original = getattr(owner, name)

    def work(*args: Any, **named: Any) -> Any:
        begun = time.perf_counter()
        try:
            return original(*args, **named)
        finally:
            if counter := getattr(_thread, "phases", None):
                counter[phase(args[0] if args else None)] += time.perf_counter() - begun

    setattr(owner, name, work)


def netlink_phase(door: object) -> str:
    return "nft" if isinstance(door, NfNetlink) else "netlink"


def timed_answer(work: Work, call: Call) -> tuple[int, bytes]:
    _thread.phases = Counter(answer=0.0)
    begun = time.perf_counter()
    said = _answer(work, call)
    _thread.phases["answer"] = time.perf_counter() - begun
    if call.env.get("CNI_COMMAND") == "ADD":
        _calls.append({name: value * 1000 for name, value in _thread.phases.items()})
    _thread.phases = None
    return said


_answer = Work.answer
if __name__ == "__main__":
    timed(NetlinkSocket, "_send", netlink_phase)
    timed(NetlinkSocket, "_receive", netlink_phase)
    timed(sysctl, "write", lambda _: "sysctl")
    timed(Database, "run", lambda _: "ledger")
    timed(Database, "read", lambda _: "ledger")
    timed(Log, "_append", lambda _: "log")
    Work.answer = timed_answer  # type: ignore[method-assign]
    status = main(sys.argv[2:])
    Path(sys.argv[1]).write_text(json.dumps(_calls))
    sys.exit(status)
