"""Load balancers on the wire: who gets a flow, what it looks like there, and who may answer it."""

from __future__ import annotations

import socket
import subprocess
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, replace

import pytest

from podwire.model.errors import InvalidInputError
from podwire.model.load_balancer import Frontend, Probe, Rule
from podwire.model.vnet import FABRIC_MAC, WIRE_SERVER, Nic

from .balancing import (
    FRONTEND,
    RULE,
    Balancing,
    Client,
    Server,
    ask,
    balancer,
    balancing,
    eventually,
    hold,
)
from .conftest import SUBNET, A, B, Machine, Net
from .frames import Frame, ping, tcp_syn, udp

C = Nic("nic-c", "00:0d:3a:00:00:1c", SUBNET, ("10.220.2.66",))
PUBLIC = "198.18.0.1"
UNPROBED = replace(RULE, probe="")
UDP = Rule("dns", "front", "udp", 9999, 9999, floating=True)


@dataclass
class Scene:
    net: Net
    client: Machine
    lbs: Balancing

    def put(self, *rules: Rule, **changes) -> None:
        self.lbs.put(balancer(*rules, **changes))


@pytest.fixture
def scene(net, new_namespace):
    """Nodes a and b behind the balancer, and a client that is on the VNet."""
    client = Machine(C, new_namespace())
    net.fabric.attach(C, client.namespace)
    with balancing(net.fabric) as lbs:
        yield Scene(net, client, lbs)


@pytest.fixture
def servers(net):
    """Both nodes serve port 80."""
    with ExitStack() as stack:
        made = {}
        for name, machine in (("a", net.a), ("b", net.b)):
            hold(machine.namespace)
            made[name] = Server(name, machine.namespace)
            stack.callback(made[name].close)
        yield made


def is_syn(frame: Frame) -> bool:
    return frame.kind == 0x0800 and frame.payload[9] == 6


def source_port(frame: Frame) -> int:
    return int.from_bytes(frame.payload[20:22], "big")


def spread(scene: Scene, ports: range, **packet) -> tuple[set[int], set[int]]:
    """The source ports of the SYNs that a and b get, of one from each port of the client."""
    taps = [scene.net.tap(one) for one in (scene.net.a, scene.net.b)]
    sender = scene.net.tap(scene.client)
    dst = packet.get("dst", FRONTEND)
    sender.send(*(tcp_syn(FABRIC_MAC, C.mac, C.primary, dst, port) for port in ports))
    sender.send(*(udp(FABRIC_MAC, C.mac, C.primary, one.primary, b"end") for one in (A, B)))
    seen = []
    for tap in taps:
        frames = []
        for frame in tap.received():
            if frame.udp_payload == b"end":
                break
            frames += [frame] if is_syn(frame) else []
        seen.append({source_port(one) for one in frames})
    return seen[0], seen[1]


def test_flows_are_spread_over_the_backends_and_arrive_unchanged(scene):
    scene.put(UNPROBED)
    taps = [scene.net.tap(one) for one in (scene.net.a, scene.net.b)]
    to_a, to_b = spread(scene, range(20000, 20200))
    assert to_a | to_b == set(range(20000, 20200))
    assert not to_a & to_b
    assert min(len(to_a), len(to_b)) > 60
    for tap, nic in zip(taps, (A, B), strict=True):
        frame = next(one for one in tap.received() if is_syn(one))
        assert (frame.dst, frame.src) == (nic.mac, FABRIC_MAC)
        ends = [socket.inet_ntoa(frame.payload[at : at + 4]) for at in (12, 16)]
        assert ends == [C.primary, FRONTEND]


def test_a_flow_keeps_its_backend_when_others_come_and_go(scene):
    scene.put(UNPROBED)
    before = spread(scene, range(20000, 20100))
    control = scene.net.control.nic.primary
    scene.put(UNPROBED, backends=(control, A.primary, B.primary))
    sender, taps = scene.net.tap(scene.client), [scene.net.tap(scene.net.a), None]
    taps[1] = scene.net.tap(scene.net.b)
    for tap, ports in zip(taps, before, strict=True):
        for port in ports:  # no SYN: the flow goes on
            syn = tcp_syn(FABRIC_MAC, C.mac, C.primary, FRONTEND, port)
            sender.send(syn[:47] + b"\x10" + syn[48:])
        got = set()
        while got != ports:
            got.add(source_port(next(one for one in tap.received() if is_syn(one))))


def test_persistence_by_source_takes_every_port_to_one_backend(scene):
    for mode in ("SourceIP", "SourceIPProtocol"):
        scene.put(replace(UNPROBED, persistence=mode))
        to_a, to_b = spread(scene, range(21000, 21040))
        assert sorted((len(to_a), len(to_b))) == [0, 40]


