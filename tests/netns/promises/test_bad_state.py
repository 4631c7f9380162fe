"""Bad state, one by one: a clear error or a repaired node, and never a leak.

In a call's own process, and under an agent that has it all open.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from podwire.kernel.netns import NetNamespace

from ..cni.node import CONFIG, WIRE_SERVER, Node, Pod, build, finish, inside
from ..cni.resident import end_agent, peak, resident, start_agent
from .harness import Said, agree, asked, bare, forked, leases, settled, usable
from .harness import call as call_in_process

FIRST, SECOND = "a" * 64, "b" * 64
NAMED = (5, 11, 100, 101, 102, 103, 104)
"""The codes whose texts tell what is wrong; 999 or a trace would be a defect."""


@pytest.fixture(params=["in process", "agent"])
def node(node: Node, request: pytest.FixtureRequest) -> Iterator[Node]:
    if request.param == "in process":
        yield node
        return
    with resident(node):
        yield node


def call(node: Node, verb: str, pod: Pod) -> Said:
    """Another call does not wait for what the agent does after its answer; these tests do."""
    said = asked(node, verb, pod) if node.agent else call_in_process(node, verb, pod)
    if node.agent and verb == "DEL" and said.status == 0:
        settled(node)
    return said


@contextmanager
def mounted(place: Path, options: str) -> Iterator[None]:
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def state(node: Node) -> Path:
    return Path(node.settings.state_dir)


def refused(node: Node, verb: str, identity: str) -> str:
    """The call fails with a code of its own and one JSON document that names the place."""
    pod = next((one for one in node.pods if one.id == identity), None) or node.pod(identity)
    answer = node.call(verb, pod)
    assert answer.status == 1, answer
    assert answer.document["code"] in NAMED, answer
    assert "Traceback" not in answer.stderr
    return str(answer.document["msg"])


def fill(place: Path) -> None:
    with (place / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return


def test_state_directory_full(node: Node) -> None:
    with mounted(state(node), "size=256k"):
        fill(state(node))
        assert str(state(node)) in refused(node, "ADD", FIRST)
        assert node.azv_links() == []
        (state(node) / "filler").unlink()
        assert call(node, "ADD", node.pods[0]).status == 0
        fill(state(node))
        first, second = node.pods[0], node.pod(SECOND)
        there = [first]
        if call(node, "ADD", second).status == 0:
            there.append(second)
        else:
            assert str(state(node)) in refused(node, "ADD", SECOND)
        usable(node, first)
        (state(node) / "filler").unlink()
        agree(node, there)  # all or nothing
        for pod in node.pods:
            assert call(node, "DEL", pod).status == 0
        bare(node)


def test_state_directory_read_only(node: Node) -> None:
    first = node.pod(FIRST)
    with mounted(state(node), "size=4m"):
        assert call(node, "ADD", first).status == 0
        if node.agent:
            end_agent(node.agent)  # the kernel refuses as long as it has the ledger open
        subprocess.run(["mount", "-o", "remount,ro", str(state(node))], check=True)
        if node.agent:
            node.agent = start_agent(node)
        for verb, identity in (("ADD", SECOND), ("DEL", FIRST)):
            assert str(state(node)) in refused(node, verb, identity)
        usable(node, first)
        assert len(node.azv_links()) == 1
        subprocess.run(["mount", "-o", "remount,rw", str(state(node))], check=True)
        agree(node, [first])
        assert call(node, "DEL", first).status == 0
        bare(node)


def test_state_directory_is_a_file(node: Node) -> None:
    state(node).write_text("in the way")
    assert str(state(node)) in refused(node, "ADD", FIRST)
    assert node.azv_links() == []


@pytest.mark.parametrize("left", ["ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm", "all"])
def test_a_file_of_the_state_is_deleted_between_calls(node: Node, left: str) -> None:
    first, second = node.pod(FIRST), node.pod(SECOND)
    given = call(node, "ADD", first).address
    if left == "all":
        shutil.rmtree(state(node))
    else:
        (state(node) / left).unlink(missing_ok=True)
    assert call(node, "ADD", second).address != given
    assert call(node, "ADD", first).address == given
    agree(node, [first, second])
    for pod in (first, second):
        usable(node, pod)
        assert call(node, "DEL", pod).status == 0
    bare(node)


@pytest.mark.parametrize("part", range(6))
def test_a_corrupt_page_of_the_ledger(node: Node, part: int) -> None:
    first, second = node.pod(FIRST), node.pod(SECOND)
    given = call(node, "ADD", first).address
    ledger = state(node) / "ledger.sqlite"
    pages = ledger.stat().st_size // 4096
    with ledger.open("r+b") as file:
        file.seek(part * pages // 6 * 4096)
        file.write(os.urandom(4096))
    assert call(node, "ADD", second).address != given
    assert call(node, "ADD", first).address == given
    agree(node, [first, second])


HARM = {
    "bridge deleted": "ip link del azure0",
    "NIC taken from the bridge": "ip link set eth0 nomaster",
    "table flushed": "nft flush table bridge azure-vnet",
    "table deleted": "nft delete table bridge azure-vnet",
    "everything of nft flushed": "nft flush ruleset",
    "bridge down": "ip link set azure0 down",
    "neighbours flushed": "ip neigh flush dev azure0 nud permanent",
}


@pytest.mark.parametrize("harm", HARM.values(), ids=HARM)
@pytest.mark.parametrize("then", ["ADD", "DEL"])
def test_the_node_is_harmed(node: Node, harm: str, then: str) -> None:
    first, second, third = node.pod(FIRST), node.pod(SECOND), node.pod("c" * 64)
    for pod in (first, second):
        assert call(node, "ADD", pod).status == 0
    node.run(*harm.split())
    if then == "DEL":
        assert call(node, "DEL", second).status == 0
        assert len(node.azv_links()) == 1
        assert call(node, "ADD", second).status == 0
    assert call(node, "ADD", third).status == 0
    if "neigh" in harm:  # of pods, not of the node: CHECK names it, ADD of the pod repairs it
        for pod in (first, second):
            assert call(node, "ADD", pod).status == 0
    agree(node, [first, second, third])
    for pod in (first, second, third):
        usable(node, pod)
        pod.run("ping", "-c1", "-W2", "-q", WIRE_SERVER)
        assert call(node, "DEL", pod).status == 0
    bare(node)


@pytest.mark.parametrize("with_agent", [False, True], ids=["in process", "agent"])
def test_a_routing_node_forwards_no_more(tmp_path: Path, with_agent: bool) -> None:
    with ExitStack() as stack:
        node = build(tmp_path, stack, mode="transparent")
        if with_agent:
            stack.enter_context(resident(node))
        pods = [node.pod(letter * 64) for letter in "abcd"]
        for pod in pods[:3]:
            assert call(node, "ADD", pod).status == 0
        node.run("sysctl", "-q", "-w", "net.ipv4.ip_forward=0")
        assert call(node, "ADD", pods[3]).status == 0
        for pod in pods:
            usable(node, pod)


def test_a_repair_killed_before_the_other_pods_are_whole_is_ended_by_the_next(node: Node) -> None:
    first, second = node.pod(FIRST), node.pod(SECOND)
    assert call(node, "ADD", first).status == 0
    node.run("ip", "link", "del", "azure0")

    def dying() -> str:
        with pytest.MonkeyPatch.context() as patch:
            from podwire.cni import pods
            from podwire.cni.azure_vnet import AzureVnet
            from podwire.cni.protocol import answer

            patch.setattr(pods, "restore", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
            body = str(CONFIG).replace("'", '"').encode()
            answer(
                "azure-vnet",
                lambda: AzureVnet(node.settings),
                node.environment("ADD", second),
                lambda: body,
            )
        return "not killed"

    assert forked(node, dying) == signal.SIGKILL
    assert call(node, "ADD", second).status == 0
    agree(node, [first, second])
    usable(node, first)


@pytest.mark.parametrize("then", ["ADD", "DEL"])
def test_veth_deleted(node: Node, then: str) -> None:
    pod = node.pod(FIRST)
    given = call(node, "ADD", pod).address
    node.run("ip", "link", "del", node.azv_links()[0])
    if then == "ADD":
        assert call(node, "ADD", pod).address == given
        usable(node, pod)
    assert call(node, "DEL", pod).status == 0
    bare(node)


def test_netns_gone(node: Node) -> None:
    first = node.pod(FIRST)
    assert call(node, "ADD", first).status == 0
    path = first.netns.path
    first.netns.close()
    while node.azv_links():
        time.sleep(0.01)
    assert call(node, "DEL", first).status == 0
    bare(node)
    assert not os.path.exists(path)


def test_nft_of_a_killed_call_goes_on_and_harms_nobody(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The killed call's nft, slow to start, must not replace the table after the next call."""
    first, second = node.pod(FIRST), node.pod(SECOND)
    slow = tmp_path / "slow" / "nft"
    slow.parent.mkdir()
    slow.write_text(f'#!/bin/sh\ntouch {tmp_path}/runs\nsleep 0.5\nexec /usr/sbin/nft "$@"\n')
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow.parent}:{os.environ['PATH']}")
    child = os.fork()
    if child == 0:
        try:
            with node.netns.entered():
                call_in_process(node, "ADD", first)
        finally:
            os._exit(1)
    while not (tmp_path / "runs").exists():
        time.sleep(0.001)
    worker = int(Path(f"/proc/{child}/task/{child}/children").read_text().split()[0])
    os.kill(worker, signal.SIGKILL)
    os.waitpid(child, 0)
    monkeypatch.undo()

    assert call(node, "ADD", second).status == 0
    time.sleep(0.6)
    agree(node, [second])
    usable(node, second)
    assert call(node, "CHECK", second).status == 0


