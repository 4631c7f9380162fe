"""The Container Runtime Interface of one node's containerd, as an asynchronous client.

Both versions of the interface (runtime.v1, and runtime.v1alpha2 of Kubernetes before 1.23) take
one code path: their messages and methods have the same names. Values go out, never protobufs.
Must not know who asks, nor what Docker or Kubernetes make of the answers.

Source: k8s.io/cri-api, api.proto; the JSON in the `info` of a verbose answer is containerd's own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import grpc
import grpc.aio
from cri_api.v1 import api_pb2 as v1
from cri_api.v1 import api_pb2_grpc as v1_grpc
from cri_api.v1alpha2 import api_pb2 as v1alpha2
from cri_api.v1alpha2 import api_pb2_grpc as v1alpha2_grpc

from podwire.cluster.cri_values import (
    Container,
    ContainerDetail,
    ExecResult,
    Image,
    Pod,
    PodDetail,
    RuntimeVersion,
    Usage,
    container_detail_of,
    container_of,
    document_of,
    image_of,
    pod_detail_of,
    pod_of,
    usage_of,
    verbose_of,
)
from podwire.model.errors import UnavailableError

__all__ = [
    "Container",
    "ContainerDetail",
    "CriClient",
    "ExecResult",
    "Image",
    "Pod",
    "PodDetail",
    "RuntimeVersion",
    "Usage",
]

TIMEOUT = 5.0
"""Seconds that a call may take."""
DOCUMENTS = ("version", "pods", "containers", "images", "stats", "info", "inspect", "inspectp")

_VERSIONS = ((v1, v1_grpc), (v1alpha2, v1alpha2_grpc))
_OPTIONS = (
    ("grpc.max_receive_message_length", 32 << 20),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.enable_http_proxy", 0),
)


class _Interface(Protocol):
    """What the two generated modules of one version have in common with the other's."""

    def __getattr__(self, name: str) -> Any: ...


