"""Two and three VNets: who reaches whom, while each side wants it, and no further than a peer."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from podwire.kernel.rtnetlink import RtNetlink
from podwire.model.errors import InvalidInputError
from podwire.model.route_table import NextHop, Route, RouteTable
from podwire.model.security import SecurityGroup
from podwire.model.vnet import FABRIC_MAC, Peering, Subnet, VNet
from podwire.vnet.peering import join

from .frames import PATIENCE, arp_request, ping, udp
from .site import PORT, Site

A, B, C = "10.1.0.4", "10.2.0.4", "10.3.0.4"


def vnet(number: int, *remotes: int, **more: object) -> VNet:
    """v1 is 10.1.0.0/16 and has a NIC in its first subnet; remotes: whom it has a peering to."""
    subnet = Subnet("nodes", f"10.{number}.0.0/24")
    peerings = tuple(Peering(f"to-{one}", f"RG/V{one}") for one in remotes)
    return replace(VNet(f"v{number}", "rg", (f"10.{number}.0.0/16",), (subnet,), peerings), **more)


class Sites:
    def __init__(self, stack: ExitStack) -> None:
        self.a, self.b, self.c = (Site.build(vnet(number), stack) for number in (1, 2, 3))
        for site, name, address in ((self.a, "a", A), (self.b, "b", B), (self.c, "c", C)):
            site.add(name, "nodes", address)

    def join(self, *changed: VNet) -> None:
        join([one.fabric for one in (self.a, self.b, self.c)], changed)

    def links(self) -> set[str]:
        found = set()
        for site in (self.a, self.b, self.c):
            with RtNetlink(site.fabric.namespace) as door:
                names = {one.name for one in door.links()}
            found |= {f"{site.fabric.vnet.name} {one}" for one in names if one.startswith("peer")}
        return found


@pytest.fixture
def sites() -> Iterator[Sites]:
    with ExitStack() as stack:
        yield Sites(stack)


def passes(sender: Site, name: str, destination: str, receiver: Site, source: str = "") -> bool:
    """Whether a datagram from a host of one VNet comes to a host of another."""
    nic, (host,) = sender.hosts[name].nic, [one for one in receiver.hosts if len(one) == 1]
    word = f"{name} to {destination} from {source}".encode()
    frame = udp(FABRIC_MAC, nic.mac, source or nic.primary, destination, word, PORT)
    sender.hosts[name].tap.send(frame)
    seen = [one.udp_payload for one in receiver.frames_at(host)]
    return word in seen


def test_two_peered_vnets_reach_each_other(sites):
    sites.join(vnet(1, 2), vnet(2, 1))
    assert [one.connected for one in sites.a.fabric.vnet.peerings] == [True]
    a = sites.a.hosts["a"]
    a.tap.send(arp_request(a.nic.mac, a.nic.mac, A, "10.2.0.77"))
    assert a.tap.arp_reply().arp_sender == (FABRIC_MAC, "10.2.0.77")
    assert ping(a.namespace, B) == B
    assert ping(sites.b.hosts["b"].namespace, A) == A
    assert not passes(sites.a, "a", "10.2.0.77", sites.b)
    assert sites.b.fabric.drops().unowned == 1


def test_one_side_alone_joins_nothing_and_either_side_ends_it(sites):
    sites.join(vnet(1, 2))
    assert sites.links() == set()
    assert not passes(sites.a, "a", B, sites.b)
    sites.join(vnet(2, 1))
    assert sites.links() == {"v1 peer1", "v2 peer1"}
    sites.join()
    assert passes(sites.a, "a", B, sites.b)
    sites.join(vnet(2))
    assert sites.links() == set()
    assert not passes(sites.b, "b", A, sites.a)
    assert sites.a.fabric.drops().spoofed == 0


def test_peering_is_not_transitive(sites):
    sites.join(vnet(1, 2), vnet(2, 1, 3), vnet(3, 2))
    assert passes(sites.a, "a", B, sites.b)
    assert passes(sites.b, "b", C, sites.c)
    assert not passes(sites.a, "a", C, sites.c)
    through = Route("r", "10.3.0.0/16", NextHop.PEERING)  # what no user can write
    table = RouteTable("t", (through,))
    sites.join(vnet(1, 2, subnets=(Subnet("nodes", "10.1.0.0/24", table),)))
    assert not passes(sites.a, "a", C, sites.c)


@pytest.mark.parametrize("closed", [1, 2])
def test_without_access_nothing_passes_either_way(sites, closed):
    values = [vnet(1, 2), vnet(2, 1)]
    one = values[closed - 1]
    values[closed - 1] = replace(one, peerings=(replace(one.peerings[0], allow_access=False),))
    sites.join(*values)
    assert not passes(sites.a, "a", B, sites.b)
    assert not passes(sites.b, "b", A, sites.a)


def test_forwarded_traffic_needs_the_receivers_leave(sites):
    """b forwards; its packet for somebody else comes to a only when a's VNet allows it."""
    sites.join(vnet(1, 2), vnet(2, 1))
    sites.b.change("b", ip_forwarding=True)
    before = sites.a.fabric.drops().spoofed
    assert not passes(sites.b, "b", A, sites.a, source="10.3.0.4")
    assert sites.a.fabric.drops().spoofed == before + 1
    open_one = replace(vnet(1, 2).peerings[0], allow_forwarded=True)
    sites.join(vnet(1, peerings=(open_one,)))
    assert passes(sites.b, "b", A, sites.a, source="10.3.0.4")


