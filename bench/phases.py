"""Where the time of one ADD goes, phase by phase, and how far that is from the kernel's floor.

The floor is what the kernel takes for the requests themselves (netlink and nft); a C program that
did nothing else would need that. Everything above it is the shim, the queue, the ledger, the log
and Python.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from tests.netns.cni.node import URL, Node

PHASES = ("netlink", "nft", "sysctl", "ledger", "log")
KERNEL = ("netlink", "nft")


def start(node: Node, path: Path, told: Path) -> subprocess.Popen[bytes]:
    """The timed agent of a node, ready."""
    words = [f"--state-dir={node.settings.state_dir}", f"--log-dir={node.settings.log_dir}"]
    words += [f"--socket={path}", f"--wire-server-url={URL}"]
    enter = ["nsenter", f"--net={node.netns.path}"]
    process = subprocess.Popen([*enter, sys.executable, "-m", "bench.timed_agent", told, *words])
    while not path.exists():
        if process.poll() is not None:
            sys.exit("the timed agent did not start")
        time.sleep(0.01)
    return process


def shim_alone(path: Path, call: Callable[[], float], rounds: int) -> float:
    """Median milliseconds of the shim against a server that answers at once."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        for _ in range(rounds):
            peer, _ = listener.accept()
            with peer:
                peer.recv(1 << 16)
                peer.sendall(b"\0\0\0\1\0")

    threading.Thread(target=serve, daemon=True).start()
    try:
        return statistics.median(call() for _ in range(rounds))
    finally:
        listener.close()
        os.unlink(path)


def table(total: Sequence[float], shim: float, told: Path) -> dict[str, float]:
    """Phase -> median milliseconds. total: of whole calls; told: what the timed agent wrote."""
    calls: list[dict[str, float]] = json.loads(told.read_text())[-len(total) :]

    def median(name: str) -> float:
        return statistics.median(one.get(name, 0.0) for one in calls)

    answer = median("answer")
    found = {"shim": shim, "queue": max(0.0, statistics.median(total) - shim - answer)}
    found |= {name: median(name) for name in PHASES}
    found["Python"] = answer - sum(found[name] for name in PHASES)
    found["whole call"] = statistics.median(total)
    found["kernel's floor"] = sum(found[name] for name in KERNEL)
    return found


def report(console: Console, found: dict[str, float]) -> None:
    shown = Table("phase of an ADD, C shim", "ms")
    for name, value in found.items():
        shown.add_row(name, f"{value:.3f}")
    console.print(shown)
