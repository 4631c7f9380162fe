"""What the CRI knows, as the Docker Engine's JSON objects: pure functions.

`Entry` is one container as Docker would know it: of a pod's containers, or its sandbox.

Source: Docker Engine API 1.40, ContainerList, ContainerInspect, ImageList; dockershim's labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from podwire.cluster.cri_values import (
    Container,
    ContainerDetail,
    Image,
    Pod,
    PodDetail,
    rfc3339,
)
from podwire.cluster.docker_api import names
from podwire.cluster.nodetools.text import human_duration

STATES = {"created": "created", "running": "running", "exited": "exited", "unknown": "dead"}
_SECOND = 1_000_000_000
_OWN_FILES = ("/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/dev/shm")
_NODE_NETWORK = 2
"""NamespaceMode.NODE of the CRI."""


@dataclass(frozen=True, slots=True)
class Entry:
    """name: without Docker's leading slash; image: familiar name; image_id: sha256:...

    state: Docker's word; pid: 0 unless running; times: nanoseconds, 0 for never or unknown;
    spec: the OCI runtime specification, {} where the runtime gives none.
    """

    id: str
    name: str
    image: str
    image_id: str
    state: str
    pid: int
    created: int
    started: int
    finished: int
    exit_code: int
    labels: Mapping[str, str]
    sandbox_id: str
    log_path: str
    tty: bool
    host_network: bool
    spec: Mapping[str, Any]
    error: str = ""
    out_of_memory: bool = False

    @property
    def args(self) -> list[str]:
        return list(self.spec.get("process", {}).get("args") or [])


def sandbox_entry(detail: PodDetail, images: Sequence[Image]) -> Entry:
    """The pause container of a pod."""
    pod, info = detail.pod, detail.info
    reference = str(info.get("image", ""))
    labels = {
        **pod.labels,
        **{f"annotation.{name}": value for name, value in pod.annotations.items()},
        "io.kubernetes.container.name": names.POD_CONTAINER,
        "io.kubernetes.docker.type": "podsandbox",
    }
    return Entry(
        id=pod.id,
        name=names.sandbox_name(pod),
        image=names.familiar(reference),
        image_id=next((one.id for one in images if reference in (*one.tags, one.id)), reference),
        state="running" if pod.ready else "exited",
        pid=detail.pid if pod.ready else 0,
        created=pod.created,
        started=pod.created,
        finished=0,
        exit_code=0,
        labels=labels,
        sandbox_id=pod.id,
        log_path="",
        tty=False,
        host_network=_host_network(info),
        spec=info.get("runtimeSpec") or {},
    )


def container_entry(
    container: Container, detail: ContainerDetail, pod: Pod | None, images: Sequence[Image]
) -> Entry:
    """A container of a pod; `pod` is None when its sandbox is gone."""
    spec = detail.info.get("runtimeSpec") or {}
    labels = {
        **container.labels,
        **{f"annotation.{name}": value for name, value in container.annotations.items()},
        "io.kubernetes.container.logpath": detail.log_path,
        "io.kubernetes.docker.type": "container",
        "io.kubernetes.sandbox.id": container.pod_id,
    }
    state = STATES[detail.state]
    return Entry(
        id=container.id,
        name=names.container_name(container, pod),
        image=names.familiar(_reference(detail.image, container.image_id, images)),
        image_id=container.image_id,
        state=state,
        pid=detail.pid if state == "running" else 0,
        created=detail.created,
        started=detail.started,
        finished=detail.finished,
        exit_code=detail.exit_code,
        labels=labels,
        sandbox_id=container.pod_id,
        log_path=detail.log_path,
        tty=bool(spec.get("process", {}).get("terminal", False)),
        host_network=_host_network(detail.info),
        spec=spec,
        error=detail.message if state == "exited" else "",
        out_of_memory=detail.reason == "OOMKilled",
    )


def _reference(asked: str, image_id: str, images: Sequence[Image]) -> str:
    """A name for the image: the runtime's, else the image's own tag or digest, else its id."""
    if asked and not asked.startswith("sha256:"):
        return asked
    for one in images:
        if image_id in (one.id, *one.digests) and (one.tags or one.digests):
            return (*one.tags, *one.digests)[0]
    return image_id


def _host_network(info: Mapping[str, Any]) -> bool:
    linux = (info.get("config") or {}).get("linux") or {}
    options = (linux.get("security_context") or {}).get("namespace_options") or {}
    return bool(options.get("network", 0) == _NODE_NETWORK)


def network_mode(entry: Entry) -> str:
    """As dockershim sets it: CNI's sandboxes have none of Docker's, containers their sandbox's."""
    if entry.host_network:
        return "host"
    return "none" if entry.id == entry.sandbox_id else f"container:{entry.sandbox_id}"


