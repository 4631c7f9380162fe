"""A plugin from functions: the public entry point for plugins that others write."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass

from podwire.cni.protocol import serve
from podwire.model.cni import Request
from podwire.model.cni_error import check_version
from podwire.model.cni_result import Result

Verb = Callable[[Request], None]


def _nothing(_request: Request) -> None:
    """What a verb does that a plugin does not have: the specification wants success."""


@dataclass(frozen=True, slots=True)
class Functions:
    """A protocol.Plugin made of functions. A defect's trace goes to stderr, the runtime's log."""

    add_function: Callable[[Request], Result]
    delete: Verb
    check: Verb = _nothing
    gc: Verb = _nothing
    status: Verb = _nothing

    def add(self, request: Request) -> Result:
        """Raises CniError 1 before anything is made, when the result could not be told."""
        check_version(request.config.get("cniVersion") or request.version)
        return self.add_function(request)

    def crashed(self, trace: str) -> None:
        sys.stderr.write(trace)
        sys.stderr.flush()


def plugin(
    *,
    add: Callable[[Request], Result],
    delete: Verb,
    check: Verb | None = None,
    gc: Verb | None = None,
    status: Verb | None = None,
    name: str = "",
) -> None:
    """Answer the one call that this process was started for, and end the process.

    add returns the result, in no particular version; the others return nothing. Each raises
    CniError, or any PodwireError (code 100), to refuse; anything else is answered as a defect,
    code 999. delete must succeed when nothing is there (any more). A check, gc or status that is
    not given finds nothing wrong. name: for messages; the executable's by default.
    """
    functions = Functions(add, delete, check or _nothing, gc or _nothing, status or _nothing)
    serve(name or os.path.basename(sys.argv[0]), lambda: functions)
