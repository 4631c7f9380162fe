"""Packets go by destination address to the NIC that owns it, and nowhere else."""

from __future__ import annotations

import itertools
import socket
import struct
import subprocess
import threading

import pytest

from podwire.kernel import sysctl
from podwire.kernel.rtnetlink import RtNetlink
from podwire.model.vnet import FABRIC_MAC

from .frames import BROADCAST, PATIENCE, arp_request, ethernet, ping, tcp_syn, udp


def test_every_machine_reaches_every_other(net):
    for one, other in itertools.permutations(net.machines, 2):
        assert ping(one.namespace, other.nic.primary) == other.nic.primary


def test_secondary_addresses_come_to_the_nics_mac(net):
    sender, receiver = net.tap(net.a), net.tap(net.b)
    for dst, payload in (("10.220.2.35", b"primary"), ("10.220.2.36", b"secondary")):
        sender.send(udp(FABRIC_MAC, net.a.nic.mac, "10.220.2.6", dst, payload))
        frame = receiver.frame_with(payload)
        assert (frame.dst, frame.src) == (net.b.nic.mac, FABRIC_MAC)


def test_a_stream_arrives_whole(net):
    data = bytes(range(256)) * 8192
    with net.b.namespace.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind(("10.220.2.35", 0))
        listener.listen()
        listener.settimeout(PATIENCE)
        with net.a.namespace.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
            client.settimeout(PATIENCE)
            client.connect(listener.getsockname())
            thread = threading.Thread(
                target=lambda: (client.sendall(data), client.shutdown(socket.SHUT_WR))
            )
            thread.start()
            server, (peer, _) = listener.accept()
            with server, server.makefile("rb") as stream:
                assert stream.read() == data
            thread.join()
    assert peer == "10.220.2.4"


def test_a_packet_to_nobody_is_dropped_without_a_word_and_counted(net):
    tap, mine = net.tap(net.a), net.a.nic.mac
    receiver = net.tap(net.b)
    for dst in ("10.220.2.200", "10.220.2.1", "10.220.9.8"):
        tap.send(udp(FABRIC_MAC, mine, "10.220.2.4", dst, b"lost"))
    tap.send(udp(FABRIC_MAC, mine, "10.220.2.4", "10.220.2.36", b"last"))
    assert receiver.datagrams_until(b"last") == [b"last"]
    assert net.fabric.drops().unowned == 3
    assert ping(net.b.namespace, "10.220.2.4") == "10.220.2.4"
    back = next(one for one in tap.received() if one.kind == 0x0800)
    assert back.payload[9:10] + back.payload[20:21] == b"\1\x08"  # b's echo request, no ICMP error


def test_a_packet_out_of_the_vnet_is_refused_at_once_and_counted(net):
    tap, mine = net.tap(net.a), net.a.nic.mac
    tap.send(udp(FABRIC_MAC, mine, "10.220.2.4", "192.0.2.8", b"away"))
    answer = next(one for one in tap.received() if one.kind == 0x0800)
    protocol, kind_and_code = answer.payload[9], answer.payload[20:22]
    assert (protocol, kind_and_code, answer.dst) == (1, b"\3\x0d", mine)  # admin-prohibited
    assert net.fabric.drops().unowned == 1


def test_a_packet_between_a_nics_own_addresses_comes_back_without_a_redirect(net):
    tap, mine = net.tap(net.a), net.a.nic.mac
    tap.send(udp(FABRIC_MAC, mine, "10.220.2.5", "10.220.2.6", b"hairpin"))
    first = next(one for one in tap.received() if one.kind == 0x0800)
    assert (first.udp_payload, first.dst) == (b"hairpin", mine)


@pytest.mark.parametrize(
    ("dst_mac", "dst"),
    [
        (BROADCAST, "255.255.255.255"),
        (BROADCAST, "10.220.2.255"),
        (FABRIC_MAC, "10.220.2.255"),
        ("01:00:5e:00:00:fb", "224.0.0.251"),
        (FABRIC_MAC, "224.0.0.251"),
        pytest.param(BROADCAST, "10.220.2.35", id="unicast in a broadcast frame"),
        pytest.param("00:0d:3a:00:00:0b", "10.220.2.35", id="the other NIC's MAC"),
    ],
)
def test_broadcast_and_multicast_stay_with_the_sender(net, dst_mac, dst):
    sender, receiver = net.tap(net.a), net.tap(net.b)
    mine = net.a.nic.mac
    sender.send(
        udp(dst_mac, mine, "10.220.2.4", dst, b"to all"),
        udp(FABRIC_MAC, mine, "10.220.2.4", "10.220.2.36", b"last"),
    )
    assert receiver.datagrams_until(b"last") == [b"last"]


def test_ipv6_and_other_protocols_do_not_pass(net):
    sender, receiver = net.tap(net.a), net.tap(net.b)
    mine = net.a.nic.mac
    neighbours = struct.pack("!IHBB", 6 << 28, 0, 59, 255) + bytes(15) + b"\1" + bytes(15) + b"\2"
    sender.send(
        ethernet("33:33:00:00:00:01", mine, 0x86DD, neighbours),
        ethernet(FABRIC_MAC, mine, 0x86DD, neighbours),
        ethernet(BROADCAST, mine, 0x88CC, b"LLDP"),
        udp(FABRIC_MAC, mine, "10.220.2.4", "10.220.2.36", b"last"),
    )
    from_fabric = []
    for one in receiver.received():
        from_fabric.append(one.kind)
        if one.udp_payload == b"last":
            break
    assert set(from_fabric) <= {0x0800, 0x0806}
    with RtNetlink(net.fabric.namespace) as door:
        assert [one.cidr for one in door.addresses() if ":" in one.cidr and one.scope != 254] == []


def track_connections(namespace) -> None:
    """Half-open connections stay: what would reset them is not let out."""
    rules = (
        "table ip t {"
        " chain in { type filter hook input priority 0; ct state new accept; };"
        " chain out { type filter hook output priority raw; tcp flags & rst == rst drop; }; }"
    )
    with namespace.entered():
        subprocess.run(["nft", rules], check=True)


def connections(namespace) -> int:
    return int(sysctl.read(namespace, "net/netfilter/nf_conntrack_count") or "0")


def test_forwarding_tracks_no_connection(net):
    """The same packets do make entries in the receiver, which has a rule that asks for them."""
    track_connections(net.b.namespace)
    sender, receiver = net.tap(net.a), net.tap(net.b)
    mine = net.a.nic.mac
    for port in range(1000, 2000):
        sender.send(tcp_syn(FABRIC_MAC, mine, "10.220.2.4", "10.220.2.35", port))
        sender.send(arp_request(mine, mine, "10.220.2.4", "10.220.2.200"))
    sender.send(udp(FABRIC_MAC, mine, "10.220.2.4", "10.220.2.35", b"last"))
    receiver.datagrams_until(b"last")
    assert connections(net.b.namespace) >= 1000
    assert connections(net.fabric.namespace) == 0