def status_text(entry: Entry, now: int) -> str:
    """Up 26 minutes, Exited (137) 5 minutes ago, Created."""
    if entry.state == "running":
        return f"Up {human_duration((now - entry.started) / _SECOND)}"
    if entry.state == "exited":
        ago = human_duration((now - entry.finished) / _SECOND)
        return f"Exited ({entry.exit_code})" + (f" {ago} ago" if entry.finished else "")
    return entry.state.capitalize()


def summary(entry: Entry, now: int) -> dict[str, Any]:
    """An element of GET /containers/json. now: nanoseconds since the epoch."""
    mode = network_mode(entry)
    return {
        "Id": entry.id,
        "Names": [f"/{entry.name}"],
        "Image": entry.image,
        "ImageID": entry.image_id,
        "Command": names.command_line(entry.args),
        "Created": entry.created // _SECOND,
        "Ports": [],
        "Labels": dict(sorted(entry.labels.items())),
        "State": entry.state,
        "Status": status_text(entry, now),
        "HostConfig": {"NetworkMode": mode},
        "NetworkSettings": {"Networks": {mode: {}} if mode in ("none", "host") else {}},
        "Mounts": _mounts(entry),
    }


def inspection(entry: Entry) -> dict[str, Any]:
    """The answer to GET /containers/ID/json."""
    mounts = {one["Destination"]: one["Source"] for one in _binds(entry)}
    return {
        "Id": entry.id,
        "Created": rfc3339(entry.created),
        "Path": entry.args[0] if entry.args else "",
        "Args": entry.args[1:],
        "State": _state(entry),
        "Image": entry.image_id,
        "ResolvConfPath": mounts.get("/etc/resolv.conf", ""),
        "HostnamePath": mounts.get("/etc/hostname", ""),
        "HostsPath": mounts.get("/etc/hosts", ""),
        "LogPath": entry.log_path,
        "Name": f"/{entry.name}",
        "RestartCount": 0,
        "Driver": "overlay2",
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": None,
        "HostConfig": _host_config(entry),
        "GraphDriver": {"Name": "overlay2", "Data": {}},
        "Mounts": _mounts(entry),
        "Config": _config(entry),
        "NetworkSettings": _network_settings(entry),
    }


def _state(entry: Entry) -> dict[str, Any]:
    return {
        "Status": entry.state,
        "Running": entry.state == "running",
        "Paused": False,
        "Restarting": False,
        "OOMKilled": entry.out_of_memory,
        "Dead": entry.state == "dead",
        "Pid": entry.pid,
        "ExitCode": entry.exit_code,
        "Error": entry.error,
        "StartedAt": rfc3339(entry.started),
        "FinishedAt": rfc3339(entry.finished),
    }