def test_a_connection_and_who_is_seen_there(scene, servers):
    scene.put()
    scene.lbs.wait_up(A.primary, B.primary)
    answers = Counter(ask(scene.client.namespace) for _ in range(30))
    assert set(answers) == {("a", C.primary), ("b", C.primary)}


def test_a_public_frontend_is_reached_from_inside_and_from_the_control_plane(scene, servers):
    for machine in (scene.net.a, scene.net.b):
        hold(machine.namespace, PUBLIC)
    scene.put(frontends=(Frontend("front", PUBLIC),))
    scene.lbs.wait_up(A.primary, B.primary)
    assert ask(scene.client.namespace, PUBLIC)[1] == C.primary
    control = scene.net.control
    assert ask(control.namespace, PUBLIC)[1] == control.nic.primary


def test_without_a_floating_ip_the_backend_sees_its_own_address_and_port(scene):
    servers = [
        Server(name, machine.namespace, 8080)
        for name, machine in (("a", scene.net.a), ("b", scene.net.b))
    ]
    try:
        scene.put(replace(UNPROBED, floating=False, backend_port=8080))
        answers = {ask(scene.client.namespace) for _ in range(20)}
        assert answers == {("a", C.primary), ("b", C.primary)}
        scene.put(UNPROBED)  # and nothing is left of the translation
        to_a, to_b = spread(scene, range(20000, 20010))
        assert len(to_a | to_b) == 10
    finally:
        for one in servers:
            one.close()


def test_a_backend_that_fails_gets_no_new_flow_and_keeps_those_it_has(scene, servers):
    scene.put()
    scene.lbs.wait_up(A.primary, B.primary)
    clients = [Client(scene.client.namespace) for _ in range(20)]
    before = [one.ask()[0] for one in clients]
    assert set(before) == {"a", "b"}
    servers["a"].close()
    scene.lbs.wait_up(B.primary)
    assert {ask(scene.client.namespace)[0] for _ in range(20)} == {"b"}
    assert [one.ask()[0] for one in clients] == before
    servers["b"].close()
    scene.lbs.wait_up()
    assert [one.ask()[0] for one in clients] == before  # all down: connections go on
    to_a, to_b = spread(scene, range(22000, 22020))
    assert to_a | to_b == set()  # and new ones are lost
    for one in clients:
        one.close()
    states = {one.backend: one.detail for one in scene.lbs.balancers.health()}
    assert all("refused" in detail for detail in states.values())


def test_an_http_probe_wants_status_200_and_comes_from_the_platform(scene, servers):
    asked, status = [], {"a": b"200 OK", "b": b"503 Service Unavailable"}

    def answer(self, stream, line):
        asked.append(line)
        stream.write(b"HTTP/1.0 " + status[self.name] + b"\r\n\r\n")

    for one in servers.values():
        one.answer = answer.__get__(one)
    tap = scene.net.tap(scene.net.a)
    probe = Probe("web", "http", 80, "/healthz", interval=0.2)
    scene.put(probes=(probe,))
    scene.lbs.wait_up(A.primary)
    assert asked[0] == b"GET /healthz HTTP/1.1\r\n"
    syn = next(one for one in tap.received() if is_syn(one))
    assert socket.inet_ntoa(syn.payload[12:16]) == WIRE_SERVER
    status.update(a=b"404 Not Found", b=b"200 OK")
    scene.lbs.wait_up(B.primary)
    assert {one.detail for one in scene.lbs.balancers.health()} == {"", "HTTP status 404 Not Found"}


def test_udp_goes_to_healthy_backends_alone_also_in_a_known_flow(scene):
    scene.put(replace(UDP, probe="web"))
    one = Server("a", scene.net.a.namespace)
    scene.lbs.wait_up(A.primary)
    sender = scene.net.tap(scene.client)
    taps = {name: scene.net.tap(m) for name, m in (("a", scene.net.a), ("b", scene.net.b))}
    sender.send(udp(FABRIC_MAC, C.mac, C.primary, FRONTEND, b"first"))
    assert taps["a"].frame_with(b"first").dst == A.mac
    other = Server("b", scene.net.b.namespace)
    one.close()
    scene.lbs.wait_up(B.primary)
    sender.send(udp(FABRIC_MAC, C.mac, C.primary, FRONTEND, b"second"))
    assert taps["b"].frame_with(b"second").dst == B.mac
    other.close()