# The wire server


@contextmanager
def answering(node: Node, work: Callable[[socket.socket], None]) -> Iterator[None]:
    """Another server in the wire server's place; `work` gets each connection."""
    node.wire_server.close()
    with node.fabric.entered():
        listener = socket.create_server((WIRE_SERVER, 80))
    listener.settimeout(0.1)
    ended = threading.Event()

    def serve() -> None:
        while not ended.is_set():
            try:
                plug, _ = listener.accept()
            except TimeoutError:
                continue
            with plug:
                try:
                    plug.recv(4096)
                    work(plug)
                except OSError:
                    pass  # the plugin has had enough

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        listener.close()
        node.wire_server.start()


def document(body: bytes) -> bytes:
    return b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


GARBAGE = {
    "no HTTP": b"\0\xff" * 500,
    "no XML": document(b"<<<<"),
    "empty": document(b""),
    "another document": document(b"<html/>"),
    "no addresses": document(b"<Interfaces/>"),
    "bad address": document(
        b'<Interfaces><Interface MacAddress="000D3A8A50DA" IsPrimary="true"><IPSubnet '
        b'Prefix="10.220.2.0/24"><IPAddress Address="10.220.2.999"/></IPSubnet></Interface>'
        b"</Interfaces>"
    ),
    "half": b"HTTP/1.0 200 OK\r\nContent-Length: 1000\r\n\r\n<Interfaces>",
    "closed": b"",
    "500": b"HTTP/1.0 500 no\r\n\r\n",
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_wire_server_says_garbage(node: Node, garbage: bytes) -> None:
    with_garbage(node, lambda plug: plug.sendall(garbage))


def test_wire_server_is_slow(node: Node) -> None:
    with_garbage(node, lambda _: time.sleep(1.5))


def test_wire_server_answers_byte_by_byte(node: Node) -> None:
    def drip(plug: socket.socket) -> None:
        plug.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(60):
            plug.sendall(b" ")
            time.sleep(0.1)

    with_garbage(node, drip)


ENTITIES = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 20}">' for n in range(1, 12))
BOMB = f'<!DOCTYPE x [<!ENTITY a0 "boom">{ENTITIES}]><Interfaces>&a11;</Interfaces>'
MEGABYTE = b" " * (1 << 20)
TOO_MUCH: dict[str, tuple[bytes, bytes]] = {
    "entities of entities": (document(BOMB.encode()), b""),
    "a long body": (b"HTTP/1.0 200 OK\r\nContent-Length: 104857600\r\n\r\n", MEGABYTE),
    "a body without end": (b"HTTP/1.0 200 OK\r\n\r\n", MEGABYTE),
    "a head without end": (b"HTTP/1.0 200 OK\r\n", b"X: y\r\n" * 10000),
    "a line without end": (b"HTTP/1.0 200 OK\r\nX: ", MEGABYTE),
}


