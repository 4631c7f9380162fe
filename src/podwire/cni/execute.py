"""Running a plugin's executable: environment and configuration in, its one JSON document back.

Source: CNI specification 1.1.0, section 2. No shell is involved: the plugin is found in the
directories of CNI_PATH by its file name and executed as it is.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from podwire.model.cni_error import DELEGATE_FAILED, CniError


def find(plugin: str, path: str) -> str | None:
    """The plugin's file in the first directory of `path`, as in PATH, that has it."""
    for directory in path.split(os.pathsep):
        candidate = os.path.join(directory, plugin)
        if directory and os.path.isfile(candidate) and os.access(candidate, os.X_OK):
            return candidate
    return None


def execute(path: str, stdin: bytes, env: Mapping[str, str]) -> dict[str, Any] | None:
    """What the plugin printed: an object, None for nothing.

    env: variables in addition to this process's. Raises CniError: the plugin's own code, msg and
    details, or 105 when it cannot be run or says nothing that can be read.
    """
    import subprocess  # late: only who calls another plugin pays

    try:
        done = subprocess.run(
            [path], input=stdin, capture_output=True, env={**os.environ, **env}, check=False
        )
    except OSError as error:
        raise CniError(DELEGATE_FAILED, f"{path}: {error.strerror}") from error
    if done.returncode != 0:
        raise _failure(path, done.stdout, done.stderr)
    return _decode(path, done.stdout) if done.stdout.strip() else None


def _failure(path: str, stdout: bytes, stderr: bytes) -> CniError:
    try:
        said = _decode(path, stdout)
    except CniError:
        text = (stdout or stderr).decode(errors="replace").strip()
        return CniError(DELEGATE_FAILED, f"{path}: {text or 'no output'}")
    code = said.get("code")
    return CniError(
        code if isinstance(code, int) and code > 0 else DELEGATE_FAILED,
        str(said.get("msg", "no message")),
        str(said.get("details", "")),
    )


def _decode(path: str, stdout: bytes) -> dict[str, Any]:
    try:
        said = json.loads(stdout)
    except (ValueError, RecursionError) as error:
        raise CniError(DELEGATE_FAILED, f"{path} printed no JSON") from error
    if not isinstance(said, dict):
        raise CniError(DELEGATE_FAILED, f"{path} printed no JSON object")
    return said
