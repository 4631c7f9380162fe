"""A container's log over the Docker API: which one is asked for, and its two streams.

Runs on the node under `python3 -IS`: standard library only.
"""

from __future__ import annotations

import re
import sys
import time
from typing import Any

from .client import get, stream, target
from .options import Options

SWITCHES = {"-f": "follow", "--follow": "follow", "-t": "timestamps", "--timestamps": "timestamps"}
VALUED = {"-n": "tail", "--tail": "tail", "--since": "since", "--until": "until"}


def print_log(container: str, options: Options) -> None:
    """Print the log of a container (its id or name, quoted). Raises ToolError."""
    raw = bool(get(f"/containers/{container}/json")["Config"]["Tty"])
    copy_log(log_target(container, options), raw=raw)


def log_target(container: str, options: Options) -> str:
    """The API's path for the log that these options ask for."""
    return target(
        f"/containers/{container}/logs",
        stdout="1",
        stderr="1",
        follow="1" if "follow" in options else "",
        timestamps="1" if "timestamps" in options else "",
        tail=options.get("tail"),
        since=moment(options.get("since")),
        until=moment(options.get("until")),
    )


def moment(text: str) -> str:
    """A time as the API takes it: a duration (10m, 1h30m) is so long ago."""
    if not re.fullmatch(r"(\d+(\.\d+)?(ms|[smhd]))+", text):
        return text
    units = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|[smhd])", text)
    return f"{time.time() - sum(float(number) * units[unit] for number, unit in parts):.9f}"


def copy_log(path: str, *, raw: bool) -> None:
    """Print a container's log: of a terminal as it is, else each frame to the stream it names.

    Source: Docker Engine API 1.40, ContainerAttach, "Stream format".
    """
    buffer = b""
    for piece in stream(path):
        buffer += piece
        while buffer and not raw:
            end = 8 + int.from_bytes(buffer[4:8], "big")
            if len(buffer) < max(8, end):
                break
            _write(sys.stderr if buffer[0] == 2 else sys.stdout, buffer[8:end])
            buffer = buffer[end:]
        if raw:
            _write(sys.stdout, buffer)
            buffer = b""


def _write(to: Any, data: bytes) -> None:
    to.buffer.write(data)
    to.buffer.flush()