def _host_config(entry: Entry) -> dict[str, Any]:
    linux = entry.spec.get("linux") or {}
    resources = linux.get("resources") or {}
    cpu, memory = resources.get("cpu") or {}, resources.get("memory") or {}
    path = str(linux.get("cgroupsPath", ""))
    return {
        "Binds": [f"{one['Source']}:{one['Destination']}" for one in _mounts(entry)],
        "NetworkMode": network_mode(entry),
        "IpcMode": "shareable" if entry.id == entry.sandbox_id else f"container:{entry.sandbox_id}",
        "PidMode": "",
        "UTSMode": "",
        "CgroupParent": path.rpartition("/")[0],
        "CpuShares": cpu.get("shares", 0),
        "CpuQuota": cpu.get("quota", 0),
        "CpuPeriod": cpu.get("period", 0),
        "Memory": memory.get("limit", 0),
        "OomScoreAdj": entry.spec.get("process", {}).get("oomScoreAdj", 0),
        "ReadonlyRootfs": bool((entry.spec.get("root") or {}).get("readonly", False)),
        "LogConfig": {"Type": "json-file", "Config": {}},
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
        "PortBindings": {},
        "Runtime": "runc",
    }


def _config(entry: Entry) -> dict[str, Any]:
    process = entry.spec.get("process") or {}
    user = process.get("user") or {}
    uid = user.get("uid", 0)
    return {
        "Hostname": entry.spec.get("hostname", ""),
        "Domainname": "",
        "User": f"{uid}:{user.get('gid', 0)}" if uid else "",
        "AttachStdin": False,
        "AttachStdout": False,
        "AttachStderr": False,
        "Tty": entry.tty,
        "OpenStdin": False,
        "StdinOnce": False,
        "Env": process.get("env") or [],
        "Cmd": entry.args[1:],
        "Image": entry.image,
        "Volumes": None,
        "WorkingDir": process.get("cwd", ""),
        "Entrypoint": entry.args[:1],
        "Labels": dict(sorted(entry.labels.items())),
    }


def _network_settings(entry: Entry) -> dict[str, Any]:
    """Empty, as Docker's are under CNI: the pod's address is no network of Docker's."""
    mode = network_mode(entry)
    return {
        "Bridge": "",
        "SandboxID": "",
        "Ports": {},
        "Gateway": "",
        "IPAddress": "",
        "IPPrefixLen": 0,
        "MacAddress": "",
        "Networks": {mode: {}} if mode in ("none", "host") else {},
    }


def _mounts(entry: Entry) -> list[dict[str, Any]]:
    """What the pod asked for; Docker does not count its own files among the mounts."""
    return [one for one in _binds(entry) if one["Destination"] not in _OWN_FILES]


def _binds(entry: Entry) -> list[dict[str, Any]]:
    found = [one for one in entry.spec.get("mounts") or [] if one.get("type") == "bind"]
    return [
        {
            "Type": "bind",
            "Source": one.get("source", ""),
            "Destination": one.get("destination", ""),
            "Mode": "",
            "RW": "ro" not in (one.get("options") or []),
            "Propagation": "rprivate",
        }
        for one in found
    ]


def image_summary(image: Image, created: int) -> dict[str, Any]:
    """An element of GET /images/json. created: seconds since the epoch."""
    return {
        "Id": image.id,
        "ParentId": "",
        "RepoTags": [names.with_tag(one) for one in image.tags],
        "RepoDigests": [names.with_tag(one) for one in image.digests],
        "Created": created,
        "Size": image.size,
        "VirtualSize": image.size,
        "SharedSize": -1,
        "Containers": -1,
        "Labels": image_config(image).get("Labels"),
    }


def image_config(image: Image) -> Mapping[str, Any]:
    config: Mapping[str, Any] = (image.info.get("imageSpec") or {}).get("config") or {}
    return config


def image_inspection(image: Image) -> dict[str, Any]:
    """The answer to GET /images/NAME/json."""
    spec = image.info.get("imageSpec") or {}
    return {
        **image_summary(image, 0),
        "Created": spec.get("created", rfc3339(0)),
        "Architecture": spec.get("architecture", ""),
        "Os": spec.get("os", ""),
        "Config": dict(image_config(image)),
        "GraphDriver": {"Name": "overlay2", "Data": {}},
        "RootFS": {"Type": "layers", "Layers": (spec.get("rootfs") or {}).get("diff_ids") or []},
    }