@pytest.mark.parametrize("kind", TOO_MUCH)
def test_wire_server_says_too_much(node: Node, kind: str) -> None:
    head, part = TOO_MUCH[kind]
    before = peak(node.agent) if node.agent else 0

    def flood(plug: socket.socket) -> None:
        plug.sendall(head)
        for _ in range(100 if part else 0):
            plug.sendall(part)

    with_garbage(node, flood)
    if node.agent:
        assert peak(node.agent) < before + 32


def with_garbage(node: Node, work: Callable[[socket.socket], None]) -> None:
    """Nothing is known: try again, and nothing is left. Something is known: it is used."""
    pod = node.pod(FIRST)
    with answering(node, work):
        said = call(node, "ADD", pod)
        assert said.document
        assert (said.status, said.document["code"]) == (1, 11), said
        assert "wire server" in str(said.document["msg"])
        assert node.azv_links() == []
        assert leases(node) == []
        assert call(node, "DEL", pod).status == 0
    assert call(node, "ADD", pod).status == 0
    agree(node, [pod])
    usable(node, pod)


def test_wire_server_shrinks(node: Node) -> None:
    """A held address that it lists no more stays its pod's, and is not handed out after that."""
    server, listed = node.wire_server, list(node.wire_server.addresses[:3])
    server.addresses = listed
    pods = [node.pod(f"{number:064x}") for number in range(3)]
    given = [call(node, "ADD", one).address for one in pods]
    server.addresses = [*listed[:1], "10.220.2.77"]
    late = node.pod("f" * 64)
    assert call(node, "ADD", late).address == "10.220.2.77"
    for pod in pods:
        usable(node, pod)
    for pod in (pods[2], pods[1]):
        assert call(node, "DEL", pod).status == 0
    again = call(node, "ADD", pods[2])
    assert again.status == 1
    agree(node, [pods[0], late])
    assert given == listed


def test_wire_server_is_down(node: Node) -> None:
    first, second = node.pod(FIRST), node.pod(SECOND)
    assert call(node, "ADD", first).status == 0
    node.wire_server.close()
    started = node.start("ADD", second)
    assert finish(started).status == 0
    assert call(node, "DEL", first).status == 0
    agree(node, [second])
    node.wire_server.start()


def test_the_pods_namespace_is_not_the_nodes(node: Node) -> None:
    """Nothing outside the pod's and the node's own namespaces is touched by a harmed call."""
    with NetNamespace.create() as other:
        before = inside(other, ["ip", "-o", "link"])
        assert call(node, "ADD", node.pod(FIRST)).status == 0
        assert inside(other, ["ip", "-o", "link"]) == before