class CriClient:
    """A connection to one containerd; it reconnects by itself when containerd comes back.

    Every method raises UnavailableError when containerd does not answer in time or refuses.
    """

    def __init__(self, channel: Any, messages: _Interface, stubs: _Interface, where: str) -> None:
        self._channel = channel
        self._messages = messages
        self._runtime = stubs.RuntimeServiceStub(channel)
        self._images = stubs.ImageServiceStub(channel)
        self._where = where

    @classmethod
    async def connect(cls, socket: Path, *, timeout: float = 2.0) -> CriClient:
        """Connect and settle the version. Raises UnavailableError when nobody answers there."""
        channel = grpc.aio.insecure_channel(f"unix://{socket}", options=_OPTIONS)
        try:
            for messages, stubs in _VERSIONS:
                client = cls(channel, messages, stubs, str(socket))
                if await client._speaks(timeout):
                    return client
        except BaseException:
            await channel.close()
            raise
        await channel.close()
        raise UnavailableError(
            f"{socket} speaks neither CRI v1 nor v1alpha2; is containerd's CRI plugin disabled?"
        )

    async def close(self) -> None:
        await self._channel.close()

    async def _speaks(self, timeout: float) -> bool:
        try:
            await self._runtime.Version(self._messages.VersionRequest(), timeout=timeout)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                return False
            raise self._unavailable(error) from None
        return True

    def _unavailable(self, error: grpc.aio.AioRpcError) -> UnavailableError:
        if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
            return UnavailableError(
                f"containerd at {self._where} does not answer now; "
                "wait until it has started, or see why in its log"
            )
        return UnavailableError(f"containerd at {self._where} refuses: {error.details()}")

    async def _call(self, method: Any, request: Any, timeout: float = TIMEOUT) -> Any:
        """The answer; None when containerd does not know the thing that is asked about."""
        try:
            return await method(request, timeout=timeout)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return None
            raise self._unavailable(error) from None

    async def version(self) -> RuntimeVersion:
        answer = await self._version()
        return RuntimeVersion(
            answer.runtime_name, answer.runtime_version, answer.runtime_api_version
        )

    async def _version(self) -> Any:
        return await self._call(self._runtime.Version, self._messages.VersionRequest())

    async def pods(
        self,
        *,
        pod_id: str = "",
        ready: bool | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> list[Pod]:
        """The pod sandboxes, newest first. pod_id may be a prefix of the id."""
        answer = await self._list_pods(pod_id=pod_id, ready=ready, labels=labels)
        return sorted(map(pod_of, answer.items), key=lambda one: -one.created)

    async def _list_pods(
        self, pod_id: str = "", ready: bool | None = None, labels: Mapping[str, str] | None = None
    ) -> Any:
        messages = self._messages
        wanted = messages.PodSandboxFilter(id=pod_id, label_selector=labels or {})
        if ready is not None:
            state = messages.SANDBOX_READY if ready else messages.SANDBOX_NOTREADY
            wanted.state.CopyFrom(messages.PodSandboxStateValue(state=state))
        request = messages.ListPodSandboxRequest(filter=wanted)
        return await self._call(self._runtime.ListPodSandbox, request)

    async def containers(
        self,
        *,
        container_id: str = "",
        pod_id: str = "",
        state: str = "",
        labels: Mapping[str, str] | None = None,
    ) -> list[Container]:
        """The containers, newest first. Ids may be prefixes; state as in `Container`, "" any."""
        answer = await self._list_containers(container_id, pod_id, state, labels)
        return sorted(map(container_of, answer.containers), key=lambda one: -one.created)

    async def _list_containers(
        self,
        container_id: str = "",
        pod_id: str = "",
        state: str = "",
        labels: Mapping[str, str] | None = None,
    ) -> Any:
        messages = self._messages
        wanted = messages.ContainerFilter(
            id=container_id, pod_sandbox_id=pod_id, label_selector=labels or {}
        )
        if state:
            number = messages.ContainerState.Value(f"CONTAINER_{state.upper()}")
            wanted.state.CopyFrom(messages.ContainerStateValue(state=number))
        request = messages.ListContainersRequest(filter=wanted)
        return await self._call(self._runtime.ListContainers, request)

    async def pod_status(self, pod_id: str) -> PodDetail | None:
        """All about one sandbox; None when there is none of that id."""
        answer = await self._pod_status(pod_id)
        return None if answer is None else pod_detail_of(answer)

    async def _pod_status(self, pod_id: str) -> Any:
        request = self._messages.PodSandboxStatusRequest(pod_sandbox_id=pod_id, verbose=True)
        return await self._call(self._runtime.PodSandboxStatus, request)

    async def container_status(self, container_id: str) -> ContainerDetail | None:
        """All about one container; None when there is none of that id."""
        answer = await self._container_status(container_id)
        return None if answer is None else container_detail_of(answer)

    async def _container_status(self, container_id: str) -> Any:
        request = self._messages.ContainerStatusRequest(container_id=container_id, verbose=True)
        return await self._call(self._runtime.ContainerStatus, request)

    async def images(self) -> list[Image]:
        answer = await self._list_images()
        return [image_of(one) for one in answer.images]

    async def _list_images(self) -> Any:
        request = self._messages.ListImagesRequest()
        return await self._call(self._images.ListImages, request)

    async def image(self, name: str) -> Image | None:
        """One image, by name or id, with its configuration in `info`; None when not there."""
        spec = self._messages.ImageSpec(image=name)
        request = self._messages.ImageStatusRequest(image=spec, verbose=True)
        answer = await self._call(self._images.ImageStatus, request)
        if answer is None or not answer.HasField("image"):
            return None
        return image_of(answer.image, verbose_of(answer))

    async def usage(self) -> list[Usage]:
        """What the running containers use."""
        answer = await self._stats()
        return [usage_of(one) for one in answer.stats]

    async def _stats(self) -> Any:
        request = self._messages.ListContainerStatsRequest()
        return await self._call(self._runtime.ListContainerStats, request)

    async def _status(self) -> Any:
        return await self._call(self._runtime.Status, self._messages.StatusRequest(verbose=True))

    async def exec_sync(
        self, container_id: str, argv: list[str], *, timeout: int = 10
    ) -> ExecResult:
        """Run `argv` in a container and wait for its end, `timeout` whole seconds at most."""
        request = self._messages.ExecSyncRequest(
            container_id=container_id, cmd=argv, timeout=timeout
        )
        answer = await self._call(self._runtime.ExecSync, request, timeout + TIMEOUT)
        if answer is None:
            raise UnavailableError(f"container {container_id} is not there any more")
        return ExecResult(answer.exit_code, answer.stdout, answer.stderr)

    async def document(self, what: str, identity: str = "") -> dict[str, Any] | None:
        """What `crictl` shows for `what`, one of DOCUMENTS, as it prints it with -o json.

        identity: an id, for inspect and inspectp; None when there is no such thing.
        """
        answers: dict[str, Callable[[], Awaitable[Any]]] = {
            "version": self._version,
            "pods": self._list_pods,
            "containers": self._list_containers,
            "images": self._list_images,
            "stats": self._stats,
            "info": self._status,
            "inspectp": partial(self._pod_status, identity),
            "inspect": partial(self._container_status, identity),
        }
        answer = await answers[what]()
        return None if answer is None else document_of(answer)
