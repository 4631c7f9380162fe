"""Calling another plugin: found on CNI_PATH, executed as this one was, its result read.

Source: CNI specification 1.1.0, section 4 (delegation).
"""

from __future__ import annotations

from collections.abc import Mapping

from podwire.cni import execute
from podwire.model.cni import Request
from podwire.model.cni_error import DELEGATE_FAILED, CniError
from podwire.model.cni_result import Result


def call(
    plugin: str, verb: str, request: Request, overrides: Mapping[str, str] | None = None
) -> Result | None:
    """Run `plugin` as `request` was run. overrides: other environment variables, as CNI_NETNS.

    Returns the result of an ADD, None else. Raises CniError with the plugin's code and text.
    """
    env = {**_environment(request), **(overrides or {}), "CNI_COMMAND": verb}
    path = find(plugin, request.path)
    try:
        said = execute.execute(path, request.stdin.encode(), env)
        if verb != "ADD":
            return None
        if said is None:
            raise CniError(DELEGATE_FAILED, f"{path} printed no JSON")
        return Result.from_json(said)
    except CniError as error:
        raise CniError(error.code, f"Failed to delegate: {error.msg}", error.details) from error


def find(plugin: str, path: str) -> str:
    """The plugin's file in the first directory of `path` that has it. Raises CniError 105."""
    found = execute.find(plugin, path)
    if found is None:
        raise CniError(
            DELEGATE_FAILED,
            f"Failed to delegate: ipam.type is {plugin!r}, and there is no such plugin in "
            f"CNI_PATH {path!r}; install it, or set ipam.type to azure-vnet-ipam",
        )
    return found


def _environment(request: Request) -> dict[str, str]:
    return {
        "CNI_CONTAINERID": request.container_id,
        "CNI_NETNS": request.netns,
        "CNI_IFNAME": request.ifname,
        "CNI_ARGS": request.args_text,
        "CNI_PATH": request.path,
    }
