"""The two forms of a log's line: Azure CNI's text of v1.1, and its JSON of later versions.

Source: Azure/azure-container-networking v1.1.8, log/logger.go (text); v1.8.12, cni/log (JSON: the
names of zap's production encoder, time in ISO 8601). Must not know files.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple, TypeAlias

FORMATS = ("text", "json")
Said: TypeAlias = tuple[str, float]
"""A message, and when it was written: seconds since the epoch."""


class Parts(NamedTuple):
    """component: the package that speaks, as in cni-net; "" for none."""

    level: str
    component: str
    message: str


def text_lines(said: Iterable[Said]) -> str:
    """Each `YYYY/MM/DD HH:MM:SS [pid] message`, local time."""
    pid = os.getpid()
    return "".join(
        f"{_stamp(int(now))} [{pid}] {one if one.isprintable() else _one_line(one)}\n"
        for one, now in said
    )


def json_lines(said: Iterable[Said]) -> str:
    """One after the other."""
    return "".join(json_line(*one) for one in said)


def json_line(message: str, now: float) -> str:
    """An object with level, ts, component, msg and pid."""
    level, component, text = split(message)
    at = time.localtime(now)
    stamp = f"{time.strftime('%Y-%m-%dT%H:%M:%S', at)}.{int(now % 1 * 1000):03}"
    line = {
        "level": level,
        "ts": stamp + time.strftime("%z", at),
        "component": component,
        "msg": text,
        "pid": os.getpid(),
    }
    told = {key: value for key, value in line.items() if value != ""}
    return json.dumps(told, separators=(",", ":")) + "\n"


@lru_cache(maxsize=2)
def _stamp(second: int) -> str:
    return time.strftime("%Y/%m/%d %H:%M:%S", time.localtime(second))


def split(message: str) -> Parts:
    """The tag before a message names who speaks; the plugin's own before that marks an error."""
    tags = []
    while message.startswith("["):
        tag, end, rest = message[1:].partition("] ")
        if not end or not tag.replace("-", "").isalpha():
            break
        tags.append(tag)
        message = rest
    return Parts("error" if len(tags) > 1 else "info", tags[-1] if tags else "", message)


def _one_line(message: str) -> str:
    """Without control characters: what a caller sends must not forge lines."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in message)
