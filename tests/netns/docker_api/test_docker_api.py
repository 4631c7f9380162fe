"""A real containerd and runc, the machine's real docker client, and the node's own two commands."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from cri_api.v1 import api_pb2 as cri
from cri_api.v1 import api_pb2_grpc as stubs

from podwire.cluster.cri import CriClient
from podwire.cluster.docker_api import DockerApi
from podwire.cluster.nodetools.install import install_node_tools
from podwire.cluster.packages import unpack
from podwire.model.errors import UnavailableError
from podwire.model.layout import CACHE

from .conftest import Loop
from .node import POD, UID, Node, Pod, run_container, until

NAME = f"nginx_{POD}_default_{UID}_0"


def docker_client() -> str:
    """The machine's own client; where there is none, Debian's, unpacked into the cache."""
    if found := shutil.which("docker"):
        return found
    try:
        tree = unpack(["docker-cli"], CACHE / "docker-cli")
    except UnavailableError:  # before Debian 13 it is part of the engine's package
        tree = unpack(["docker.io"], CACHE / "docker-cli")
    return str(tree / "usr/bin/docker")


def docker(node: Node, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """The real client, on the node's socket."""
    environment = {**os.environ, "DOCKER_HOST": f"unix://{node.root}/run/docker.sock"}
    return subprocess.run(
        [docker_client(), *words],
        env=environment,
        check=check,
        capture_output=True,
        text=True,
        timeout=30,
    )


@pytest.fixture(scope="session")
def tools(node: Node) -> Node:
    """The node with both of its commands installed."""
    install_node_tools(node.root, docker=True)
    return node


@pytest.fixture(scope="session", params=["real client", "node's own"])
def ask(request: pytest.FixtureRequest, tools: Node, pod: Pod):
    """`docker WORDS`, by the machine's client, and by the node's own command."""
    if request.param == "real client":
        return lambda *words, check=True: docker(tools, *words, check=check)
    return lambda *words, check=True: tools.run("docker", *words, check=check)


