"""The values that the CRI client gives out, made of the interface's messages (of either version).

Must not know how they were fetched. The documents have the shape and the field names of
`crictl ... -o json`, which are those of protobuf's own JSON with the times as text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from google.protobuf.json_format import MessageToDict

_SANDBOX_READY = 0
_STATES = {0: "created", 1: "running", 2: "exited"}
_TIMES = ("createdAt", "startedAt", "finishedAt")


@dataclass(frozen=True, slots=True)
class RuntimeVersion:
    """name, version: of the runtime, as in containerd 1.6.20; api: v1 or v1alpha2."""

    name: str
    version: str
    api: str


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod sandbox. created: nanoseconds since the epoch."""

    id: str
    name: str
    namespace: str
    uid: str
    attempt: int
    ready: bool
    created: int
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PodDetail:
    """pid: of the pause process in containerd's pid namespace, 0 when it has none.

    ip: "" in the node's own network. info: containerd's verbose JSON.
    """

    pod: Pod
    pid: int
    ip: str
    info: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Container:
    """state: created, running, exited or unknown. image: as asked for; image_id: what it is."""

    id: str
    pod_id: str
    name: str
    attempt: int
    image: str
    image_id: str
    state: str
    created: int
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ContainerDetail:
    """pid: in containerd's pid namespace, 0 unless it runs; times: nanoseconds, 0 for never.

    image: a name of its image; log_path: as the node sees it; info: containerd's verbose JSON.
    """

    id: str
    image: str
    state: str
    pid: int
    created: int
    started: int
    finished: int
    exit_code: int
    reason: str
    message: str
    log_path: str
    info: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Image:
    """tags, digests: full names. size: bytes. labels, created: of a verbose `image` alone."""

    id: str
    tags: tuple[str, ...]
    digests: tuple[str, ...]
    size: int
    info: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Usage:
    """What a container uses. cpu: nanoseconds since its start; memory: working set in bytes."""

    container_id: str
    cpu: int
    memory: int


@dataclass(frozen=True, slots=True)
class ExecResult:
    exit_code: int
    stdout: bytes
    stderr: bytes


def pod_of(one: Any) -> Pod:
    meta = one.metadata
    return Pod(
        id=one.id,
        name=meta.name,
        namespace=meta.namespace,
        uid=meta.uid,
        attempt=meta.attempt,
        ready=one.state == _SANDBOX_READY,
        created=one.created_at,
        labels=dict(one.labels),
        annotations=dict(one.annotations),
    )


def _state(number: int) -> str:
    return _STATES.get(number, "unknown")


def container_of(one: Any) -> Container:
    return Container(
        id=one.id,
        pod_id=one.pod_sandbox_id,
        name=one.metadata.name,
        attempt=one.metadata.attempt,
        image=one.image.image,
        image_id=one.image_ref,
        state=_state(one.state),
        created=one.created_at,
        labels=dict(one.labels),
        annotations=dict(one.annotations),
    )


def container_detail_of(answer: Any) -> ContainerDetail:
    status, info = answer.status, verbose_of(answer)
    return ContainerDetail(
        id=status.id,
        image=status.image.image,
        state=_state(status.state),
        pid=info.get("pid", 0),
        created=status.created_at,
        started=status.started_at,
        finished=status.finished_at,
        exit_code=status.exit_code,
        reason=status.reason,
        message=status.message,
        log_path=status.log_path,
        info=info,
    )


def image_of(one: Any, info: Mapping[str, Any] | None = None) -> Image:
    return Image(one.id, tuple(one.repo_tags), tuple(one.repo_digests), one.size, info or {})


def verbose_of(answer: Any) -> dict[str, Any]:
    """The JSON object in the `info` of a verbose answer; {} when the runtime gives none."""
    found = json.loads(answer.info.get("info", "{}"))
    return found if isinstance(found, dict) else {}


def pod_detail_of(answer: Any) -> PodDetail:
    info = verbose_of(answer)
    return PodDetail(pod_of(answer.status), info.get("pid", 0), answer.status.network.ip, info)


def usage_of(one: Any) -> Usage:
    return Usage(
        one.attributes.id, one.cpu.usage_core_nano_seconds.value, one.memory.working_set_bytes.value
    )


def document_of(answer: Any) -> dict[str, Any]:
    """A message as `crictl -o json` prints it; a verbose one has its `info` parsed, not quoted."""
    found: dict[str, Any] = _in_order(
        MessageToDict(answer, always_print_fields_with_no_presence=True)
    )
    status = found.get("status")
    if not isinstance(status, dict):
        return found
    times = {name: rfc3339(int(status[name])) for name in _TIMES if name in status}
    info = {name: _parsed(text) for name, text in found.get("info", {}).items()}
    named = {"info": info.pop("info", {})} if not info or "info" in info else {}
    return {"status": {**status, **times}, **named, **info}


def _in_order(value: Any, name: str = "") -> Any:
    """The value with protobuf's maps, whose order is by chance, sorted as Go sorts them."""
    if isinstance(value, list):
        return [_in_order(one) for one in value]
    if not isinstance(value, dict):
        return value
    pairs = sorted(value.items()) if name in ("labels", "annotations") else value.items()
    return {key: _in_order(one, key) for key, one in pairs}


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def rfc3339(nanoseconds: int) -> str:
    """A time as Go prints it in UTC, nanoseconds kept: 2020-11-06T13:56:29.000000001Z.

    0, which stands for never, is Go's zero time.
    """
    if nanoseconds <= 0:
        return "0001-01-01T00:00:00Z"
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}{fraction}Z"
