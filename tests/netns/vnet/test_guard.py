"""Frames whose source MAC or source address is not the NIC's do not come in, and are counted."""

from __future__ import annotations

import pytest

from podwire.model.vnet import FABRIC_MAC

from .conftest import A, B
from .frames import arp_request, udp


@pytest.mark.parametrize(
    ("src_mac", "src"),
    [
        pytest.param(A.mac, "10.220.2.36", id="another NIC's address"),
        pytest.param(A.mac, "10.220.2.200", id="nobody's address"),
        pytest.param(A.mac, "192.0.2.8", id="an address from outside"),
        pytest.param(A.mac, "0.0.0.0", id="no address"),
        pytest.param(A.mac, "168.63.129.16", id="the platform's address"),
        pytest.param("00:0d:3a:00:00:99", "10.220.2.4", id="a MAC of its own"),
        pytest.param(B.mac, "10.220.2.4", id="another NIC's MAC"),
        pytest.param(B.mac, "10.220.2.36", id="both of another NIC"),
    ],
)
def test_a_spoofed_packet_is_dropped_and_counted(net, src_mac, src):
    sender, receiver = net.tap(net.a), net.tap(net.control)
    before = net.fabric.drops()
    to_control = net.control.nic.primary
    sender.send(
        *(udp(FABRIC_MAC, src_mac, src, to_control, b"spoofed") for _ in range(5)),
        udp(FABRIC_MAC, A.mac, "10.220.2.4", to_control, b"honest"),
    )
    assert receiver.datagrams_until(b"honest") == [b"honest"]
    after = net.fabric.drops()
    assert (after.spoofed - before.spoofed, after.unowned - before.unowned) == (5, 0)


@pytest.mark.parametrize(
    ("ether", "sender_mac", "sender"),
    [
        pytest.param(A.mac, A.mac, "10.220.2.36", id="another NIC's address"),
        pytest.param(A.mac, A.mac, "10.220.2.200", id="nobody's address"),
        pytest.param(A.mac, B.mac, "10.220.2.4", id="another NIC's MAC inside"),
        pytest.param(B.mac, A.mac, "10.220.2.4", id="another NIC's MAC outside"),
        pytest.param(B.mac, B.mac, "10.220.2.36", id="all of another NIC"),
    ],
)
def test_a_spoofed_arp_request_is_not_answered_but_counted(net, ether, sender_mac, sender):
    tap = net.tap(net.a)
    before = net.fabric.drops().spoofed_arp
    tap.send(
        arp_request(ether, sender_mac, sender, "10.220.2.200"),
        arp_request(A.mac, A.mac, "10.220.2.4", "10.220.2.1"),
    )
    assert tap.arp_reply().arp_sender[1] == "10.220.2.1"
    assert net.fabric.drops().spoofed_arp - before == 1


def test_honest_traffic_is_not_counted(net):
    sender, receiver = net.tap(net.a), net.tap(net.b)
    for address in A.addresses:
        sender.send(udp(FABRIC_MAC, A.mac, address, "10.220.2.36", address.encode()))
        receiver.frame_with(address.encode())
    assert net.fabric.drops().spoofed == 0
