"""The mirror of docker.io: what it hands through, and what its troubles do to a node's pulls."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from podwire.cluster.images.store import ImageSet
from podwire.cluster.registry import mirror_program, registry_binary, registry_program
from podwire.kernel.netns import NetNamespace
from podwire.kernel.process import Supervisor
from podwire.model.layout import CACHE

from .conftest import Machine, until


@dataclass(slots=True)
class Trouble:
    """How the mirror answers every request; 0: it hangs up. asked: the paths of the requests."""

    status: int = 0
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def trouble(machine: Machine) -> Iterator[Trouble]:
    trouble = Trouble()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            trouble.asked.append(self.path)
            if trouble.status:
                self.send_error(trouble.status)

        do_GET = do_HEAD = _answer  # noqa: N815

        def log_message(self, *_args: object) -> None:
            pass

    with NetNamespace.open(int(machine.node.pid or 0)) as space, space.entered():
        server = ThreadingHTTPServer(("127.0.0.1", 5001), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield trouble
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("status", [0, 401, 403, 404, 429, 500, 503])
def test_a_pull_goes_on_to_the_local_registry(
    machine: Machine, trouble: Trouble, status: int
) -> None:
    trouble.status = status
    assert machine.pull("nginx:1.22.1" if status % 2 else "nginx")
    assert any(path.startswith("/v2/library/nginx/manifests/") for path in trouble.asked)


def test_the_mirror_is_not_asked_for_images_of_other_hosts(
    machine: Machine, trouble: Trouble
) -> None:
    trouble.status = 404
    machine.pull("k8s.gcr.io/pause:3.2")
    machine.pull("registry.podwire.internal/podwire/cluster-dns:latest")
    assert trouble.asked == []


def _curl(path: Path, url: str, *more: str) -> str:
    argv = ["curl", "-s", "--unix-socket", str(path), *more, f"http://mirror{url}"]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20).stdout


def test_it_hands_through_what_upstream_has_and_keeps_it(
    images: ImageSet, runner: asyncio.Runner, tmp_path: Path
) -> None:
    registry_binary(CACHE)
    (tmp_path / "tools").symlink_to(CACHE / "tools")
    path = tmp_path / "mirror.sock"
    path.touch()
    with _loopback() as space:
        upstream = registry_program(
            CACHE, images, "127.0.0.1", 5000, tmp_path / "upstream.log", space.path
        )
        mirror = mirror_program(tmp_path, path, tmp_path / "log", upstream="http://127.0.0.1:5000")
        supervisor = Supervisor()
        try:
            runner.run(supervisor.start(upstream))
            until(lambda: _listening(space), "the upstream registry")
            runner.run(supervisor.start(replace(mirror, netns=space.path)))
            until(lambda: _curl(path, "/v2/") == "{}", "the mirror")
            accept = ("-H", "Accept: application/vnd.oci.image.manifest.v1+json")
            manifest = json.loads(_curl(path, "/v2/library/nginx/manifests/latest", *accept))
            blob = manifest["config"]["digest"]
            config = json.loads(_curl(path, f"/v2/library/nginx/blobs/{blob}"))
            assert config["config"]["Entrypoint"] == ["/docker-entrypoint.sh"]
            code = ("-o", "/dev/null", "-w", "%{http_code}")
            assert _curl(path, "/v2/no/such/manifests/latest", *code) == "404"
            kept = tmp_path / "mirror/docker/registry/v2/blobs/sha256" / blob[7:9] / blob[7:]
            until((kept / "data").exists, "the blob in the mirror's storage")
        finally:
            runner.run(supervisor.stop_all())


@contextmanager
def _loopback() -> Iterator[NetNamespace]:
    """A network namespace with nothing but loopback."""
    with NetNamespace.create() as space:
        with space.entered():
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        yield space


def _listening(space: NetNamespace) -> list[str]:
    """The addresses at which somebody listens there."""
    argv = ["nsenter", f"--net={space.path}", "ss", "-Hltnu"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return [line.split()[4] for line in done.stdout.splitlines()]


def test_registry_listens_nowhere_else(
    images: ImageSet, runner: asyncio.Runner, tmp_path: Path
) -> None:
    log = tmp_path / "registry.log"
    with _loopback() as space:
        program = registry_program(CACHE, images, "127.0.0.1", 5000, log, space.path)
        supervisor = Supervisor()
        try:
            runner.run(supervisor.start(program))
            assert until(lambda: _listening(space), "the registry") == ["127.0.0.1:5000"]
        finally:
            runner.run(supervisor.stop_all())
    assert "panic" not in log.read_text()
