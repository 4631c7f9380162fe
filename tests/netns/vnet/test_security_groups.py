"""What security groups let through on the wire: as the pure model says, and statefully."""

from __future__ import annotations

import itertools
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podwire.model.effective_security import Packet, evaluate
from podwire.model.errors import InvalidInputError
from podwire.model.route_table import NextHop, Route, RouteTable
from podwire.model.security import Access, Direction, Protocol, SecurityGroup, SecurityRule
from podwire.model.vnet import FABRIC_MAC, IMDS, WIRE_SERVER, Subnet, VNet
from tests.unit.model import vnet_strategies as strategies
from tests.unit.model.vnet_strategies import ADDRESSES

from .frames import PATIENCE, checksum, ipv4, ping, tcp_segment
from .site import Site

A, B = "10.220.1.4", "10.220.2.4"
IN, OUT = Direction.INBOUND, Direction.OUTBOUND
ALLOW, DENY = Access.ALLOW, Access.DENY
TCP, UDP, ICMP = Protocol.TCP, Protocol.UDP, Protocol.ICMP
ESP, AH = Protocol.ESP, Protocol.AH
FIRST = 0x1000
NUMBERS = {TCP: 6, UDP: 17, ICMP: 1, ESP: 50, AH: 51, None: 47}


def rule(priority, direction, access, protocol=Protocol.ANY, **more) -> SecurityRule:
    return SecurityRule(f"rule{priority}", priority, direction, access, protocol, **more)


def group(*rules: SecurityRule) -> SecurityGroup:
    return SecurityGroup("group", rules)


def vnet(left: SecurityGroup | None = None, right: SecurityGroup | None = None) -> VNet:
    table = RouteTable("pods", (Route("r", "10.244.1.0/24", NextHop.VIRTUAL_APPLIANCE, A),))
    subnets = (
        Subnet("left", "10.220.1.0/24", security=left),
        Subnet("right", "10.220.2.0/24", route_table=table, security=right),
    )
    return VNet("aksvnet", "NetworkLab", ("10.220.0.0/16",), subnets)


@pytest.fixture
def site() -> Iterator[Site]:
    with ExitStack() as stack:
        made = Site.build(vnet(), stack)
        made.add("a", "left", A, "10.220.1.5", ip_forwarding=True)
        made.add("b", "right", B, "10.220.2.5")
        yield made


PORTS = tuple(itertools.product((1000, 5000), (80, 443, 8080)))
PACKETS = [
    *(
        Packet(protocol, source, destination, *ports)
        for protocol in (TCP, UDP)
        for source in (A, "10.220.1.5", "10.244.1.9", "198.51.100.7")
        for destination in (B, "10.220.2.5")
        for ports in PORTS
    ),
    *(
        Packet(protocol, source, B)
        for protocol in (ICMP, ESP, AH, None)
        for source in (A, "10.244.1.9", "198.51.100.7")
    ),
]

