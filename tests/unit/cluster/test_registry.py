"""The registries' configuration, containerd's mirrors, and whether Docker Hub answers."""

from __future__ import annotations

import json
import socket
import threading
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from podwire.cluster import registry
from podwire.cluster.images.store import ImageSet
from podwire.cluster.registry import (
    containerd_mirrors,
    docker_hub_answers,
    mirror_program,
    registry_program,
)

LOCAL, MIRROR = "http://172.31.0.4:5000", "http://172.31.0.4:5001"


@pytest.fixture(autouse=True)
def _no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "unpack", lambda _packages, target, *_args, **_more: target)


def configuration(path: str) -> Any:
    return json.loads(Path(path).read_text())


def test_the_registry_is_read_only_and_binds_one_address(tmp_path: Path) -> None:
    images = ImageSet(tmp_path / "images/x", (), ())
    log = tmp_path / "log"
    program = registry_program(tmp_path, images, "172.31.0.4", 5000, log, "/proc/1/fd/9")
    assert program.netns == "/proc/1/fd/9"
    assert program.argv[:2] == ("/usr/bin/env", "-i"), "REGISTRY_* would override the configuration"
    found = configuration(program.argv[-1])
    assert found["http"]["addr"] == "172.31.0.4:5000"
    assert "debug" not in found["http"]
    assert "redis" not in found
    assert found["storage"]["maintenance"]["readonly"] == {"enabled": True}
    assert found["storage"]["filesystem"]["rootdirectory"] == str(tmp_path / "images/x/registry")
    assert found["log"]["level"] == "warn"


def test_two_labs_do_not_share_a_configuration(tmp_path: Path) -> None:
    images = ImageSet(tmp_path / "images/x", (), ())
    make = [
        registry_program(tmp_path, images, "172.31.0.4", port, tmp_path / "log")
        for port in (5000, 5001, 5000)
    ]
    first, second, third = (one.argv[-1] for one in make)
    assert first == third != second


def test_the_mirror_listens_on_its_socket(tmp_path: Path) -> None:
    program = mirror_program(tmp_path, tmp_path / "mirror.sock", tmp_path / "log")
    found = configuration(program.argv[-1])
    assert found["http"]["net"] == "unix"
    assert found["http"]["addr"] == str(tmp_path / "mirror.sock")
    assert found["proxy"]["remoteurl"].startswith("https://")
    assert program.netns is None
    assert Path(found["storage"]["filesystem"]["rootdirectory"]).is_dir()


@pytest.mark.parametrize("mirror", [None, MIRROR])
def test_containerd_asks_the_mirror_for_docker_io_alone(mirror: str | None) -> None:
    found = tomllib.loads(containerd_mirrors(LOCAL, mirror))
    mirrors = found["plugins"]["io.containerd.grpc.v1.cri"]["registry"]["mirrors"]
    assert mirrors == {
        "docker.io": {"endpoint": [mirror, LOCAL] if mirror else [LOCAL]},
        "*": {"endpoint": [LOCAL]},
    }


@contextmanager
def answering(status: int, headers: dict[str, str]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v2/"
    server.shutdown()
    server.server_close()
    thread.join()


REGISTRY = {"Docker-Distribution-Api-Version": "registry/2.0"}


@pytest.mark.parametrize(
    ("status", "headers", "wanted"),
    [
        (200, REGISTRY, True),
        (401, REGISTRY, True),
        (200, {}, False),
        (403, REGISTRY, False),
        (503, REGISTRY, False),
    ],
)
def test_docker_hub_answers_when_a_registry_does(
    status: int, headers: dict[str, str], wanted: bool
) -> None:
    with answering(status, headers) as url:
        assert docker_hub_answers(2.0, url) is wanted


def test_docker_hub_that_is_silent_or_not_there_is_given_up() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v2/"
        started = time.monotonic()
        assert docker_hub_answers(0.2, url) is False
        assert time.monotonic() - started < 5
    assert docker_hub_answers(2.0, url) is False
    assert docker_hub_answers(2.0, "http://no-such-host.invalid/v2/") is False