def in_node(node: Node, pid: int) -> str:
    """Command line of a process, by its number on the node."""
    return (node.root / "proc" / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode()


def test_it_answers_before_containerd_does(loop: Loop, node: Node) -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        api = DockerApi(Path(directory) / "none.sock", Path("/"), "early")
        path = Path(directory) / "docker.sock"
        loop.run(api.serve(path))
        try:
            environment = {**os.environ, "DOCKER_HOST": f"unix://{path}"}
            run = lambda *words: subprocess.run(  # noqa: E731
                [docker_client(), *words], env=environment, capture_output=True, text=True
            )
            assert run("version", "--format", "{{.Server.Version}}").stdout == "19.03.12\n"
            assert run("info", "--format", "{{.Name}} {{.Driver}}").stdout == "early overlay2\n"
            listed = run("ps")
            assert listed.returncode == 1
            assert "containerd" in listed.stderr
            assert "does not answer now" in listed.stderr
        finally:
            loop.run(api.close())


def test_the_socket_is_the_nodes_not_the_machines(node: Node) -> None:
    """/var/run is an absolute link on Debian: followed from outside it leads to the machine's."""
    mode = (node.root / "run/docker.sock").stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o660
    ours = (node.root / "run/docker.sock").stat()
    machine = Path("/run/docker.sock")
    assert not machine.exists() or machine.stat().st_ino != ours.st_ino


def test_docker_ps_as_the_document_shows_it(ask, pod: Pod) -> None:
    lines = ask("ps").stdout.splitlines()
    heading = "CONTAINER ID   IMAGE   COMMAND   CREATED   STATUS   PORTS   NAMES"
    assert re.split(r" {3,}", lines[0]) == heading.split("   ")
    rows = [re.split(r" {2,}", line) for line in lines[1:] if "nginx" in line]
    assert [row[0] for row in rows] == [pod.container[:12], pod.sandbox[:12]]
    assert rows[0][1:3] == ["nginx", '"/docker-entrypoint.…"']
    assert rows[1][1:3] == ["mcr.microsoft.com/oss/kubernetes/pause:1.3.1", '"/pause"']
    assert [row[-1] for row in rows] == [f"k8s_{NAME}", f"k8s_POD_{NAME.removeprefix('nginx_')}"]
    assert all(re.fullmatch(r".* ago", row[3]) and row[4].startswith("Up ") for row in rows)


def test_both_clients_print_the_same(tools: Node, pod: Pod) -> None:
    for words in (
        ["ps", "-aq", "--no-trunc"],
        ["ps", "--format", "{{.ID}} {{.Image}} {{.Command}} {{.Names}} {{.State}}"],
        ["ps", "--format", "table {{.Image}}\t{{.Names}}"],
        ["ps", "-q", "--filter", "name=k8s_POD_"],
        ["ps", "-q", "--filter", "label=io.kubernetes.docker.type=container"],
        ["ps", "-q", "--filter", "status=exited"],
        ["images"],
        ["inspect", pod.container[:6], pod.sandbox[:6]],
        ["inspect", "--format", "{{json .State}} {{.Config.Cmd}}", pod.container],
        ["inspect", "-f", "{{range .Config.Env}}[{{.}}]{{end}}", f"k8s_{NAME}"],
        ["inspect", "-f", '{{index .Config.Labels "io.kubernetes.pod.uid"}}', pod.sandbox],
        ["inspect", "-f", "{{.Os}}", "nginx"],
    ):
        real, own = docker(tools, *words), tools.run("docker", *words)
        assert own.stdout == real.stdout, words
        assert real.stdout or words[-1] == "status=exited", words


def test_inspect_gives_the_pid_on_the_node(ask, node: Node, pod: Pod) -> None:
    listed = ask("ps").stdout.splitlines()
    identity = next(line.split()[0] for line in listed if f"k8s_{NAME}" in line)
    pid = int(ask("inspect", "--format", "{{ .State.Pid }}", identity).stdout)
    assert in_node(node, pid) == "/docker-entrypoint.sh nginx -g daemon off; "
    links = node.run("nsenter", "-t", str(pid), "-n", "ip", "addr").stdout
    assert "LOOPBACK" in links
    sandbox = int(ask("inspect", "--format", "{{.State.Pid}}", pod.sandbox).stdout)
    assert in_node(node, sandbox) == "/pause "


def test_top(ask, pod: Pod) -> None:
    heading, row = ask("top", pod.container).stdout.splitlines()
    assert heading.split() == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    pid = ask("inspect", "-f", "{{.State.Pid}}", pod.container).stdout.strip()
    assert row.split(maxsplit=7)[:2] == ["root", pid]
    assert row.endswith(" /docker-entrypoint.sh nginx -g daemon off;")


def test_inspect_of_nothing(ask) -> None:
    answer = ask("inspect", "nosuch", check=False)
    assert answer.returncode == 1
    assert answer.stdout == "[]\n"
    assert answer.stderr.strip().lower() == "error: no such object: nosuch"


def test_logs_keep_the_streams_apart(ask, pod: Pod) -> None:
    answer = ask("logs", pod.container)
    assert answer.stdout.startswith("hello from stdout\nline 0\nline 1\n")
    assert answer.stderr == "warning from stderr\n"


def test_logs_tail_timestamps_since(ask, pod: Pod) -> None:
    last = ask("logs", "--tail", "2", "-t", pod.container).stdout.splitlines()
    assert len(last) == 2
    stamps = [re.fullmatch(r"(\S+Z) line \d+", line)[1] for line in last]
    later = ask("logs", "-t", "--since", stamps[1], pod.container).stdout
    assert later.startswith(stamps[1])
    assert stamps[0] not in later


def test_logs_of_the_sandbox_are_empty(ask, pod: Pod) -> None:
    assert ask("logs", pod.sandbox).stdout == ""


def test_it_is_read_only(ask, pod: Pod) -> None:
    for words in (["exec", pod.container, "/bin/echo"], ["rm", "-f", pod.container]):
        answer = ask(*words, check=False)
        assert answer.returncode == 1
        assert "kubectl" in answer.stderr
    assert ask("inspect", "-f", "{{.State.Running}}", pod.container).stdout == "true\n"


def test_following_a_log_ends_with_the_client(node: Node, pod: Pod) -> None:
    environment = {**os.environ, "DOCKER_HOST": f"unix://{node.root}/run/docker.sock"}
    argv = [docker_client(), "logs", "-f", "--tail", "0", pod.container]
    with subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        lines = [client.stdout.readline() for _ in range(3)]
        client.terminate()
    numbers = [int(line.removeprefix("line ")) for line in lines]
    assert numbers == list(range(numbers[0], numbers[0] + 3))


def test_a_kubelet_is_told_that_docker_has_no_such_container(node: Node, pod: Pod) -> None:
    """What asks is a process of that name with Go's default agent, as cAdvisor does."""
    script = (
        "import socket, sys\n"
        "open('/proc/self/comm', 'w').write(sys.argv[1])\n"
        "s = socket.socket(socket.AF_UNIX); s.connect('/var/run/docker.sock')\n"
        "s.sendall(('GET /v1.40/containers/%s/json HTTP/1.1\\r\\nHost: d\\r\\n'\n"
        "  'User-Agent: Go-http-client/1.1\\r\\nConnection: close\\r\\n\\r\\n'\n"
        "  % sys.argv[2]).encode())\n"
        "print(s.makefile().readline().split()[1])\n"
    )

    def status(name: str) -> str:
        words = ["/usr/bin/python3", "-IS", "-c", script, name, pod.container]
        return node.run(*words).stdout.strip()

    assert status("kubelet") == "404"
    assert status("something") == "200"


def crictl(node: Node, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return node.run("crictl", *words, check=check)


def test_crictl_lists(tools: Node, pod: Pod) -> None:
    pods = crictl(tools, "pods").stdout.splitlines()
    assert re.split(r" {2,}", pods[1])[::2] == [pod.sandbox[:13], "Ready", "default", "(default)"]
    containers = crictl(tools, "ps").stdout.splitlines()
    row = re.split(r" {2,}", containers[1])
    assert [row[0], row[3], row[4], row[6], row[7]] == [
        *(pod.container[:13], "Running", "nginx", pod.sandbox[:13], POD)
    ]
    images = crictl(tools, "images").stdout
    assert re.search(r"^docker.io/library/nginx +latest +", images, re.MULTILINE)
    ids = json.loads(crictl(tools, "ps", "-o", "json").stdout)["containers"]
    assert [one["id"] for one in ids] == [pod.container]
    assert crictl(tools, "ps", "--name", "other", "-q").stdout == ""


def test_crictl_inspects(tools: Node, node: Node, pod: Pod) -> None:
    found = json.loads(crictl(tools, "inspect", pod.container[:8]).stdout)
    assert found["status"]["state"] == "CONTAINER_RUNNING"
    assert "nginx" in in_node(node, found["info"]["pid"])
    words = ["inspectp", "-o", "go-template", "--template", "{{.status.metadata.uid}}"]
    assert crictl(tools, *words, pod.sandbox[:8]).stdout == f"{UID}\n"
    missing = crictl(tools, "inspect", "zzz", check=False)
    assert (missing.returncode, missing.stderr) == (1, "crictl: no such container: zzz\n")


def test_crictl_logs_and_stats(tools: Node, pod: Pod) -> None:
    answer = crictl(tools, "logs", pod.container[:8])
    assert answer.stdout.startswith("hello from stdout\n")
    assert answer.stderr == "warning from stderr\n"
    row = re.split(r" {2,}", crictl(tools, "stats").stdout.splitlines()[1])
    assert row[:2] == [pod.container[:13], "nginx"]
    assert row[3].endswith("kB")


def test_crictl_exec(tools: Node, pod: Pod) -> None:
    assert crictl(tools, "exec", pod.container[:8], "/bin/echo", "hi", "-x").stdout == "hi -x\n"
    failed = crictl(tools, "exec", pod.container, "/bin/echo", "fail", check=False)
    assert failed.returncode == 7
    refused = crictl(tools, "exec", "-it", pod.container, "/bin/echo", check=False)
    assert "no terminal" in refused.stderr


def test_crictl_exec_with_a_terminal(tools: Node, pod: Pod) -> None:
    """`script` gives it one, as a shell would."""
    command = f"crictl exec -it {pod.container} /bin/echo from the terminal"
    answer = tools.run("script", "-qec", command, "/dev/null")
    assert "from the terminal" in answer.stdout


def test_crictl_info_and_version(tools: Node, pod: Pod) -> None:
    info = json.loads(crictl(tools, "info").stdout)
    assert {one["type"] for one in info["status"]["conditions"]} == {"RuntimeReady", "NetworkReady"}
    assert info["config"]["sandboxImage"] == "mcr.microsoft.com/oss/kubernetes/pause:1.3.1"
    assert "RuntimeName:  containerd\n" in crictl(tools, "version").stdout


def test_exec_sync_and_usage_of_the_client(loop: Loop, node: Node, pod: Pod) -> None:
    async def work() -> None:
        client = await CriClient.connect(node.cri_socket)
        try:
            result = await client.exec_sync(pod.container, ["/bin/echo", "fail", "loudly"])
            assert (result.exit_code, result.stdout) == (7, b"fail loudly\n")
            assert (await client.version()).api == "v1"
            used = {one.container_id: one for one in await client.usage()}
            assert used[pod.container].memory > 0
            assert await client.container_status("f" * 64) is None
            assert await client.pod_status("f" * 64) is None
        finally:
            await client.close()

    loop.run(work())


@pytest.fixture
def short_lived(node: Node, pod: Pod) -> Iterator[tuple[str, stubs.RuntimeServiceStub]]:
    """A second container of the pod, started; it is removed afterwards."""
    with grpc.insecure_channel(f"unix://{node.cri_socket}") as channel:
        identity = run_container(node, channel, pod.sandbox, "short", 3)
        runtime = stubs.RuntimeServiceStub(channel)
        yield identity, runtime
        runtime.RemoveContainer(cri.RemoveContainerRequest(container_id=identity), timeout=10)


def test_a_container_that_ended(ask, node: Node, short_lived) -> None:
    identity, runtime = short_lived
    environment = {**os.environ, "DOCKER_HOST": f"unix://{node.root}/run/docker.sock"}
    follow = [docker_client(), "logs", "-f", identity]
    with subprocess.Popen(follow, env=environment, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == "hello from stdout\n"
        stop = cri.StopContainerRequest(container_id=identity, timeout=0)
        runtime.StopContainer(stop, timeout=10)
        client.communicate(timeout=10)  # following ends with the container
        assert client.returncode == 0
    assert identity[:12] not in ask("ps").stdout
    row = next(line for line in ask("ps", "-a").stdout.splitlines() if identity[:12] in line)
    assert re.search(r"Exited \(137\) .* ago", row)
    assert row.endswith(f"k8s_short_{POD}_default_{UID}_3")
    state = json.loads(ask("inspect", "-f", "{{json .State}}", identity).stdout)
    assert (state["Pid"], state["ExitCode"], state["Running"]) == (0, 137, False)
    assert ask("top", identity, check=False).returncode == 1


def test_it_survives_a_restart_of_containerd(ask, node: Node, pod: Pod) -> None:
    before = until(node.containerd_pid, "containerd's pid")
    os.kill(before, signal.SIGKILL)
    until(lambda: node.containerd_pid() not in (0, before), "another containerd")
    until(lambda: ask("ps", check=False).returncode == 0, "docker ps after the restart")
    assert pod.container[:12] in ask("ps", "-q").stdout


def test_idle_connections_do_not_keep_it_from_answering(node: Node, pod: Pod) -> None:
    path = str(node.root / "run/docker.sock")
    idle = [socket.socket(socket.AF_UNIX) for _ in range(20)]
    try:
        for one in idle:
            one.connect(path)
            one.sendall(b"GET /_ping HT")
        began = time.monotonic()
        assert docker(node, "ps", "-q").stdout
        assert time.monotonic() - began < 10  # far below the time that a begun request may take
    finally:
        for one in idle:
            one.close()
