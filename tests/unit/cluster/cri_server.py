"""A CRI server over real gRPC: one pod of two containers, in the versions that a test wants."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import grpc
import grpc.aio
from cri_api.v1 import api_pb2 as v1
from cri_api.v1 import api_pb2_grpc as v1_grpc
from cri_api.v1alpha2 import api_pb2 as v1alpha2
from cri_api.v1alpha2 import api_pb2_grpc as v1alpha2_grpc

VERSIONS: dict[str, tuple[ModuleType, ModuleType]] = {
    "v1": (v1, v1_grpc),
    "v1alpha2": (v1alpha2, v1alpha2_grpc),
}
SANDBOX = "aa" * 32
RUNNING = "ab" * 32
EXITED = "cd" * 32
POD = "web-0"
UID = "u-1"
IMAGE = "sha256:" + "11" * 32
PAUSE = "sha256:" + "22" * 32
CREATED = 1_604_670_989_000_000_001
LABELS = {"io.kubernetes.pod.name": POD, "io.kubernetes.pod.namespace": "shop"}


class Runtime:
    """Mixed with the servicer of one version, whose messages these are."""

    messages: Any
    version: str
    log: str
    pid: int

    async def Version(self, request: Any, context: Any) -> Any:  # noqa: N802
        return self.messages.VersionResponse(
            version="0.1.0",
            runtime_name="containerd",
            runtime_version="1.6.20",
            runtime_api_version=self.version,
        )

    async def ListPodSandbox(self, request: Any, context: Any) -> Any:  # noqa: N802
        return self.messages.ListPodSandboxResponse(items=[self._pod(self.messages.PodSandbox)])

    def _pod(self, kind: Any) -> Any:
        return kind(
            id=SANDBOX,
            metadata=self.messages.PodSandboxMetadata(name=POD, uid=UID, namespace="shop"),
            state=self.messages.SANDBOX_READY,
            created_at=CREATED,
            labels={**LABELS, "app": "web"},
        )

    async def PodSandboxStatus(self, request: Any, context: Any) -> Any:  # noqa: N802
        if request.pod_sandbox_id != SANDBOX:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such sandbox")
        status = self._pod(self.messages.PodSandboxStatus)
        status.network.ip = "10.220.2.5"
        spec = {"process": {"args": ["/pause"]}}
        info = {"pid": 41, "image": "example.net/pause:3", "runtimeSpec": spec}
        return self.messages.PodSandboxStatusResponse(
            status=status, info={"info": json.dumps(info)}
        )

    async def ListContainers(self, request: Any, context: Any) -> Any:  # noqa: N802
        found = [
            self.messages.Container(
                id=identity,
                pod_sandbox_id=SANDBOX,
                metadata=self.messages.ContainerMetadata(name="web", attempt=attempt),
                image=self.messages.ImageSpec(image=IMAGE),
                image_ref=IMAGE,
                state=state,
                created_at=CREATED + attempt,
                labels=LABELS,
            )
            for identity, attempt, state in (
                (EXITED, 0, self.messages.CONTAINER_EXITED),
                (RUNNING, 1, self.messages.CONTAINER_RUNNING),
            )
        ]
        wanted = request.filter
        return self.messages.ListContainersResponse(
            containers=[
                one
                for one in found
                if one.id.startswith(wanted.id)
                and (not wanted.HasField("state") or one.state == wanted.state.state)
            ]
        )

    async def ContainerStatus(self, request: Any, context: Any) -> Any:  # noqa: N802
        if request.container_id not in (RUNNING, EXITED):
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such container")
        running = request.container_id == RUNNING
        status = self.messages.ContainerStatus(
            id=request.container_id,
            metadata=self.messages.ContainerMetadata(name="web", attempt=int(running)),
            state=self.messages.CONTAINER_RUNNING if running else self.messages.CONTAINER_EXITED,
            created_at=CREATED + 1 + running,
            started_at=CREATED,
            finished_at=0 if running else CREATED,
            exit_code=0 if running else 137,
            reason="" if running else "OOMKilled",
            image=self.messages.ImageSpec(image="docker.io/library/web:latest"),
            image_ref=IMAGE,
            log_path=self.log,
        )
        spec = {"process": {"args": ["/entry.sh", "serve", "two words"], "env": ["A=1"]}}
        info = {"pid": self.pid if running else 0, "runtimeSpec": spec}
        return self.messages.ContainerStatusResponse(status=status, info={"info": json.dumps(info)})

    async def Status(self, request: Any, context: Any) -> Any:  # noqa: N802
        condition = self.messages.RuntimeCondition(type="RuntimeReady", status=True)
        status = self.messages.RuntimeStatus(conditions=[condition])
        info = {"config": '{"a": 1}', "lastCNILoadStatus": "OK"}
        return self.messages.StatusResponse(status=status, info=info)

    async def ListContainerStats(self, request: Any, context: Any) -> Any:  # noqa: N802
        one = self.messages.ContainerStats(
            attributes=self.messages.ContainerAttributes(
                id=RUNNING, metadata=self.messages.ContainerMetadata(name="web")
            ),
            cpu=self.messages.CpuUsage(
                timestamp=5, usage_core_nano_seconds=self.messages.UInt64Value(value=7)
            ),
            memory=self.messages.MemoryUsage(
                working_set_bytes=self.messages.UInt64Value(value=4096)
            ),
        )
        return self.messages.ListContainerStatsResponse(stats=[one])

    async def ExecSync(self, request: Any, context: Any) -> Any:  # noqa: N802
        said = " ".join(request.cmd).encode()
        return self.messages.ExecSyncResponse(stdout=said, stderr=b"!", exit_code=3)


class Images:
    messages: Any

    async def ListImages(self, request: Any, context: Any) -> Any:  # noqa: N802
        tagged = ((IMAGE, "docker.io/library/web:latest"), (PAUSE, "example.net/pause:3"))
        return self.messages.ListImagesResponse(
            images=[self.messages.Image(id=one, repo_tags=[tag], size=1500) for one, tag in tagged]
        )

    async def ImageStatus(self, request: Any, context: Any) -> Any:  # noqa: N802
        if request.image.image not in (IMAGE, "web"):
            return self.messages.ImageStatusResponse()
        spec = {"created": "2020-11-06T13:56:29Z", "os": "linux", "config": {"Labels": None}}
        image = self.messages.Image(id=IMAGE, repo_tags=["docker.io/library/web:latest"], size=1500)
        info = {"info": json.dumps({"imageSpec": spec})}
        return self.messages.ImageStatusResponse(image=image, info=info)


async def serve(socket: Path, *versions: str, log: str = "", pid: int = 42) -> Any:
    """A started server; the caller stops it."""
    server = grpc.aio.server()
    for version in versions:
        messages, stubs = VERSIONS[version]
        values = {"messages": messages, "version": version, "log": log, "pid": pid}
        runtime = type("Both", (Runtime, stubs.RuntimeServiceServicer), values)
        images = type("Both", (Images, stubs.ImageServiceServicer), values)
        stubs.add_RuntimeServiceServicer_to_server(runtime(), server)
        stubs.add_ImageServiceServicer_to_server(images(), server)
    server.add_insecure_port(f"unix://{socket}")
    await server.start()
    return server