def test_only_a_backend_may_send_with_the_frontend_as_its_source(scene):
    scene.put(UDP, backends=(A.primary,))
    receiver = scene.net.tap(scene.client)
    honest = udp(FABRIC_MAC, A.mac, FRONTEND, C.primary, b"from a backend")
    forged = udp(FABRIC_MAC, B.mac, FRONTEND, C.primary, b"from another")
    foreign = udp(FABRIC_MAC, B.mac, "10.220.2.101", C.primary, b"nobody's")
    last = udp(FABRIC_MAC, B.mac, B.primary, C.primary, b"last")
    from_a, from_b = scene.net.tap(scene.net.a), scene.net.tap(scene.net.b)
    from_a.send(honest)
    assert receiver.datagrams_until(b"from a backend")
    from_b.send(forged, foreign, last)
    assert receiver.datagrams_until(b"last") == [b"last"]
    assert scene.net.fabric.drops().spoofed == 2
    scene.put(UDP, backends=(B.primary,))
    from_b.send(udp(FABRIC_MAC, B.mac, FRONTEND, C.primary, b"now it may"))
    assert receiver.datagrams_until(b"now it may")
    from_a.send(honest, udp(FABRIC_MAC, A.mac, A.primary, C.primary, b"end"))
    assert receiver.datagrams_until(b"end") == [b"end"]


def test_what_no_rule_is_for_goes_nowhere(scene):
    scene.put(UNPROBED, replace(UDP, sources=("10.220.2.0/28",)))
    taps = [scene.net.tap(one) for one in (scene.net.a, scene.net.b)]
    sender = scene.net.tap(scene.client)
    for payload, port in ((b"no such port", 1234), (b"not from there", 9999)):
        sender.send(udp(FABRIC_MAC, C.mac, C.primary, FRONTEND, payload, port))
    sender.send(*(udp(FABRIC_MAC, C.mac, C.primary, one.primary, b"end") for one in (A, B)))
    assert [one.datagrams_until(b"end") for one in taps] == [[b"end"], [b"end"]]
    near = udp(FABRIC_MAC, A.mac, "10.220.2.6", FRONTEND, b"from a source that may")
    scene.put(UNPROBED, replace(UDP, sources=("10.220.2.0/28",)), backends=(B.primary,))
    taps[0].send(near)
    assert taps[1].frame_with(b"from a source that may").dst == B.mac


def test_a_node_plugged_in_anew_is_reached_again(scene, servers):
    scene.put()
    scene.lbs.wait_up(A.primary, B.primary)
    for nic, machine in ((A, scene.net.a), (B, scene.net.b)):
        scene.net.fabric.detach(nic.name)
        scene.net.fabric.attach(nic, machine.namespace)
    scene.lbs.run(scene.lbs.balancers.refresh())
    assert {ask(scene.client.namespace)[0] for _ in range(20)} == {"a", "b"}


def test_it_is_noticed_when_a_node_is_plugged_in_without_a_word(scene):
    scene.put(UDP, backends=(A.primary,))
    scene.net.fabric.detach(A.name)
    scene.net.fabric.attach(A, scene.net.a.namespace)
    sender, tap = scene.net.tap(scene.client), scene.net.tap(scene.net.a)
    eventually(lambda: scene.lbs.balancers._ports == scene.net.fabric.ports())
    sender.send(udp(FABRIC_MAC, C.mac, C.primary, FRONTEND, b"here again"))
    assert tap.frame_with(b"here again")


def test_removed_nothing_is_left_and_the_address_is_nobodys(scene, servers):
    clean = scene.net.fabric.namespace
    before = listing(clean)
    scene.put()
    scene.lbs.wait_up(A.primary, B.primary)
    assert "balancer" in listing(clean)
    scene.lbs.run(scene.lbs.balancers.remove("MC_lab/kubernetes-internal".lower()))
    assert listing(clean) == before
    assert scene.lbs.balancers.health() == ()
    sender = scene.net.tap(scene.client)
    unowned = scene.net.fabric.drops().unowned
    sender.send(udp(FABRIC_MAC, C.mac, C.primary, FRONTEND, b"lost"))
    assert ping(scene.client.namespace, A.primary) == A.primary
    assert scene.net.fabric.drops().unowned == unowned + 1


def listing(namespace) -> str:
    """The rules and elements of the fabric, without what counts."""
    with namespace.entered():
        done = subprocess.run(["nft", "-s", "list", "ruleset"], capture_output=True, text=True)
    return done.stdout


def test_an_address_that_somebody_has_is_refused_and_nothing_changes(scene):
    scene.put(UDP, backends=(A.primary,))
    other = balancer(UDP, name="other", backends=(B.primary,))
    for frontend in (FRONTEND, B.primary):
        with pytest.raises(InvalidInputError, match="has it; take another address"):
            scene.lbs.put(replace(other, frontends=(Frontend("front", frontend, "azurecni"),)))
    sender, tap = scene.net.tap(scene.client), scene.net.tap(scene.net.a)
    sender.send(udp(FABRIC_MAC, C.mac, C.primary, FRONTEND, b"still here"))
    assert tap.frame_with(b"still here")