CASES = {
    "defaults alone": (group(), group(), None, None),
    "a port": (
        None,
        group(
            rule(100, IN, ALLOW, TCP, destination_ports=("80",)),
            rule(4096, IN, DENY),
        ),
        None,
        None,
    ),
    "priorities": (
        None,
        group(
            rule(300, IN, ALLOW),
            rule(200, IN, DENY, UDP),
            rule(100, IN, ALLOW, UDP, destination_ports=("443", "8000-9000", "8080-8090")),
        ),
        None,
        None,
    ),
    "source ports of both protocols": (
        None,
        group(rule(100, IN, DENY, source_ports=("1-1023",)), rule(110, IN, ALLOW)),
        None,
        None,
    ),
    "prefixes and addresses": (
        None,
        group(
            rule(100, IN, ALLOW, sources=(A, "10.244.0.0/16"), destinations=("10.220.2.4/31",)),
            rule(200, IN, DENY, sources=("*",)),
        ),
        None,
        None,
    ),
    "the Internet, and not the VNet": (
        None,
        group(
            rule(100, IN, ALLOW, sources=("Internet",)),
            rule(200, IN, DENY, sources=("virtualnetwork",)),
        ),
        None,
        None,
    ),
    "the probes are not they": (
        None,
        group(rule(100, IN, DENY, sources=("AzureLoadBalancer",)), rule(110, IN, ALLOW)),
        None,
        None,
    ),
    "each protocol": (
        None,
        group(
            rule(100, IN, ALLOW, ICMP),
            rule(110, IN, DENY, ESP),
            rule(120, IN, ALLOW, AH),
            rule(130, IN, DENY, AH),
            rule(140, IN, DENY, TCP),
        ),
        None,
        None,
    ),
    "outbound": (
        group(
            rule(100, OUT, DENY, UDP, destination_ports=("80",)),
            rule(110, OUT, ALLOW, sources=("198.51.100.0/24",)),
        ),
        None,
        None,
        None,
    ),
    "subnets and NICs, both ways": (
        group(rule(100, OUT, DENY, TCP, destination_ports=("8080",)), rule(200, OUT, ALLOW)),
        group(rule(100, IN, DENY, destinations=("10.220.2.5",)), rule(200, IN, ALLOW)),
        group(rule(100, OUT, DENY, UDP, source_ports=("5000",)), rule(200, OUT, ALLOW)),
        group(rule(100, IN, DENY, ICMP), rule(200, IN, ALLOW, destination_ports=("80-443",))),
    ),
    "the NIC cannot open what its subnet closes": (
        None,
        group(rule(100, IN, DENY, TCP)),
        None,
        group(rule(100, IN, ALLOW, TCP)),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_kernels_verdicts_are_the_models(site, case):
    left, right, nic_a, nic_b = CASES[case]
    wanted = vnet(left, right)
    site.fabric.update(wanted)
    site.change("a", security=nic_a)
    site.change("b", security=nic_b)
    a, b = site.hosts["a"].nic, site.hosts["b"].nic
    out = [packet for packet in PACKETS if evaluate(packet, OUT, a, wanted).allowed]
    passing = [packet for packet in out if evaluate(packet, IN, b, wanted).allowed]
    before = site.fabric.drops().denied
    assert arrived(site, PACKETS) == passing
    assert site.fabric.drops().denied - before == len(PACKETS) - len(passing)


def arrived(site: Site, packets: list[Packet]) -> list[Packet]:
    """Those of these packets from a that come to b. They are told apart by their IPv4 number."""
    a = site.hosts["a"]
    a.tap.send(*(frame(packet, a.nic.mac, number) for number, packet in enumerate(packets)))
    seen = {
        int.from_bytes(one.payload[4:6], "big") - FIRST
        for one in site.frames_at("b")
        if one.kind == 0x0800
    }
    return [packet for number, packet in enumerate(packets) if number in seen]


def frame(packet: Packet, mac: str, number: int = 0) -> bytes:
    where = (packet.source, packet.destination)
    ports = (packet.source_port, packet.destination_port)
    if packet.protocol == TCP:
        payload = tcp_segment(*where, *ports)
    elif packet.protocol == UDP:
        payload = struct.pack("!HHHH", *ports, 12, 0) + b"word"
    elif packet.protocol == ICMP:
        head = struct.pack("!BBHHH", 8, 0, 0, number, 1)
        payload = head[:2] + checksum(head).to_bytes(2, "big") + head[4:]
    else:
        payload = bytes(16)
    kind = NUMBERS[packet.protocol]
    return ipv4(FABRIC_MAC, mac, *where, kind, payload, FIRST + number)


SOURCES = tuple(one for one in ADDRESSES if one not in (WIRE_SERVER, "172.31.0.4"))
SOME_PACKETS = [
    *(
        Packet(protocol, source, "10.1.9.9", source_port, port)
        for protocol in (TCP, UDP)
        for source in SOURCES
        for source_port, port in ((80, 443), (500, 8080), (65535, 1023))
    ),
    *(Packet(protocol, source, "10.1.9.9") for protocol in (ICMP, ESP, None) for source in SOURCES),
]


def test_the_kernels_verdicts_on_any_groups_are_the_models():
    """Groups and route tables as hypothesis makes them, on subnets and NICs alike."""
    with ExitStack() as stack:
        subnets = (Subnet("left", "10.1.2.0/24"), Subnet("right", "10.1.9.0/24"))
        bare = VNet("v", "rg", ("10.1.0.0/16",), subnets)
        site = Site.build(bare, stack)
        site.add("a", "left", "10.1.2.4", ip_forwarding=True)
        site.add("b", "right", "10.1.9.9")

        @settings(max_examples=25, deadline=None, derandomize=True, database=None)
        @given(
            *(st.none() | strategies.groups for _ in range(4)), st.none() | strategies.route_tables
        )
        def check(left, right, nic_a, nic_b, table):
            one, other = subnets
            other = replace(other, security=right, route_table=table)
            wanted = replace(bare, subnets=(replace(one, security=left), other))
            site.fabric.update(wanted)
            site.change("a", security=nic_a)
            site.change("b", security=nic_b)
            forget_flows(site)
            a, b = site.hosts["a"].nic, site.hosts["b"].nic
            out = [packet for packet in SOME_PACKETS if evaluate(packet, OUT, a, wanted).allowed]
            passing = [packet for packet in out if evaluate(packet, IN, b, wanted).allowed]
            shares.append(len(passing) / len(SOME_PACKETS))
            assert arrived(site, SOME_PACKETS) == passing

        shares: list[float] = []
        check()
        assert sum(0 < one < 1 for one in shares) > 5


def forget_flows(site: Site) -> None:
    with site.fabric.namespace.entered():
        subprocess.run(["conntrack", "-F"], check=True, capture_output=True)


def test_who_opens_a_flow_decides_and_answers_pass(site):
    """Nothing comes to a, unless a has asked for it."""
    site.fabric.update(vnet(left=group(rule(100, IN, DENY))))
    a, b = site.hosts["a"], site.hosts["b"]
    assert site.reaches("b", A) == ()
    assert ping(a.namespace, B) == B
    assert exchange(a, b, B) == b"asked answered"
    assert site.reaches("b", A) == ()


def exchange(client, server, address: str, asked: bytes = b"asked") -> bytes:
    """What comes back from port 80."""
    with server.namespace.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind((address, 80))
        listener.listen()
        thread = threading.Thread(target=answer, args=(listener,))
        thread.start()
        with client.namespace.socket(socket.AF_INET, socket.SOCK_STREAM) as mine:
            mine.settimeout(PATIENCE)
            mine.connect((address, 80))
            mine.sendall(asked)
            mine.shutdown(socket.SHUT_WR)
            with mine.makefile("rb") as stream:
                said = stream.read()
        thread.join()
        return said


def answer(listener: socket.socket) -> None:
    listener.settimeout(PATIENCE)
    other, _ = listener.accept()
    with other, other.makefile("rb") as stream:
        other.sendall(stream.read() + b" answered")


@pytest.mark.parametrize("ways", [("left",), ("right",), ("left", "right")], ids="-".join)
def test_a_stream_through_an_appliance_between_closed_subnets(site, ways):
    """The fabric sees each segment twice; who answers may do so directly."""
    routes = {
        "left": RouteTable("t", (via("10.220.2.0/24"),)),
        "right": RouteTable("t", (via("10.220.1.0/24"),)),
    }
    groups = {
        "left": group(rule(100, IN, DENY), rule(100, OUT, ALLOW, TCP, destinations=(B,))),
        "right": group(rule(100, IN, ALLOW, TCP), rule(200, IN, DENY), rule(200, OUT, DENY)),
    }
    subnets = [
        replace(
            one,
            security=groups[one.name],
            route_table=routes[one.name] if one.name in ways else None,
        )
        for one in vnet().subnets
    ]
    middle = Subnet(
        "middle", "10.220.3.0/24", security=group(rule(100, OUT, ALLOW), rule(100, IN, ALLOW))
    )
    site.fabric.update(replace(vnet(), subnets=(*subnets, middle)))
    nva = site.add("nva", "middle", "10.220.3.4", ip_forwarding=True)
    with nva.namespace.entered(), open("/proc/sys/net/ipv4/ip_forward", "w") as file:
        file.write("1")
    a, b = site.hosts["a"], site.hosts["b"]
    data = bytes(range(256)) * 4096
    assert exchange(a, b, B, data) == data + b" answered"
    assert site.fabric.drops().denied == 0
    assert any(one.kind == 0x0800 and one.payload[9] == 6 for one in nva.tap.received())


def via(prefix: str) -> Route:
    return Route("via", prefix, NextHop.VIRTUAL_APPLIANCE, "10.220.3.4")


@pytest.mark.parametrize("flags", [pytest.param(16, id="ACK"), pytest.param(4, id="RST")])
def test_a_segment_of_no_flow_is_judged_like_a_first_one(site, flags):
    site.fabric.update(vnet(right=group(rule(100, IN, DENY, TCP))))
    a = site.hosts["a"]
    segment = tcp_segment(A, B, 4000, 80, flags)
    a.tap.send(ipv4(FABRIC_MAC, a.nic.mac, A, B, 6, segment, FIRST))
    assert [
        one for one in site.frames_at("b") if one.payload[4:6] == FIRST.to_bytes(2, "big")
    ] == []
    assert site.fabric.drops().denied == 1


def test_a_change_counts_for_new_flows_and_leaves_the_others_alone(site):
    """Azure: existing connections are not evaluated again when rules change."""
    site.fabric.update(vnet(right=group(rule(100, IN, ALLOW))))
    a, b = site.hosts["a"], site.hosts["b"]
    with b.namespace.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind((B, 80))
        listener.listen()
        with a.namespace.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
            client.settimeout(PATIENCE)
            client.connect((B, 80))
            server, _ = listener.accept()
            with server:
                server.settimeout(PATIENCE)
                for word in (b"before", b"after", b"ever after"):
                    client.sendall(word)
                    assert server.recv(99) == word
                    server.sendall(word)
                    assert client.recv(99) == word
                    site.fabric.update(vnet(right=group(rule(100, IN, DENY))))
    assert site.reaches("a", B) == ()
    site.fabric.update(vnet())
    assert site.reaches("a", B) == ("b",)


def test_every_packet_of_a_flow_follows_either_the_old_rules_or_the_new_ones(site):
    """While rules are replaced again and again nothing that both deny comes through, and nothing
    that both allow is lost."""
    closed, opened = rule(100, IN, DENY, UDP, destination_ports=("80",)), rule(200, IN, ALLOW)
    site.fabric.update(vnet(right=group(closed, opened)))
    a = site.hosts["a"]
    for turn in range(40):
        more = rule(150, IN, ALLOW, TCP, destination_ports=(str(turn + 1),))
        for number in range(10):
            where = 5000 + 10 * turn + number
            for port in (80, 443):
                packet = Packet(UDP, A, B, where, port)
                a.tap.send(frame(packet, a.nic.mac, port))
            if number == 5:
                site.fabric.update(vnet(right=group(closed, more, opened)))
    ports = [
        int.from_bytes(one.payload[22:24], "big")
        for one in site.frames_at("b")
        if one.kind == 0x0800 and one.payload[9] == 17
    ]
    assert (ports.count(80), ports.count(443)) == (0, 400)


def test_the_platform_is_not_subject_to_groups_but_its_probes_are(site):
    """Wire server, IMDS and DNS answer; what the load balancer's address opens needs its rule."""
    closed = (rule(100, OUT, DENY), rule(100, IN, DENY, sources=("10.220.0.0/16",)))
    for extra, probed in (
        ((), True),
        ((rule(90, IN, DENY, sources=("AzureLoadBalancer",)),), False),
    ):
        site.fabric.update(vnet(right=group(*closed, *extra)))
        b = site.hosts["b"]
        assert [ping(b.namespace, one) for one in (WIRE_SERVER, IMDS)] == [WIRE_SERVER, IMDS]
        assert probes(site, B) is probed


def probes(site: Site, address: str) -> bool:
    """Whether a SYN from the platform's address comes to b."""
    with site.fabric.namespace.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        probe.bind((WIRE_SERVER, 0))
        probe.connect_ex((address, 80))
        come = [one.payload for one in site.frames_at("b") if one.kind == 0x0800]
    return any((one[9], one[12:16]) == (6, socket.inet_aton(WIRE_SERVER)) for one in come)


def test_nobody_plays_the_platform(site):
    """Its address would pass every group, so that not even a NIC that forwards may have it."""
    site.fabric.update(vnet(right=group(rule(100, IN, DENY))))
    before = site.fabric.drops().spoofed
    assert site.reaches("a", B, source="172.31.0.254") == ()
    assert site.fabric.drops().spoofed == before + 1
    site.fabric.update(vnet(right=group(rule(100, IN, DENY, sources=("10.0.0.0/8",)))))
    assert site.reaches("a", B, source=WIRE_SERVER) == ()


def test_a_new_nic_is_judged_from_its_first_packet_on(site):
    site.fabric.update(vnet(left=group(rule(100, OUT, DENY, UDP))))
    site.add("c", "left", "10.220.1.9")
    assert site.reaches("c", B) == ()
    assert site.fabric.drops().denied == 1


def test_a_rule_that_the_lab_does_not_know_changes_nothing(site):
    wanted = vnet(right=group(rule(100, IN, DENY, UDP)))
    site.fabric.update(wanted)
    unknown = vnet(right=group(rule(100, IN, ALLOW, sources=("Storage.WestEurope",))))
    with pytest.raises(InvalidInputError, match=r"Storage\.WestEurope; the lab knows"):
        site.fabric.update(unknown)
    assert site.fabric.vnet == wanted
    assert site.reaches("a", B) == ()
    with pytest.raises(InvalidInputError, match="invalid Address prefix"):
        site.change("b", security=group(rule(100, IN, ALLOW, sources=("nonsense",))))
    site.fabric.update(vnet())
    assert site.reaches("a", B) == ("b",)


def test_only_groups_need_connection_tracking(site):
    def hooked() -> bool:
        with site.fabric.namespace.entered():
            said = subprocess.run(["nft", "list", "ruleset"], check=True, capture_output=True)
        return b"ct state" in said.stdout

    assert not hooked()
    site.fabric.update(vnet(right=group()))
    assert hooked()
    site.fabric.update(vnet())
    assert not hooked()
