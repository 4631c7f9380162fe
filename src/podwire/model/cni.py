"""A call of a plugin, as its environment and its stdin give it. No I/O.

Source: CNI specification 1.1.0.
Must not know how a pod is wired or where addresses come from.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from podwire.model.cni_error import (
    DECODE_FAILURE,
    DEFAULT_VERSION,
    INVALID_ENVIRONMENT,
    SUPPORTED,
    CniError,
)
from podwire.model.cni_result import Result

VERBS = ("ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION")
_OF_A_CONTAINER = ("ADD", "DEL", "CHECK")


def parse_args(text: str) -> dict[str, str]:
    """CNI_ARGS: KEY=VALUE pairs joined by semicolons, in any order; the last of a key wins."""
    pairs = [pair for pair in text.split(";") if pair.strip()]
    for pair in pairs:
        if "=" not in pair:
            raise CniError(
                INVALID_ENVIRONMENT,
                f"CNI_ARGS: {pair!r} is not KEY=VALUE; join pairs with semicolons",
            )
    split = (pair.strip().partition("=") for pair in pairs)
    return {key: value for key, _, value in split}


@dataclass(frozen=True, slots=True)
class Request:
    """One call of a plugin, as its environment and its stdin give it.

    netns, path: "" when absent; args_text, stdin: as they came, for the log. waiting: whether the
    caller still waits; a process that serves many callers may outlive one that gave up.
    """

    command: str
    container_id: str = ""
    netns: str = ""
    ifname: str = ""
    args: Mapping[str, str] = field(default_factory=dict)
    path: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    args_text: str = ""
    stdin: str = ""
    waiting: Callable[[], bool] = field(default=lambda: True, compare=False, repr=False)

    @classmethod
    def parse(cls, env: Mapping[str, str], stdin: bytes) -> Request:
        """Raises CniError 4 (environment), 6 (stdin)."""
        command = env.get("CNI_COMMAND", "")
        env = {name: _text(name, env.get(name, ""), command) for name in _ENVIRONMENT}
        if command not in VERBS:
            raise CniError(
                INVALID_ENVIRONMENT,
                f"CNI_COMMAND is {command!r}; this plugin knows {', '.join(VERBS)}",
            )
        text, config = decode_config(stdin, empty_ok=command == "VERSION")
        args_text = env.get("CNI_ARGS", "")
        request = cls(
            command=command,
            container_id=env.get("CNI_CONTAINERID", ""),
            netns=env.get("CNI_NETNS", ""),
            ifname=env.get("CNI_IFNAME", ""),
            # A pod whose arguments cannot be read must still be removable.
            args=parse_args(args_text) if command in ("ADD", "CHECK") else {},
            path=env.get("CNI_PATH", ""),
            config=config,
            args_text=args_text,
            stdin=text,
        )
        if command in _OF_A_CONTAINER:
            _check_environment(request)
        return request

    @property
    def previous(self) -> Result | None:
        """The configuration's prevResult. Raises CniError 6 when it makes no sense."""
        raw = self.config.get("prevResult")
        return Result.from_json(raw) if raw else None

    @property
    def version(self) -> str:
        """The cniVersion to answer in, also when the configuration has an unknown one."""
        version = self.config.get("cniVersion") or DEFAULT_VERSION
        return version if version in SUPPORTED else SUPPORTED[-1]

    @property
    def pod_namespace(self) -> str:
        return self.args.get("K8S_POD_NAMESPACE", "")

    @property
    def pod_name(self) -> str:
        return self.args.get("K8S_POD_NAME", "")


def decode_config(stdin: bytes, *, empty_ok: bool = False) -> tuple[str, dict[str, Any]]:
    """stdin as text and as a JSON object. Raises CniError 6."""
    if empty_ok and not stdin.strip():
        return "", {}
    try:
        text = stdin.decode()
        config = json.loads(text)
        if "\\u" in text:  # half a surrogate pair is no text: refused before a log or a path has it
            json.dumps(config, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise CniError(
            DECODE_FAILURE,
            f"Failed to parse network configuration: {error}.",
            "stdin must hold one JSON object, the network configuration",
        ) from error
    if not isinstance(config, dict):
        raise CniError(
            DECODE_FAILURE,
            f"Failed to parse network configuration: stdin is a JSON {type(config).__name__}, "
            "not an object.",
        )
    return text, config


_ENVIRONMENT = ("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS", "CNI_PATH")


def _text(name: str, value: str, command: str) -> str:
    """A variable's value, refused when it is not UTF-8; DEL must not fail for that."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        if command == "DEL":
            return value.encode(errors="replace").decode()
        raise CniError(INVALID_ENVIRONMENT, f"{name} is {value!r}; it must be UTF-8") from error
    return value


def _check_environment(request: Request) -> None:
    check_container_id(request.container_id)
    check_ifname(request.ifname)
    if not request.netns and request.command != "DEL":
        raise CniError(INVALID_ENVIRONMENT, "CNI_NETNS is not set; give the pod's netns path")


def check_container_id(value: str) -> None:
    """Raises CniError 4."""
    if not value:
        raise CniError(INVALID_ENVIRONMENT, "Container ID not specified in CNI Args")
    plain = value.replace("_", "").replace(".", "").replace("-", "")
    if not (value[0].isalnum() and plain.isalnum() and value.isascii()):
        raise CniError(
            INVALID_ENVIRONMENT,
            f"CNI_CONTAINERID is {value!r}; it must start with a letter or digit and hold only "
            "letters, digits, '_', '.' and '-'",
        )


def check_ifname(value: str) -> None:
    """Raises CniError 4."""
    if not value:
        raise CniError(INVALID_ENVIRONMENT, "Interfacename not specified in CNI Args")
    if not valid_link_name(value):
        raise CniError(
            INVALID_ENVIRONMENT,
            f"CNI_IFNAME is {value!r}; a link name has 1 to 15 characters, no '/', ':' or space",
        )


def valid_link_name(value: str) -> bool:
    """Whether Linux takes it as the name of a link (dev_valid_name in net/core/dev.c)."""
    bad = any(char in "/:" or char.isspace() or not char.isprintable() for char in value)
    return 0 < len(value.encode(errors="replace")) <= 15 and value not in (".", "..") and not bad
