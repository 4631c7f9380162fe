"""Plugging NICs in and out: what is made, what is left alone, what is gone afterwards."""

from __future__ import annotations

import subprocess
import time
from dataclasses import replace

import pytest

from podwire.kernel import wire
from podwire.kernel.netns import NetNamespace
from podwire.kernel.nfnetlink import NfNetlink
from podwire.kernel.rtnetlink import RtNetlink
from podwire.model.errors import InvalidInputError, KernelError
from podwire.model.vnet import FABRIC_MAC, Nic, Subnet, allocate
from podwire.model.wiring import Veth, Wiring, diff
from podwire.vnet.fabric import Fabric
from podwire.vnet.segments import FABRIC, NODE, fabric_wiring, node_wiring

from .conftest import SUBNET, VNET, A
from .frames import PATIENCE, udp


def owned(fabric: Fabric) -> list[set[str]]:
    """The elements of the guard's set, for IPv4 and for ARP."""
    with NfNetlink(fabric.namespace) as door:
        return [set(door.elements(family, "vnet", "owned")) for family in ("ip", "arp")]


def contents(fabric: Fabric) -> tuple[object, ...]:
    """All that a NIC adds to the fabric."""
    with RtNetlink(fabric.namespace) as door:
        links = {one.ifindex: one.name for one in door.links()}
        routes = {(one.dst, links[one.ifindex], one.via) for one in door.routes()}
        neighbours = {(one.ip, one.mac) for index in links for one in door.neighbours(index)}
    return set(links.values()), routes, neighbours, owned(fabric)


def link_names(namespace: NetNamespace) -> set[str]:
    with RtNetlink(namespace) as door:
        return {one.name for one in door.links()}


def addresses(namespace: NetNamespace, link: str) -> set[str]:
    with RtNetlink(namespace) as door:
        found = door.addresses(door.index(link))
        return {one.cidr for one in found if ":" not in one.cidr}


def in_place(fabric: Fabric, machine) -> Wiring:
    (port,) = (one for one in fabric.ports() if one.nic == machine.nic)
    return port.wiring + node_wiring(machine.nic)


def test_what_is_there_is_what_the_wirings_say(net):
    for machine in net.machines:
        wanted = fabric_wiring() + in_place(net.fabric, machine)
        places = {FABRIC: net.fabric.namespace, NODE: machine.namespace}
        assert diff(wanted, wire.observe(wanted, places)) == ()


def test_the_fabrics_ends_have_unique_short_names_and_the_fabrics_mac(fabric, new_namespace):
    names = ("a-virtual-machine-scale-set_nic_0", "a-virtual-machine-scale-set_nic_1")
    for index, name in enumerate(names):
        nic = Nic(name, f"00:0d:3a:00:01:0{index}", SUBNET, (f"10.220.2.{10 + index}",))
        fabric.attach(nic, new_namespace())
    assert [port.link for port in fabric.ports()] == ["nic1", "nic2"]
    assert [nic.name for nic in fabric.nics()] == list(names)
    with RtNetlink(fabric.namespace) as door:
        assert {door.link(one).mac for one in ("nic1", "nic2")} == {FABRIC_MAC}


def test_attaching_again_changes_nothing(net):
    before = contents(net.fabric)
    with RtNetlink(net.a.namespace) as door:
        index = door.index("eth0")
    net.fabric.attach(net.a.nic, net.a.namespace)
    assert contents(net.fabric) == before
    with RtNetlink(net.a.namespace) as door:
        assert door.index("eth0") == index


def move_to_bridge(namespace: NetNamespace) -> None:
    """What azure-vnet does when the node's first pod comes."""
    with namespace.entered():
        for command in (
            "ip link add azure0 address 00:0d:3a:00:00:0a type bridge",
            "ip address del 10.220.2.4/24 dev eth0",
            "ip link set eth0 master azure0",
            "ip link set azure0 up",
            "ip address add 10.220.2.4/24 dev azure0",
            "ip route add default via 10.220.2.1 dev azure0",
        ):
            subprocess.run(command.split(), check=True)


def test_what_the_node_did_to_its_end_is_left_alone(net):
    move_to_bridge(net.a.namespace)
    net.fabric.attach(net.a.nic, net.a.namespace)
    more = replace(net.a.nic, addresses=(*net.a.nic.addresses, "10.220.2.9"))
    net.fabric.attach(more, net.a.namespace)
    assert addresses(net.a.namespace, "eth0") == set()
    assert addresses(net.a.namespace, "azure0") == {"10.220.2.4/24"}


