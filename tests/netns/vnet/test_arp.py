"""What a NIC sees when it asks who has an address: the fabric's MAC, whatever the address."""

from __future__ import annotations

import pytest

from podwire.kernel.rtnetlink import RtNetlink
from podwire.model.vnet import FABRIC_MAC, IMDS, WIRE_SERVER

from .frames import arp_request, ping


@pytest.mark.parametrize(
    "target",
    [
        pytest.param("10.220.2.1", id="gateway"),
        pytest.param("10.220.2.35", id="primary of another NIC"),
        pytest.param("10.220.2.36", id="secondary of another NIC"),
        pytest.param("10.220.2.200", id="nobody's, in the subnet"),
        pytest.param("10.220.3.9", id="nobody's, in the VNet"),
        pytest.param("192.0.2.8", id="off-net"),
        pytest.param("172.31.0.4", id="control plane"),
        pytest.param(WIRE_SERVER, id="wire server"),
        pytest.param(IMDS, id="IMDS"),
    ],
)
@pytest.mark.parametrize("sender", ["10.220.2.4", "10.220.2.6"])
def test_every_request_is_answered_with_the_fabrics_mac(net, sender, target):
    tap, mine = net.tap(net.a), net.a.nic.mac
    tap.send(arp_request(mine, mine, sender, target))
    reply = tap.arp_reply()
    assert (reply.src, reply.dst) == (FABRIC_MAC, mine)
    assert reply.arp_sender == (FABRIC_MAC, target)
    assert reply.arp_target == (mine, sender)


@pytest.mark.parametrize("own", ["10.220.2.4", "10.220.2.6"])
def test_a_nics_own_addresses_are_not_answered(net, own):
    tap, mine = net.tap(net.a), net.a.nic.mac
    asks = (own, "10.220.2.1")
    tap.send(*(arp_request(mine, mine, "10.220.2.5", target) for target in asks))
    assert tap.arp_reply().arp_sender[1] == "10.220.2.1"


def test_other_nics_do_not_see_the_request(net):
    asker, other, mine = net.tap(net.a), net.tap(net.b), net.a.nic.mac
    asker.send(arp_request(mine, mine, "10.220.2.4", "10.220.2.35"))
    asker.arp_reply()
    other.send(arp_request(net.b.nic.mac, net.b.nic.mac, "10.220.2.35", "10.220.2.1"))
    first = next(one for one in other.received() if one.kind == 0x0806)
    assert first.is_arp_reply
    assert first.arp_sender == (FABRIC_MAC, "10.220.2.1")


def test_each_of_hundreds_of_requests_in_a_row_is_answered(net):
    tap, mine = net.tap(net.a), net.a.nic.mac
    targets = [f"10.220.{third}.{last}" for third in (7, 8) for last in range(1, 251)]
    for target in targets:
        tap.send(arp_request(mine, mine, "10.220.2.4", target))
        assert tap.arp_reply().arp_sender == (FABRIC_MAC, target)


def test_the_fabric_learns_nothing_from_those_who_ask(net):
    """Its neighbours would count against a limit that all namespaces of the machine share."""
    for machine in net.machines:
        tap, mine = net.tap(machine), machine.nic.mac
        for sender in machine.nic.addresses:
            tap.send(arp_request(mine, mine, sender, "10.220.2.200"))
            tap.arp_reply()
    ping(net.a.namespace, "168.63.129.16")
    with RtNetlink(net.fabric.namespace) as door:
        links = [one.ifindex for one in door.links()]
        entries = [one for index in links for one in door.neighbours(index)]
    assert {one.ip for one in entries if not one.permanent} <= {"0.0.0.0"}
    assert {one.ip for one in entries if one.permanent} == {
        address for machine in net.machines for address in machine.nic.addresses
    }
