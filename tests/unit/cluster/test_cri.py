"""The CRI client against a gRPC server, of either version of the interface."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from podwire.cluster.cri import DOCUMENTS, CriClient
from podwire.cluster.cri_values import rfc3339
from podwire.model.errors import UnavailableError

from . import cri_server as cri


@asynccontextmanager
async def connected(socket: Path, *versions: str) -> AsyncIterator[CriClient]:
    server = await cri.serve(socket, *versions)
    try:
        client = await CriClient.connect(socket)
        try:
            yield client
        finally:
            await client.close()
    finally:
        await server.stop(0)


@pytest.fixture(params=["v1", "v1alpha2"])
def with_client(request: pytest.FixtureRequest, tmp_path: Path):
    """Runs a coroutine function with a client of a server that speaks one version alone."""

    def run(work: Callable[[CriClient], Awaitable[Any]]) -> Any:
        async def whole() -> Any:
            async with connected(tmp_path / "c.sock", request.param) as client:
                return await work(client)

        return asyncio.run(whole())

    run.version = request.param
    return run


def test_the_version_that_the_server_speaks(with_client) -> None:
    version = with_client(lambda client: client.version())
    assert (version.name, version.version, version.api) == (
        *("containerd", "1.6.20", with_client.version),
    )


def test_v1_is_preferred(tmp_path: Path) -> None:
    async def work() -> str:
        async with connected(tmp_path / "c.sock", "v1", "v1alpha2") as client:
            return (await client.version()).api

    assert asyncio.run(work()) == "v1"


def test_pods(with_client) -> None:
    (pod,) = with_client(lambda client: client.pods(ready=True))
    assert (pod.id, pod.name, pod.namespace, pod.uid) == (cri.SANDBOX, cri.POD, "shop", cri.UID)
    assert pod.ready
    assert pod.created == cri.CREATED
    assert pod.labels["app"] == "web"


def test_pod_status(with_client) -> None:
    detail = with_client(lambda client: client.pod_status(cri.SANDBOX))
    assert (detail.pid, detail.ip) == (41, "10.220.2.5")
    assert detail.info["image"] == "example.net/pause:3"
    assert with_client(lambda client: client.pod_status("none")) is None


def test_containers_newest_first_and_filtered(with_client) -> None:
    both = with_client(lambda client: client.containers())
    assert [(one.id, one.state) for one in both] == [
        (cri.RUNNING, "running"),
        (cri.EXITED, "exited"),
    ]
    exited = with_client(lambda client: client.containers(state="exited"))
    assert [one.id for one in exited] == [cri.EXITED]
    prefix = with_client(lambda client: client.containers(container_id="ab"))
    assert [one.id for one in prefix] == [cri.RUNNING]


def test_container_status(with_client) -> None:
    running = with_client(lambda client: client.container_status(cri.RUNNING))
    assert (running.state, running.pid, running.finished) == ("running", 42, 0)
    exited = with_client(lambda client: client.container_status(cri.EXITED))
    assert (exited.state, exited.pid, exited.exit_code) == ("exited", 0, 137)
    assert exited.reason == "OOMKilled"
    assert with_client(lambda client: client.container_status("none")) is None


def test_images(with_client) -> None:
    images = with_client(lambda client: client.images())
    assert [one.tags for one in images] == [
        ("docker.io/library/web:latest",),
        ("example.net/pause:3",),
    ]
    image = with_client(lambda client: client.image("web"))
    assert (image.id, image.size) == (cri.IMAGE, 1500)
    assert image.info["imageSpec"]["os"] == "linux"
    assert with_client(lambda client: client.image("none")) is None


def test_exec_and_usage(with_client) -> None:
    result = with_client(lambda client: client.exec_sync(cri.RUNNING, ["echo", "hi"]))
    assert (result.exit_code, result.stdout, result.stderr) == (3, b"echo hi", b"!")
    (used,) = with_client(lambda client: client.usage())
    assert (used.container_id, used.cpu, used.memory) == (cri.RUNNING, 7, 4096)


def test_documents_have_crictls_names(with_client) -> None:
    async def work(client: CriClient) -> dict[str, Any]:
        ids = {"inspect": cri.EXITED, "inspectp": cri.SANDBOX}
        return {one: await client.document(one, ids.get(one, "")) for one in DOCUMENTS}

    found = with_client(work)
    assert found["version"]["runtimeName"] == "containerd"
    assert found["pods"]["items"][0]["metadata"]["namespace"] == "shop"
    assert found["pods"]["items"][0]["createdAt"] == str(cri.CREATED)
    assert list(found["pods"]["items"][0]["labels"]) == sorted({**cri.LABELS, "app": ""})
    assert found["containers"]["containers"][0]["podSandboxId"] == cri.SANDBOX
    assert found["images"]["images"][0]["repoTags"] == ["docker.io/library/web:latest"]
    assert found["stats"]["stats"][0]["memory"]["workingSetBytes"] == {"value": "4096"}
    assert found["info"]["config"] == {"a": 1}
    assert found["info"]["lastCNILoadStatus"] == "OK"
    assert found["inspect"]["status"]["state"] == "CONTAINER_EXITED"
    assert found["inspect"]["status"]["finishedAt"] == "2020-11-06T13:56:29.000000001Z"
    assert found["inspect"]["info"]["runtimeSpec"]["process"]["args"][0] == "/entry.sh"
    assert found["inspectp"]["info"]["pid"] == 41


def test_a_document_of_nothing(with_client) -> None:
    assert with_client(lambda client: client.document("inspect", "none")) is None


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="does not answer now"):
        asyncio.run(CriClient.connect(tmp_path / "none.sock", timeout=1))


def test_a_server_of_neither_version(tmp_path: Path) -> None:
    async def work() -> None:
        async with connected(tmp_path / "c.sock"):
            pass

    with pytest.raises(UnavailableError, match="neither CRI v1 nor v1alpha2"):
        asyncio.run(work())


def test_a_server_that_never_answers(tmp_path: Path) -> None:
    async def work() -> None:
        silent = await asyncio.start_unix_server(lambda _r, _w: asyncio.sleep(5), tmp_path / "s")
        async with silent:
            await CriClient.connect(tmp_path / "s", timeout=0.2)

    with pytest.raises(UnavailableError):
        asyncio.run(work())


def test_it_comes_back_when_the_server_does(tmp_path: Path) -> None:
    socket = tmp_path / "c.sock"

    async def work() -> int:
        server = await cri.serve(socket, "v1")
        client = await CriClient.connect(socket)
        await server.stop(0)
        with pytest.raises(UnavailableError):
            await client.pods()
        server = await cri.serve(socket, "v1")
        try:
            for _ in range(100):
                try:
                    return len(await client.pods())
                except UnavailableError:
                    await asyncio.sleep(0.05)
            return 0
        finally:
            await client.close()
            await server.stop(0)

    assert asyncio.run(work()) == 1


def test_times_as_go_prints_them() -> None:
    assert rfc3339(0) == "0001-01-01T00:00:00Z"
    assert rfc3339(1_604_670_989_000_000_000) == "2020-11-06T13:56:29Z"
    assert rfc3339(1_604_670_989_120_000_000) == "2020-11-06T13:56:29.12Z"
