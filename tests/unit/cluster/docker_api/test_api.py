"""The whole API over HTTP, on a CRI server of one pod with a running and an ended container."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from podwire.cluster.docker_api import DockerApi
from podwire.cluster.docker_api import api as module

from .. import cri_server as cri

Fetch = Callable[..., Any]


async def fetch(path: Path, target: str, method: str = "GET", agent: str = "t") -> tuple[int, Any]:
    """The status and the body, parsed when it is JSON."""
    reader, writer = await asyncio.open_unix_connection(path)
    head = f"{method} {target} HTTP/1.1\r\nUser-Agent: {agent}\r\nConnection: close\r\n\r\n"
    writer.write(head.encode())
    head_bytes, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    try:
        return int(head_bytes.split()[1]), json.loads(body)
    except ValueError:
        return int(head_bytes.split()[1]), body


@pytest.fixture(params=["v1", "v1alpha2"])
def ask(request: pytest.FixtureRequest, tmp_path: Path) -> Fetch:
    """Ask one thing of a fresh API."""
    root = tmp_path / "root"
    (root / "run").mkdir(parents=True)
    (root / "var").mkdir()
    (root / "var/run").symlink_to("/run")
    (root / "0.log").write_text("2020-11-06T13:56:29.5Z stdout F hi\n")

    def run(target: str, method: str = "GET", agent: str = "t", containerd: bool = True) -> Any:
        async def work() -> Any:
            versions = (request.param,) if containerd else ()
            server = await cri.serve(root / "c", *versions, log="/0.log", pid=os.getpid())
            if not containerd:
                await server.stop(0)
            api = DockerApi(root / "c", root, "node-0")
            await api.serve(root / "var/run/docker.sock")
            try:
                return await fetch(root / "run/docker.sock", target, method, agent)
            finally:
                await api.close()
                await server.stop(0)

        return asyncio.run(work())

    return run


def test_what_answers_always(ask: Fetch) -> None:
    for containerd in (True, False):
        assert ask("/_ping", containerd=containerd) == (200, b"OK")
        assert ask("/_ping", "HEAD", containerd=containerd) == (200, b"")
        status, version = ask("/v1.24/version", containerd=containerd)
        assert (status, version["ApiVersion"]) == (200, "1.40")
        status, info = ask("/v1.40/info", containerd=containerd)
        assert (status, info["Name"], info["Driver"]) == (200, "node-0", "overlay2")
        assert info["Containers"] == (3 if containerd else 0)
        assert info["ContainersRunning"] == (2 if containerd else 0)


def test_the_rest_says_that_containerd_is_away(ask: Fetch) -> None:
    for target in ("/containers/json", "/containers/x/json", "/images/json", "/podwire/cri/pods"):
        status, body = ask(target, containerd=False)
        assert status == 503
        assert "containerd" in body["message"]


def test_lists(ask: Fetch) -> None:
    status, found = ask("/v1.40/containers/json")
    assert status == 200
    assert [one["Id"] for one in found] == [cri.RUNNING, cri.SANDBOX]
    web = found[0]
    assert (web["Image"], web["Command"]) == ("web", "/entry.sh serve 'two words'")
    assert web["Names"] == [f"/k8s_web_{cri.POD}_shop_{cri.UID}_1"]
    assert len(ask("/containers/json?all=1")[1]) == 3
    assert len(ask("/containers/json?limit=1")[1]) == 1
    filtered = ask('/containers/json?filters={"status":["exited"]}'.replace('"', "%22"))[1]
    assert [one["Id"] for one in filtered] == [cri.EXITED]
    assert filtered[0]["Status"].startswith("Exited (137) ")


def test_bad_questions(ask: Fetch) -> None:
    assert ask("/containers/json?limit=x")[0] == 400
    assert ask("/containers/json?filters=x")[0] == 400
    assert ask("/containers/ab/logs")[0] == 400
    assert ask("/containers/a/json")[0] == 400  # the beginning of two ids
    assert ask("/containers/none/json") == (404, {"message": "No such container: none"})


def test_inspect_by_prefix_and_name(ask: Fetch) -> None:
    assert ask("/v1.40/containers/ab/json")[1]["State"]["Pid"] == os.getpid()
    name = f"k8s_POD_{cri.POD}_shop_{cri.UID}_0"
    assert ask(f"/containers/{name}/json")[1]["Id"] == cri.SANDBOX


def test_only_cadvisor_is_told_no(ask: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    target, agent = f"/v1.40/containers/{cri.RUNNING}/json", "Go-http-client/1.1"
    assert ask(target, agent=agent)[0] == 200
    mine = Path("/proc/self/comm").read_text().strip()
    monkeypatch.setattr(module, "_CADVISORS", (mine,))
    assert ask(target, agent=agent)[0] == 404
    assert ask(target, agent="Docker-Client/28.2.2 (linux)")[0] == 200


def test_logs(ask: Fetch) -> None:
    status, body = ask("/containers/ab/logs?stdout=1")
    assert (status, body) == (200, b"b\r\n\x01\0\0\0\0\0\0\x03hi\n\r\n0\r\n\r\n")
    assert ask("/containers/aa/logs?stdout=1") == (200, b"")
    assert ask("/containers/none/logs?stdout=1")[0] == 404


def test_top_of_what_does_not_run(ask: Fetch) -> None:
    assert ask("/containers/cd/top")[0] == 409
    assert ask("/containers/none/top")[0] == 404
    assert ask("/containers/ab/top?ps_args=aux")[0] == 400


def test_images(ask: Fetch) -> None:
    images = ask("/images/json")[1]
    assert images[0]["RepoTags"] == ["web:latest"]
    assert images[0]["Created"] == 1_604_670_989
    assert ask("/images/web/json")[1]["Os"] == "linux"
    assert ask("/images/none/json")[0] == 404


def test_documents(ask: Fetch) -> None:
    assert ask("/podwire/cri/pods")[1]["items"][0]["id"] == cri.SANDBOX
    assert ask("/podwire/cri/inspect/ab")[1]["info"]["pid"] == os.getpid()
    assert ask("/podwire/cri/inspectp/aa")[1]["status"]["id"] == cri.SANDBOX
    assert ask("/podwire/cri/inspect/zz") == (404, {"message": "no such container: zz"})
    for target in ("nothing", "inspect", "pods/ab"):
        assert ask(f"/podwire/cri/{target}")[0] == 404


@pytest.mark.parametrize(
    ("method", "target", "status", "word"),
    [
        ("GET", "/networks", 404, "read-only"),
        ("POST", "/containers/create", 501, "read-only"),
        ("DELETE", "/v1.40/containers/x", 501, "DELETE /containers/x"),
        ("POST", "/containers/x/exec", 501, "kubectl exec"),
        ("POST", "/containers/x/attach?stream=1", 501, "kubectl exec"),
    ],
)
def test_what_it_does_not_do(ask: Fetch, method: str, target: str, status: int, word: str) -> None:
    found, body = ask(target, method)
    assert found == status
    assert word in body["message"]
