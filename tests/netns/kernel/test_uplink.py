"""The NIC: found in every state, its addresses moved without losing a connection."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from podwire.kernel import wire
from podwire.kernel.netns import NetNamespace
from podwire.kernel.uplink import find_uplink
from podwire.model import bridge_mode
from podwire.model.bridge_mode import Uplink
from podwire.model.errors import KernelError
from podwire.model.wiring import Wiring, diff
from tests.netns.kernel.conftest import BRIDGE, GATEWAY, Lab, Node, built, pings, run


@pytest.fixture
def node(bare_lab: Lab) -> Node:
    return bare_lab.nodes["node1"]


def found(node: Node) -> list[Uplink]:
    """By MAC as the wire server writes it, by MAC as links have it, and without any."""
    macs = (node.uplink.mac.replace(":", "").upper(), node.uplink.mac, None)
    return [find_uplink(node.namespace, mac, BRIDGE) for mac in macs]


def test_found_before_and_after_the_move(node: Node) -> None:
    wanted = Uplink("eth0", node.uplink.mac, 1500, (f"{node.ip}/24",), GATEWAY)
    assert found(node) == [wanted] * 3
    node.realise()
    node.add_pod()
    assert found(node) == [wanted] * 3


@pytest.mark.parametrize("objects", range(10))
def test_found_and_finished_after_a_move_cut_short(node: Node, objects: int) -> None:
    assert len(node.wiring) == 10, "cut it at each object"
    wire.realise(Wiring(node.wiring.objects[:objects]), node.places)
    assert found(node) == [node.uplink] * 3
    node.realise()
    assert diff(node.wiring, wire.observe(node.wiring, node.places)) == ()
    assert pings(node.namespace, GATEWAY)


def test_secondary_addresses_move_in_their_order(node: Node) -> None:
    run(node.namespace, "ip", "addr", "add", "10.220.2.20/24", "dev", "eth0")
    run(node.namespace, "ip", "addr", "add", "10.220.2.21/24", "dev", "eth0")
    before = find_uplink(node.namespace, None, BRIDGE)
    assert before.addresses == (f"{node.ip}/24", "10.220.2.20/24", "10.220.2.21/24")
    wire.realise(bridge_mode.node_wiring(before, BRIDGE), node.places)
    assert find_uplink(node.namespace, None, BRIDGE) == before
    assert "inet" not in run(node.namespace, "ip", "-4", "addr", "show", "dev", "eth0")


def test_nic_that_is_back_out_of_the_bridge_is_found_by_its_mac(node: Node) -> None:
    node.realise()
    run(node.namespace, "ip", "link", "set", "eth0", "nomaster")
    assert find_uplink(node.namespace, node.uplink.mac, BRIDGE) == node.uplink


def test_own_bridge_is_never_the_uplink(node: Node) -> None:
    """The bridge was deleted: its addresses are gone, the NIC is not mistaken for another."""
    node.realise()
    run(node.namespace, "ip", "link", "del", BRIDGE)
    left = find_uplink(node.namespace, node.uplink.mac, BRIDGE)
    assert (left.name, left.addresses, left.gateway) == ("eth0", (), "")
    with pytest.raises(
        KernelError, match="no free NIC with a default route among the links lo, eth0"
    ):
        find_uplink(node.namespace, None, BRIDGE)
    with pytest.raises(KernelError, match="no free NIC with MAC 02:00:00:00:00:01"):
        find_uplink(node.namespace, "02:00:00:00:00:01", BRIDGE)


def test_nic_in_a_foreign_bridge_is_refused(node: Node) -> None:
    node.realise()
    with pytest.raises(KernelError, match="eth0 has it, but is a port of azure0"):
        find_uplink(node.namespace, node.uplink.mac, "br-other")


def test_open_connection_survives_the_move() -> None:
    """A stream of messages through the NIC while its address moves to the bridge: nothing is sent
    again. A busy machine makes TCP send again without a loss, at times; what the move itself lost
    it would lose in every lab."""
    resent: list[int] = []
    while resent.count(0) < 2 and len(resent) < 6:
        with built() as lab:
            resent.append(resent_in_a_move(lab, lab.nodes["node1"]))
    assert resent.count(0) >= 2, f"frames were lost: {resent} segments sent again"


def resent_in_a_move(lab: Lab, node: Node) -> int:
    """Segments that the node's TCP sent again."""
    with echo_server(lab.fabric) as port, connect(node.namespace, port) as stream:
        going = threading.Event()
        going.set()
        spoken: list[int] = []

        def talk() -> None:
            while going.is_set():
                stream.sendall(b"x")
                assert stream.recv(1) == b"x"
                spoken.append(1)

        thread = threading.Thread(target=talk)
        thread.start()
        time.sleep(0.1)
        before = len(spoken)
        node.realise()
        time.sleep(0.5)
        going.clear()
        thread.join(5)
        assert not thread.is_alive()
        assert len(spoken) > before + 10
        return sent_again(stream)


def sent_again(stream: socket.socket) -> int:
    """Source: linux/tcp.h, tcpi_total_retrans."""
    told = stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return int.from_bytes(told[100:104], sys.byteorder)


@contextmanager
def echo_server(namespace: NetNamespace) -> Iterator[int]:
    """Sends one client's bytes back; its port."""
    listener = namespace.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind((GATEWAY, 0))
    listener.listen()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            while data := connection.recv(100):
                connection.sendall(data)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        thread.join(5)
        listener.close()


def connect(namespace: NetNamespace, port: int) -> socket.socket:
    one = namespace.socket(socket.AF_INET, socket.SOCK_STREAM)
    one.settimeout(5)
    one.connect((GATEWAY, port))
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return one
