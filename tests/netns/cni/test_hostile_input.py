"""Whatever comes in: one JSON document or nothing, an exit status that fits, a node unchanged."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from podwire.cni.agent.frame import VARIABLES, Call, call_frame
from podwire.cni.azure_vnet import AzureVnet
from podwire.cni.azure_vnet_ipam import AzureVnetIpam
from podwire.cni.protocol import LARGEST_STDIN, answer

from .node import CONFIG, Node
from .resident import peak, resident, socket_of

text = st.text(max_size=20) | st.sampled_from(["$(touch x)", "a;b", "../..", "a\0b", "\ud800", "é"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)
KEYS = [*CONFIG, "dns", "prevResult", "multiTenancy", "master", "runtimeConfig", "cniVersions"]
configs = st.dictionaries(st.sampled_from([*KEYS, "cni.dev/valid-attachments"]), values).map(
    lambda changes: {**CONFIG, **changes}
)
documents = st.binary(max_size=60) | (configs | values).map(lambda one: json.dumps(one).encode())
words = st.text(max_size=30).filter(lambda one: "\0" not in one) | st.binary(max_size=9).map(
    lambda one: one.replace(b"\0", b"").decode(errors="surrogateescape")
)


def paths(place: Path) -> list[str]:
    """Everything that is no network namespace."""
    (place / "plain").touch()
    os.mkfifo(place / "pipe")
    (place / "link").symlink_to(place / "pipe")
    (place / "loop").symlink_to(place / "loop")
    with socket.socket(socket.AF_UNIX) as plug:
        plug.bind(str(place / "socket"))
    dead = subprocess.Popen(["true"])
    dead.wait()
    names = ("plain", "pipe", "link", "loop", "socket", "none")
    return [
        *(str(place / name) for name in names),
        *(str(place), f"/proc/{dead.pid}/ns/net", "/proc/self/ns/uts", "/dev/zero", "a" * 5000),
        "/proc/self/ns/net",  # the node's own
    ]


def test_hostile_input_changes_nothing(node: Node, tmp_path: Path) -> None:
    place = tmp_path / "paths"
    place.mkdir()
    env = st.fixed_dictionaries(
        {},
        optional={
            "CNI_COMMAND": st.sampled_from(["ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION"])
            | words,
            "CNI_CONTAINERID": st.just("c" * 64) | words,
            "CNI_NETNS": st.sampled_from(paths(place)) | words,
            "CNI_IFNAME": st.just("eth0") | words,
            "CNI_ARGS": st.just("K8S_POD_NAME=a;K8S_POD_NAMESPACE=b") | words,
            "CNI_PATH": st.just(str(node.bin)) | words,
        },
    ).map(lambda given: {"CNI_COMMAND": "ADD", "CNI_CONTAINERID": "c1", "CNI_IFNAME": "e", **given})

    @settings(
        max_examples=300,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(env, documents)
    def ask(env: dict[str, str], stdin: bytes) -> None:
        for name, make in (("azure-vnet", AzureVnet), ("azure-vnet-ipam", AzureVnetIpam)):
            if make is AzureVnetIpam and env["CNI_COMMAND"] == "ADD":
                continue  # it opens no namespace, and may well succeed
            said, status = answer(name, lambda make=make: make(node.settings), env, lambda: stdin)
            judge(env, said, status)

    def work() -> None:
        before = links()
        ask()
        assert links() == before

    assert node.fork(work) == 0
    assert (node.wired(), node.azv_links()) == ([], [])
    assert node.call("ADD", node.pod("a" * 64)).status == 0
    assert [one.address for one in node.ledger().leases()] == ["10.220.2.5"]
    assert not any("touch" in name for name in os.listdir("."))
    assert "Traceback" not in node.log


def judge(env: dict[str, str], said: dict[str, Any] | None, status: int) -> None:
    verb = env["CNI_COMMAND"]
    if status:
        assert said is not None
        assert {"code", "msg"} <= set(said)
        assert said["code"] != 999, said
    else:
        assert verb in ("DEL", "GC", "STATUS", "VERSION")
        assert (said is not None) == (verb == "VERSION")
    json.dumps(said).encode()


def links() -> str:
    """IPv4 alone: IPv6 finishes its duplicate address detection in its own time."""
    seen = [
        ["ip", "-o", "link"],
        ["ip", "-o", "-4", "addr"],
        ["ip", "route"],
        ["nft", "list", "tables"],
    ]
    runs = (subprocess.run(one, capture_output=True, text=True, check=True) for one in seen)
    return "".join(one.stdout for one in runs)


def test_stdin_without_end_is_refused(node: Node) -> None:
    pod = node.pod("a" * 64)
    process = subprocess.Popen(
        [str(node.bin / "azure-vnet")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=node.environment("ADD", pod),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        for part in endless():
            process.stdin.write(part)
    except BrokenPipeError:
        pass
    said = json.loads(process.stdout.read())
    assert (process.wait(), said["code"]) == (1, 6)
    assert str(LARGEST_STDIN) in said["msg"]


def endless() -> Iterator[bytes]:
    for _ in range(2 * LARGEST_STDIN >> 16):
        yield b" " * (1 << 16)
    raise AssertionError("the plugin read twice what it should")


def test_a_pipe_for_a_namespace_does_not_hang(node: Node, tmp_path: Path) -> None:
    pod = node.pod("a" * 64)
    os.mkfifo(tmp_path / "pipe")
    for verb in ("ADD", "CHECK"):
        refused = node.call(verb, pod, CNI_NETNS=str(tmp_path / "pipe"))
        assert (refused.status, "code" in refused.document) == (1, True)
    assert node.call("DEL", pod, CNI_NETNS=str(tmp_path / "pipe")).status == 0
    assert node.ledger().leases() == []


FRAMES = st.one_of(
    st.binary(max_size=200),
    st.binary(max_size=200).map(lambda body: len(body).to_bytes(4, "big") + body),
    st.integers(0, 2**32 - 1).map(lambda size: size.to_bytes(4, "big") + b"PODWIRE1\0"),
    st.binary(max_size=99).map(lambda tail: framed(b"PODWIRE1\0azure-vnet\0" + tail)),
    st.builds(
        lambda plugin, env, stdin: call_frame(Call(plugin, env, stdin)),
        st.sampled_from(["azure-vnet", "azure-vnet-ipam", "../azure-vnet", ""]),
        st.dictionaries(st.sampled_from([*VARIABLES, "LD_PRELOAD", "PATH"]), words, max_size=6).map(
            lambda env: {"CNI_COMMAND": "ADD", **env}
        ),
        documents,
    ),
)


def framed(body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + body


def test_hostile_bytes_at_the_agents_socket(node: Node) -> None:
    """Each gets one JSON document or none; the agent stays, as small as before."""
    pod, path = node.pod("a" * 64), str(socket_of(node))

    def said_to(frame: bytes) -> bytes:
        with socket.socket(socket.AF_UNIX) as plug:
            plug.settimeout(30)
            plug.connect(path)
            try:
                plug.sendall(frame)
                plug.shutdown(socket.SHUT_WR)
                return b"".join(iter(lambda: plug.recv(1 << 16), b""))
            except (BrokenPipeError, ConnectionResetError):
                return b""

    @settings(
        max_examples=300,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(FRAMES)
    def speak(frame: bytes) -> None:
        said = said_to(frame)
        if said[5:]:
            assert "code" in json.loads(said[5:]), said

    def attack() -> None:
        before = links()
        speak()
        for _ in range(40):  # a megabyte each is taken, and no more
            said_to(framed(b"PODWIRE1\0azure-vnet\0CNI_COMMAND=ADD\0\0".ljust(1 << 20, b"[")))
            said_to((1 << 30).to_bytes(4, "big") + b"x" * (1 << 21))
        assert links() == before

    with resident(node) as agent:
        for verb in ("ADD", "DEL"):
            assert node.call(verb, pod).status == 0
        before = peak(agent)
        assert node.fork(attack) == 0
        assert peak(agent) < before + 24
        assert agent.poll() is None
        held = node.log.count(f"[{agent.pid}]")
        assert node.call("ADD", pod).status == 0
        assert node.log.count(f"[{agent.pid}]") > held
        assert node.call("DEL", pod).status == 0
    assert "Traceback" not in node.log
