"""The frame of a plugin's process: environment and stdin in, one JSON document and a status out.

Source: CNI specification 1.1.0, section 2. VERSION is answered here, before any plugin is made: it
touches no lock, no state, no log and no network.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol

from podwire import __version__
from podwire.model.cni import Request
from podwire.model.cni_error import DECODE_FAILURE, FAILED, INTERNAL, SUPPORTED, CniError
from podwire.model.cni_result import Result
from podwire.model.errors import PodwireError

LARGEST_STDIN = 4 << 20
"""Bytes. A configuration has hundreds; GC's list of a thousand attachments a hundred thousand."""


class Plugin(Protocol):
    """Each verb raises PodwireError when it fails; then nothing of an ADD is left."""

    def add(self, request: Request) -> Result: ...

    def delete(self, request: Request) -> None: ...

    def check(self, request: Request) -> None: ...

    def gc(self, request: Request) -> None: ...

    def status(self, request: Request) -> None: ...

    def crashed(self, trace: str) -> None:
        """A defect's stack trace, for the log."""


def serve(name: str, make_plugin: Callable[[], Plugin]) -> None:
    """Answer the one call that this process was started for, and end the process."""
    if sys.argv[1:] and sys.argv[1] in ("-v", "--version"):
        _write(f"{name} (Podwire) {__version__}\n".encode())
        os._exit(0)
    document, status = answer(name, make_plugin, os.environ, _read_stdin)
    text = b"" if document is None else json.dumps(document).encode() + b"\n"
    # Not sys.exit: to take the interpreter apart costs a caller milliseconds for nothing.
    os._exit(status if _write(text) else 1)


def answer(
    name: str,
    make_plugin: Callable[[], Plugin],
    env: Mapping[str, str],
    read_stdin: Callable[[], bytes],
    waiting: Callable[[], bool] = lambda: True,
) -> tuple[dict[str, Any] | None, int]:
    """The document to print (None: nothing) and the exit status. waiting: as a Request has it."""
    version = SUPPORTED[-1]
    plugins: list[Plugin] = []
    try:
        request = replace(Request.parse(env, read_stdin()), waiting=waiting)
        version = request.version
        if request.command == "VERSION":
            return _versions(request), 0
        plugins.append(make_plugin())
        return _dispatch(plugins[0], request), 0
    except CniError as error:
        return error.to_json(version), 1
    except PodwireError as error:
        return CniError(FAILED, str(error)).to_json(version), 1
    except BaseException as error:  # noqa: BLE001  the process boundary
        return _crash(name, error, plugins).to_json(version), 1


def _dispatch(plugin: Plugin, request: Request) -> dict[str, Any] | None:
    if request.command == "ADD":
        return plugin.add(request).to_json(request.version)
    verbs = {
        "DEL": plugin.delete,
        "CHECK": plugin.check,
        "GC": plugin.gc,
        "STATUS": plugin.status,
    }
    verbs[request.command](request)
    return None


def _versions(request: Request) -> dict[str, Any]:
    return {"cniVersion": request.version, "supportedVersions": list(SUPPORTED)}


def _crash(name: str, error: BaseException, plugins: Sequence[Plugin]) -> CniError:
    """The document for a defect. The trace goes to the log, never to stdout."""
    import traceback  # late: a plugin without defects need not pay for it

    trace = "".join(traceback.format_exception(error))
    for plugin in plugins:
        with suppress(Exception):  # whatever happens, one document goes out
            plugin.crashed(trace)
    last = traceback.extract_tb(error.__traceback__)[-1:]
    place = "".join(f"{os.path.basename(one.filename)}:{one.lineno} {one.name}" for one in last)
    return CniError(
        INTERNAL,
        f"{name} failed unexpectedly: {type(error).__name__}: {error}",
        f"at {place}; the log has the trace; please report this defect",
    )


def _read_stdin() -> bytes:
    parts, size = [], 0
    while part := os.read(0, 1 << 16):
        parts.append(part)
        size += len(part)
        if size > LARGEST_STDIN:
            raise CniError(
                DECODE_FAILURE,
                f"Failed to parse network configuration: stdin has more than {LARGEST_STDIN} bytes",
            )
    return b"".join(parts)


def _write(data: bytes) -> bool:
    try:
        while data:
            data = data[os.write(1, data) :]
    except OSError:
        return False
    return True
