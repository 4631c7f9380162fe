"""The installed scripts, run as the node runs them, against the API over a CRI server."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from podwire.cluster.docker_api import DockerApi
from podwire.cluster.nodetools.install import install_node_tools

from .. import cri_server as cri

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A root directory with the API on run/docker.sock."""
    root = tmp_path_factory.mktemp("root")
    (root / "run").mkdir()
    lines = "".join(f"2020-11-06T13:56:29.{one}Z stdout F line {one}\n" for one in range(3))
    (root / "0.log").write_text(lines + "2020-11-06T13:56:30Z stderr F oops\n")
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    api = DockerApi(root / "c", root, "node-0")

    async def start() -> object:
        server = await cri.serve(root / "c", "v1", log="/0.log", pid=os.getpid())
        await api.serve(root / "run/docker.sock")
        return server

    async def stop(server: object) -> None:
        await api.close()
        await server.stop(0)  # type: ignore[attr-defined]

    server = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    yield root
    asyncio.run_coroutine_threadsafe(stop(server), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture(scope="module")
def run(served: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run an installed script; its library is where its shebang's root would have it."""
    root = tmp_path_factory.mktemp("node")
    install_node_tools(root, docker=True)
    for script in (root / "usr/local/bin").iterdir():
        script.write_text(script.read_text().replace('"/usr', f'"{root}/usr'))

    def call(name: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        host = {"DOCKER_HOST": f"unix://{served}/run/docker.sock", "PATH": os.environ["PATH"]}
        return subprocess.run(
            [str(root / "usr/local/bin" / name), *words],
            env={**host, **environment},
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )

    return call


def test_install(tmp_path: Path) -> None:
    (tmp_path / "usr/local/bin").mkdir(parents=True)
    target = tmp_path / "must not change"
    target.write_text("x")
    (tmp_path / "usr/local/bin/crictl").symlink_to(target)
    install_node_tools(tmp_path, docker=False)
    install_node_tools(tmp_path, docker=False)
    assert target.read_text() == "x"
    assert [one.name for one in (tmp_path / "usr/local/bin").iterdir()] == ["crictl"]
    script = tmp_path / "usr/local/bin/crictl"
    assert script.read_text().startswith("#!/usr/bin/python3 -IS\n")
    assert stat.S_IMODE(script.stat().st_mode) == 0o755
    install_node_tools(tmp_path, docker=True)
    assert (tmp_path / "usr/local/bin/docker").exists()


@pytest.mark.parametrize("name", ["docker", "crictl"])
def test_help_teaches(run: Run, name: str) -> None:
    for words in (["--help"], [], ["ps", "--help"]):
        shown = run(name, *words)
        assert shown.returncode == 0
        assert f"Usage: {name}" in shown.stdout
        assert "Examples:" in shown.stdout


@pytest.mark.parametrize("name", ["docker", "crictl"])
def test_what_would_change_something_is_refused(run: Run, name: str) -> None:
    for word in ("run", "rm", "stop"):
        refused = run(name, word, "x")
        assert refused.returncode == 1
        assert f"{name} {word}: this {name} only looks. Instead: kubectl" in refused.stderr
    unknown = run(name, "frobnicate")
    assert unknown.returncode == 1
    assert "--help" in unknown.stderr


def test_nobody_listens(run: Run) -> None:
    for name in ("docker", "crictl"):
        answer = run(name, "ps", DOCKER_HOST="unix:///none.sock")
        assert answer.returncode == 1
        assert "podwire status" in answer.stderr
    assert "unix://" in run("docker", "ps", DOCKER_HOST="tcp://x:1").stderr


def test_docker_ps(run: Run) -> None:
    lines = run("docker", "ps").stdout.splitlines()
    assert lines[0].split() == [
        *("CONTAINER", "ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"),
    ]
    assert [line[:12] for line in lines[1:]] == [cri.RUNNING[:12], cri.SANDBOX[:12]]
    assert '"/entry.sh serve \'tw…"' in lines[1]
    ids = [one[:12] for one in (cri.RUNNING, cri.EXITED, cri.SANDBOX)]
    assert run("docker", "ps", "-aq").stdout.split() == ids
    assert run("docker", "ps", "-qn1").stdout == f"{cri.RUNNING[:12]}\n"
    only = run("docker", "ps", "-aq", "--no-trunc", "-f", "status=exited")
    assert only.stdout == f"{cri.EXITED}\n"
    assert "invalid filter" in run("docker", "ps", "-f", "x").stderr


def test_docker_ps_formats(run: Run) -> None:
    words = ["ps", "-a", "-f", "id=cd", "--format"]
    assert run("docker", *words, "{{.ID}} {{.State}}").stdout == f"{cri.EXITED[:12]} exited\n"
    shown = run("docker", *words, "table {{.ID}}\\t{{.CreatedAt}}").stdout.splitlines()
    assert shown[0].split() == ["CONTAINER", "ID", "CREATED", "AT"]
    assert json.loads(run("docker", *words, "json").stdout)["ID"] == cri.EXITED[:12]


def test_docker_inspect(run: Run) -> None:
    pid = run("docker", "inspect", "--format", "{{ .State.Pid }}", "ab")
    assert (pid.stdout, pid.returncode) == (f"{os.getpid()}\n", 0)
    both = json.loads(run("docker", "inspect", "ab", "cd").stdout)
    assert [one["Id"] for one in both] == [cri.RUNNING, cri.EXITED]
    missing = run("docker", "inspect", "-f", "{{.Id}}", "ab", "zz")
    assert (missing.returncode, missing.stdout) == (1, f"{cri.RUNNING}\n")
    assert missing.stderr == "Error: No such object: zz\n"
    several = run("docker", "inspect", "a")
    assert several.returncode == 1
    assert "Error response from daemon: multiple IDs" in several.stderr
    assert run("docker", "inspect", "-f", "{{.Os}}", "web").stdout == "linux\n"
    assert 'key "Nope"' in run("docker", "inspect", "-f", "{{.Nope}}", "ab").stderr


def test_docker_logs(run: Run) -> None:
    both = run("docker", "logs", "ab")
    assert (both.stdout, both.stderr) == ("line 0\nline 1\nline 2\n", "oops\n")
    last = run("docker", "logs", "-n", "2", "-t", "ab")
    assert last.stdout == "2020-11-06T13:56:29.200000000Z line 2\n"
    assert run("docker", "logs", "--since", "10m", "ab").stdout == ""
    assert run("docker", "logs", "zz").stderr == (
        "Error response from daemon: No such container: zz\n"
    )


def test_docker_images_info_version(run: Run) -> None:
    assert run("docker", "images", "-q").stdout.split() == ["1" * 12, "2" * 12]
    assert "node-0" in run("docker", "info").stdout
    assert run("docker", "info", "-f", "{{.ContainersRunning}}").stdout == "2\n"
    assert run("docker", "version", "-f", "{{.Server.ApiVersion}}").stdout == "1.40\n"
    assert run("docker", "image", "ls", "-q").stdout.split() == ["1" * 12, "2" * 12]


def test_output_that_nobody_reads(run: Run, served: Path) -> None:
    """`docker ps | head -0` must not end in a traceback."""
    read, write = os.pipe()
    os.close(read)
    script = run("docker", "--help").args[0]
    environment = {"DOCKER_HOST": f"unix://{served}/run/docker.sock"}
    done = subprocess.run(
        [script, "ps"],
        env=environment,
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write)
    assert done.stderr == ""


def test_crictl_lists(run: Run) -> None:
    pods = run("crictl", "pods").stdout.splitlines()
    assert pods[1].split()[0] == cri.SANDBOX[:13]
    assert run("crictl", "ps", "-q").stdout == f"{cri.RUNNING}\n"
    assert run("crictl", "ps", "-aq").stdout.split() == [cri.RUNNING, cri.EXITED]
    assert run("crictl", "ps", "--state", "Exited", "-q").stdout == f"{cri.EXITED}\n"
    assert run("crictl", "ps", "-a", "--name", "^x", "-q").stdout == ""
    assert run("crictl", "pods", "--label", "app=web", "-q").stdout == f"{cri.SANDBOX}\n"
    assert run("crictl", "pods", "--label", "app=db", "-q").stdout == ""
    assert run("crictl", "pods", "--namespace", "shop", "-q").stdout == f"{cri.SANDBOX}\n"
    endpoint = ["--runtime-endpoint", "unix:///run/containerd/containerd.sock"]
    assert run("crictl", *endpoint, "images", "-q").stdout.split() == [cri.IMAGE, cri.PAUSE]
    assert (
        json.loads(run("crictl", "ps", "-o", "json").stdout)["containers"][0]["id"] == cri.RUNNING
    )
    assert "is not one of table" in run("crictl", "ps", "-o", "xml").stderr
    assert "no regular expression" in run("crictl", "ps", "--name", "(").stderr


def test_crictl_inspect_logs_info_version_stats(run: Run) -> None:
    pid = run("crictl", "inspect", "--template", "{{.info.pid}}", "ab")
    assert pid.stdout == f"{os.getpid()}\n"
    assert "state: CONTAINER_EXITED" in run("crictl", "inspect", "-o", "yaml", "cd").stdout
    assert "needs an id" in run("crictl", "inspect").stderr
    assert run("crictl", "logs", "--tail", "2", "ab").stdout == "line 2\n"
    assert json.loads(run("crictl", "info").stdout)["config"] == {"a": 1}
    assert "RuntimeVersion:  1.6.20\n" in run("crictl", "version").stdout
    assert "4.096kB" in run("crictl", "stats").stdout


def test_crictl_exec_becomes_ctr(run: Run, tmp_path: Path) -> None:
    """A `ctr` of the test's shows what it was given."""
    (tmp_path / "ctr").write_text('#!/bin/sh\nprintf "%s\\n" "$@"; cat; exit 5\n')
    (tmp_path / "ctr").chmod(0o755)
    path = f"{tmp_path}:/usr/bin:/bin"
    done = run("crictl", "exec", "ab", "ls", "-l", PATH=path)
    words = done.stdout.split()
    assert done.returncode == 5
    assert words[:5] == ["-n", "k8s.io", "tasks", "exec", "--exec-id"]
    assert words[6:] == [cri.RUNNING, "ls", "-l"]
    assert "does not run" in run("crictl", "exec", "cd", "ls", PATH=path).stderr
    assert "several containers" in run("crictl", "exec", "", "ls", PATH=path).stderr
    assert "no container" in run("crictl", "exec", "zz", "ls", PATH=path).stderr
    assert "a command" in run("crictl", "exec", "ab", PATH=path).stderr
    assert "no terminal" in run("crictl", "exec", "-it", "ab", "ls", PATH=path).stderr
    assert "cannot run ctr" in run("crictl", "exec", "ab", "ls", PATH="/none").stderr
