"""The agent's process: its arguments, its threads, readiness, and its end.

Standard library alone, like all of the node half, so that it stays small in memory.
"""

from __future__ import annotations

import argparse
import gc
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from types import FrameType

import podwire.ipam.sources  # noqa: F401  late elsewhere: an upgrade may take the files away
from podwire.cni.agent.server import CallServer, listen, serve_text
from podwire.cni.agent.work import Work
from podwire.cni.loglines import FORMATS
from podwire.cni.settings import SOCKET, Settings
from podwire.model.errors import PodwireError

RECOVER_EVERY = 30.0
_LAST_CALLS = 10.0
_GARBAGE = (50_000, 10, 10)
"""A call leaves some hundred objects, hardly one in a cycle: to look after each call is waste."""


def main(
    argv: Sequence[str] | None = None, *, settings: Settings | None = None, socket: str = SOCKET
) -> int:
    """Serve until SIGTERM. Exit status 0, 1 when it cannot start.

    settings, socket: what the installer fixed; the words of argv go before.
    """
    fixed = settings or Settings()
    options = _parser(fixed, socket).parse_args(argv)
    settings = replace(
        fixed,
        state_dir=options.state_dir,
        log_dir=options.log_dir,
        log_format=options.log_format,
        wire_server_url=options.wire_server_url,
        interfaces_file=options.interfaces_file,
        cooling_seconds=options.cooling,
    )
    try:
        run(settings, options.socket, options.metrics_socket, options.metrics_port)
    except (PodwireError, OSError) as error:
        sys.stderr.write(f"podwire agent: {error}\n")
        return 1
    return 0


def run(settings: Settings, path: str, metrics_socket: str = "", metrics_port: int = 0) -> None:
    """Raises UnavailableError, OSError when a socket cannot be had."""
    work = Work(settings)
    server = CallServer(path, work.answer, after=work.after, leave=work.leave)
    ended = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        ended.set()
        server.close()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    for listener in _metrics_listeners(metrics_socket, metrics_port):
        _background(serve_text, listener, work.exposition)
    _background(_recover, work, ended)
    _background(_stay_watched, ended)
    gc.freeze()
    gc.set_threshold(*_GARBAGE)
    notify("READY=1")
    server.serve()
    notify("STOPPING=1")
    server.drain(_LAST_CALLS)
    work.close()


def notify(state: str) -> None:
    """Tell systemd, if it started this process (sd_notify(3))."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as teller:
        teller.connect("\0" + path[1:] if path.startswith("@") else path)
        teller.send(state.encode())


def _stay_watched(ended: threading.Event) -> None:
    """Tell systemd now and then that this process runs, if it asks (sd_watchdog_enabled(3))."""
    seconds = int(os.environ.get("WATCHDOG_USEC", "0")) / 1e6
    while seconds and not ended.wait(seconds / 2):
        notify("WATCHDOG=1")


def _recover(work: Work, ended: threading.Event) -> None:
    """Each time in a thread of its own: what fails to be undone is then nobody's again."""
    while True:
        once = threading.Thread(target=_recover_once, args=(work,), daemon=True)
        once.start()
        once.join()
        if ended.wait(RECOVER_EVERY):
            return


def _recover_once(work: Work) -> None:
    try:
        work.recover()
    except PodwireError as error:
        sys.stderr.write(f"podwire agent: cannot recover yet: {error}\n")


def _metrics_listeners(path: str, port: int) -> list[socket.socket]:
    found = [listen(path)] if path else []
    if port:
        found.append(socket.create_server(("127.0.0.1", port)))
    return found


def _background(work: object, *args: object) -> None:
    assert callable(work)
    threading.Thread(target=work, args=args, daemon=True).start()


def _parser(fixed: Settings, socket: str) -> argparse.ArgumentParser:
    """`podwire agent run` has the same options, and says what they are for."""
    parser = argparse.ArgumentParser(prog="podwire-agent", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--state-dir", default=fixed.state_dir)
    parser.add_argument("--socket", default=socket)
    parser.add_argument("--log-dir", default=fixed.log_dir)
    parser.add_argument("--log-format", choices=FORMATS, default=fixed.log_format)
    parser.add_argument("--wire-server-url", default=fixed.wire_server_url)
    parser.add_argument("--interfaces-file", default=fixed.interfaces_file)
    parser.add_argument("--cooling", type=float, default=fixed.cooling_seconds)
    parser.add_argument("--metrics-socket", default="")
    parser.add_argument("--metrics-port", type=int, default=0, help="on loopback; 0: none")
    return parser
