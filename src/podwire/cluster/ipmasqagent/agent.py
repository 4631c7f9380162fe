"""The program: follows the file that the ConfigMap is mounted as, keeps the chain as it says.

python3 -m ipmasqagent [FILE]
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from . import chain
from .config import Config, ConfigError, parse
from .events import Teller

CONFIG_FILE = "/etc/config/ip-masq-agent"
CONFIG_MAP = "azure-ip-masq-agent-config"
_LOOK_SECONDS = 1.0


class Agent:
    """path: the file; tell: (reason, message) -> whether somebody was told.

    A file that is not there: the defaults. One that is wrong: what was right before, and when this
    process has seen nothing right, the chain that a former one left.
    """

    def __init__(self, path: Path, tell: Callable[[str, str], bool]) -> None:
        self._path, self._tell = path, tell
        self._text: str | None = ""
        self._known = False
        self.config: Config | None = None
        self._due = 0.0
        self._untold: tuple[str, str] | None = None

    def step(self, now: float) -> None:
        """Look at the file, and at the chain when that is due. now: seconds, monotonic."""
        text = _read(self._path)
        if changed := not self._known or text != self._text:
            self._known, self._text = True, text
            self._learn(text)
        if changed or now >= self._due:
            self._keep()
            self._due = now + (self.config or Config()).resync

    def _learn(self, text: str | None) -> None:
        self._untold = None
        try:
            self.config = Config() if text is None else parse(text)
            _log(f"{'defaults' if text is None else self._path}: {self.config}")
        except ConfigError as error:
            if self.config is None and not chain.present():
                self.config = Config()
            self._untold = ("InvalidConfig", f"{error}; the chain {chain.CHAIN} stays as it was")
            _log(f"{self._path}: {self._untold[1]}")

    def _keep(self) -> None:
        try:
            if self.config is not None and chain.ensure(self.config):
                _log(f"the chain {chain.CHAIN} is written")
        except chain.IptablesError as error:
            _log(str(error))
            self._untold = ("ChainRefused", str(error))
        if self._untold is not None and self._tell(*self._untold):
            self._untold = None


def _read(path: Path) -> str | None:
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:
        return None


def _log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def teller() -> Callable[[str, str], bool]:
    """Events, as the pod's environment says where; outside of a pod the log alone."""
    host = os.environ.get("KUBERNETES_SERVICE_HOST")
    if not host:
        return lambda _reason, _message: True
    port = int(os.environ.get("KUBERNETES_SERVICE_PORT", "443"))
    return Teller(host, port, os.environ.get("NODE_NAME", ""), CONFIG_MAP).tell


def main() -> None:
    """Run until SIGTERM or SIGINT, which end the process on the spot; the chain stays."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: os._exit(0))
    agent = Agent(Path(sys.argv[1] if sys.argv[1:] else CONFIG_FILE), teller())
    while True:
        agent.step(time.monotonic())
        gc.collect()
        time.sleep(_LOOK_SECONDS)