def test_secondary_addresses_come_and_go_on_the_same_link(net):
    with RtNetlink(net.a.namespace) as door:
        index = door.index("eth0")
    other = replace(net.a.nic, addresses=("10.220.2.4", "10.220.2.6", "10.220.2.9"))
    net.fabric.attach(other, net.a.namespace)
    receiver, sender = net.tap(net.a), net.tap(net.b)
    for last in (5, 6, 9):
        payload = f"to {last}".encode()
        sender.send(udp(FABRIC_MAC, net.b.nic.mac, "10.220.2.35", f"10.220.2.{last}", payload))
    assert receiver.datagrams_until(b"to 9") == [b"to 6", b"to 9"]
    assert net.fabric.nics()[0] == other
    assert all(len(one & {f"nic1 . {A.mac} . 10.220.2.5"}) == 0 for one in owned(net.fabric))
    with RtNetlink(net.a.namespace) as door:
        assert door.index("eth0") == index


def test_another_namespace_moves_the_nic(net, new_namespace):
    elsewhere = new_namespace()
    net.fabric.attach(net.a.nic, elsewhere, mtu=1400)
    assert "eth0" not in link_names(net.a.namespace)
    assert addresses(elsewhere, "eth0") == {"10.220.2.4/24"}
    with RtNetlink(elsewhere) as door:
        assert (door.link("eth0").mtu, door.link("eth0").mac) == (1400, A.mac)
    assert len(net.fabric.nics()) == 3


def test_a_link_that_the_node_deleted_is_made_again(net):
    with RtNetlink(net.a.namespace) as door:
        door.delete_link(door.index("eth0"))
    net.fabric.attach(net.a.nic, net.a.namespace)
    assert addresses(net.a.namespace, "eth0") == {"10.220.2.4/24"}
    with RtNetlink(net.a.namespace) as door:
        routes = {(one.dst, one.via) for one in door.routes()}
    assert ("0.0.0.0/0", "10.220.2.1") in routes


def test_detach_leaves_no_trace(net, new_namespace):
    before = contents(net.fabric)
    nic = Nic("nic-d", "00:0d:3a:00:00:0d", SUBNET, ("10.220.2.97", "10.220.2.98"))
    node = new_namespace()
    net.fabric.attach(nic, node)
    assert contents(net.fabric) != before
    net.fabric.detach("nic-d")
    assert contents(net.fabric) == before
    assert link_names(node) == {"lo"}
    net.fabric.detach("nic-d")
    assert len(net.fabric.nics()) == 3


def test_a_nic_whose_node_is_gone_can_be_detached_and_attached_again(fabric, new_namespace):
    before = contents(fabric)
    with NetNamespace.create() as gone:
        fabric.attach(A, gone)
    wait_until(lambda: "nic1" not in link_names(fabric.namespace))
    fabric.attach(A, new_namespace())
    assert "nic1" in link_names(fabric.namespace)
    fabric.detach(A.name)
    assert contents(fabric) == before


def test_an_address_that_another_nic_has_is_refused(net, new_namespace):
    before = contents(net.fabric)
    thief = Nic("thief", "00:0d:3a:00:00:0e", SUBNET, ("10.220.2.90", "10.220.2.36"))
    node = new_namespace()
    with pytest.raises(InvalidInputError, match=r"thief cannot have 10\.220\.2\.36: NIC nic-b"):
        net.fabric.attach(thief, node)
    assert contents(net.fabric) == before
    assert link_names(node) == {"lo"}


def test_a_nic_that_cannot_be_plugged_in_leaves_nothing(net, new_namespace):
    node = new_namespace()
    with NetNamespace.create() as far:
        veth = Veth("here", "eth0", "there", "peer")
        wire.realise(Wiring((veth,)), {"here": node, "there": far})
        before = contents(net.fabric)
        nic = Nic("nic-d", "00:0d:3a:00:00:0d", SUBNET, ("10.220.2.97",))
        with pytest.raises(KernelError, match="eth0"):
            net.fabric.attach(nic, node)
        assert contents(net.fabric) == before
        assert len(net.fabric.nics()) == 3


def test_ten_nics_of_31_addresses(fabric, new_namespace):
    subnet = Subnet("wide", "10.220.4.0/22")
    taken: list[str] = []
    for index in range(10):
        addresses_ = allocate(subnet, 31, taken)
        taken += addresses_
        nic = Nic(f"nic-{index}", f"00:0d:3a:00:02:{index:02x}", subnet, addresses_)
        fabric.attach(nic, new_namespace())
    assert [len(one) for one in owned(fabric)] == [310, 310]
    with RtNetlink(fabric.namespace) as door:
        assert {f"{one}/32" for one in taken} < {one.dst for one in door.routes()}


def wait_until(condition) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_close_leaves_nothing(new_namespace):
    with NetNamespace.current() as machine:
        before = link_names(machine)
        fabric, node = Fabric.create(VNET), new_namespace()
        fabric.attach(A, node)
        assert link_names(machine) == before
        fabric.close()
        fabric.close()
        wait_until(lambda: link_names(node) == {"lo"})
        assert fabric.nics() == ()
        assert link_names(machine) == before