def test_the_virtual_network_of_a_group_holds_the_peer(sites):
    closed = Subnet("nodes", "10.2.0.0/24", security=SecurityGroup("defaults"))
    sites.join(vnet(1, 2), vnet(2, 1, subnets=(closed,)))
    assert passes(sites.a, "a", B, sites.b)
    assert ping(sites.b.hosts["b"].namespace, A) == A


def test_a_route_table_leads_to_the_peer_or_not(sites):
    for hop, through in ((NextHop.NONE, False), (NextHop.VIRTUAL_APPLIANCE, True)):
        table = RouteTable(
            "t", (Route("r", "10.2.9.0/24" if through else "10.2.0.0/16", hop, "10.1.0.99"),)
        )
        sites.join(vnet(1, 2, subnets=(Subnet("nodes", "10.1.0.0/24", table),)), vnet(2, 1))
        assert passes(sites.a, "a", B, sites.b) is through


def test_a_spoke_reaches_another_by_way_of_the_hubs_appliance(sites):
    """The usual hub and spokes: a route in each spoke, forwarded traffic allowed, one appliance."""
    hub = sites.b
    hub.change("b", ip_forwarding=True)
    with hub.hosts["b"].namespace.entered(), open("/proc/sys/net/ipv4/ip_forward", "w") as file:
        file.write("1")
    values = [spoke(1, "10.3.0.0/16"), spoke(3, "10.1.0.0/16")]
    sites.join(*values, vnet(2, 1, 3))
    assert ping(sites.a.hosts["a"].namespace, C) == C
    seen = [one for one in hub.frames_at("b") if one.kind == 0x0800 and one.payload[9] == 1]
    assert [one.payload[12:20] for one in seen] == [
        socket.inet_aton(one) + socket.inet_aton(other) for one, other in ((A, C), (C, A))
    ]
    refused = replace(values[0], peerings=(replace(values[0].peerings[0], allow_forwarded=False),))
    sites.join(refused)
    assert not passes(sites.c, "c", A, sites.a)
    sites.join(values[0])
    hub.change("b", ip_forwarding=False)
    assert list(hub.frames_at("b"))
    assert not passes(sites.a, "a", C, sites.c)
    assert not any(one.udp_payload for one in hub.frames_at("b"))
    assert passes(sites.a, "a", B, hub)


def spoke(number: int, beyond: str) -> VNet:
    table = RouteTable("t", (Route("r", beyond, NextHop.VIRTUAL_APPLIANCE, B),))
    one = vnet(number, 2, subnets=(Subnet("nodes", f"10.{number}.0.0/24", table),))
    return replace(one, peerings=(replace(one.peerings[0], allow_forwarded=True),))


def test_the_groups_of_a_peers_appliance_count_for_what_goes_by_way_of_it(sites):
    closed = Subnet("nodes", "10.2.0.0/24", security=SecurityGroup("defaults"))
    sites.b.change("b", ip_forwarding=True)
    sites.join(spoke(1, "198.51.100.0/24"), vnet(2, 1, subnets=(closed,)))
    before = sites.b.fabric.drops().denied
    assert not passes(sites.a, "a", "198.51.100.7", sites.b)
    assert sites.b.fabric.drops().denied == before + 1
    sites.join(vnet(2, 1))
    assert passes(sites.a, "a", "198.51.100.8", sites.b)


def test_a_connection_outlives_changes_of_both_vnets(sites):
    sites.join(vnet(1, 2), vnet(2, 1))
    with sites.b.hosts["b"].namespace.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind((B, 0))
        listener.listen()
        with sites.a.hosts["a"].namespace.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
            client.settimeout(PATIENCE)
            client.connect(listener.getsockname())
            server, _ = listener.accept()
            with server:
                server.settimeout(PATIENCE)
                for prefix in ("10.9.0.0/16", "10.10.0.0/16"):
                    sites.join(vnet(2, 1, prefixes=("10.2.0.0/16", prefix)))
                    client.sendall(prefix.encode())
                    assert server.recv(99) == prefix.encode()
    sites.b.fabric.update(
        replace(
            sites.b.fabric.vnet,
            subnets=(*sites.b.fabric.vnet.subnets, Subnet("new", "10.10.0.0/24")),
        )
    )
    sites.b.add("new one", "new", "10.10.0.4")
    assert ping(sites.a.hosts["a"].namespace, "10.10.0.4") == "10.10.0.4"


def test_a_fabric_that_ends_is_parted_from(sites):
    sites.join(vnet(1, 2), vnet(2, 1))
    sites.b.fabric.close()
    join([sites.a.fabric, sites.c.fabric])
    assert not sites.a.fabric.vnet.peerings[0].connected
    assert dict(sites.a.fabric.peers) == {}


def test_overlapping_vnets_are_refused_and_nothing_changes(sites):
    sites.join(vnet(1, 2), vnet(2, 1))
    with pytest.raises(InvalidInputError, match="address spaces overlap"):
        sites.join(vnet(1, 2, prefixes=("10.1.0.0/16", "10.2.128.0/17")))
    with pytest.raises(InvalidInputError, match="in use by b"):
        sites.join(vnet(1), vnet(2, subnets=()))
    assert passes(sites.a, "a", B, sites.b)
