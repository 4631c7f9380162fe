"""Calling another plugin: found on CNI_PATH, executed, its JSON read back.

Source: CNI specification 1.0.0, section 4 (delegation).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from podwire.model.cni import DELEGATE_FAILED, CniError, Request, Result


def call(
    plugin: str, verb: str, request: Request, overrides: Mapping[str, str] | None = None
) -> Result | None:
    """Run `plugin` as `request` was run. overrides: other environment variables, as CNI_NETNS.

    Returns the result of an ADD, None else. Raises CniError with the plugin's code and text.
    """
    import subprocess  # late: only who delegates pays

    path = find(plugin, request.path)
    env = {**os.environ, **_environment(request), **(overrides or {}), "CNI_COMMAND": verb}
    try:
        done = subprocess.run(
            [path], input=request.stdin.encode(), capture_output=True, env=env, check=False
        )
    except OSError as error:
        raise CniError(DELEGATE_FAILED, f"Failed to delegate: {path}: {error.strerror}") from error
    if done.returncode != 0:
        raise _failure(path, done.stdout, done.stderr)
    return Result.from_json(_decode(path, done.stdout)) if verb == "ADD" else None


def find(plugin: str, path: str) -> str:
    """The plugin's file in the first directory of `path` that has it."""
    for directory in path.split(os.pathsep):
        candidate = os.path.join(directory, plugin)
        if directory and os.access(candidate, os.X_OK):
            return candidate
    raise CniError(
        DELEGATE_FAILED,
        f"Failed to delegate: there is no plugin {plugin!r} in CNI_PATH {path!r}; "
        "install it, or set ipam.type to azure-vnet-ipam",
    )


def _environment(request: Request) -> dict[str, str]:
    return {
        "CNI_CONTAINERID": request.container_id,
        "CNI_NETNS": request.netns,
        "CNI_IFNAME": request.ifname,
        "CNI_ARGS": request.args_text,
        "CNI_PATH": request.path,
    }


def _failure(path: str, stdout: bytes, stderr: bytes) -> CniError:
    try:
        said = _decode(path, stdout)
    except CniError:
        text = (stdout or stderr).decode(errors="replace").strip()
        return CniError(DELEGATE_FAILED, f"Failed to delegate: {path}: {text or 'no output'}")
    code = said.get("code")
    return CniError(
        code if isinstance(code, int) and code > 0 else DELEGATE_FAILED,
        f"Failed to delegate: {said.get('msg', 'no message')}",
        str(said.get("details", "")),
    )


def _decode(path: str, stdout: bytes) -> dict[str, Any]:
    try:
        said = json.loads(stdout)
    except ValueError as error:
        raise CniError(DELEGATE_FAILED, f"Failed to delegate: {path} printed no JSON") from error
    if not isinstance(said, dict):
        raise CniError(DELEGATE_FAILED, f"Failed to delegate: {path} printed no JSON object")
    return said
