from __future__ import annotations

from dataclasses import replace

from podwire.model.route_table import NextHop, Route, RouteTable
from podwire.model.vnet import Nic, Peering, Subnet, VNet
from podwire.model.wiring import Neighbour, PolicyRoute, PolicyRule, Table
from podwire.model.wiring import Route as MainRoute
from podwire.vnet.scene import Port, Scene, subnet_tables
from podwire.vnet.steering import hop_mac, steering

NODES, HUB = Subnet("nodes", "10.1.2.0/24"), Subnet("hub", "10.1.3.0/24")
NVA = Nic("nva", "00:0d:3a:00:00:01", HUB, ("10.1.3.4",), ip_forwarding=True)
PEER = Peering("p", "rg/other", ("10.2.0.0/16",), connected=True)


def vnet(*routes: Route, **more) -> VNet:
    nodes = replace(NODES, route_table=RouteTable("t", routes) if routes else None)
    return VNet("v", "rg", ("10.1.0.0/16",), (nodes, HUB), **more)


def scene(value: VNet, *nics: Nic, **more) -> Scene:
    ports = {nic.name: Port(nic, f"nic{at}", 1, "eth0", 1500) for at, nic in enumerate(nics, 1)}
    return Scene(value, ports, subnet_tables(value, {}), **more)


def via(prefix: str, address: str) -> Route:
    return Route("r", prefix, NextHop.VIRTUAL_APPLIANCE, address)


def table(one: Scene) -> dict[str, list[tuple[str | None, str | None, int]]]:
    found: dict[str, list[tuple[str | None, str | None, int]]] = {}
    for route in steering(one):
        if isinstance(route, PolicyRoute) and route.table == 1000:
            found.setdefault(route.dst, []).append((route.link, route.via, route.metric))
    return found


BACK, NOWHERE = (None, None, 0), ("lo", None, 0)


def test_without_tables_peers_and_a_way_out_there_is_nothing():
    assert len(steering(scene(vnet(), NVA))) == 0


def test_a_table_has_what_the_effective_routes_say():
    assert table(scene(vnet(via("0.0.0.0/0", "10.1.3.4")), NVA)) == {
        "10.1.0.0/16": [BACK],
        "10.0.0.0/8": [NOWHERE],
        "172.16.0.0/12": [NOWHERE],
        "192.168.0.0/16": [NOWHERE],
        "100.64.0.0/10": [NOWHERE],
        "0.0.0.0/0": [("lo", None, 1000), ("nic1", "10.1.3.4", 0)],
        "172.31.0.0/16": [("lo", None, 1000), ("nic1", "10.1.3.4", 0)],
    }


def test_an_appliance_that_is_away_or_does_not_forward_is_nowhere():
    value = vnet(via("0.0.0.0/0", "10.1.3.4"))
    for nics in ((), (replace(NVA, ip_forwarding=False),)):
        assert table(scene(value, *nics))["0.0.0.0/0"] == [("lo", None, 1000)]


def test_a_users_route_out_needs_a_way_out():
    value = vnet(Route("r", "192.168.0.0/16", NextHop.INTERNET))
    assert table(scene(value))["192.168.0.0/16"] == [NOWHERE]
    outside = table(scene(value, outside=True))
    assert outside["192.168.0.0/16"] == [("outside", "192.0.2.2", 0)]
    assert outside["0.0.0.0/0"] == [BACK]


def test_the_way_out_takes_all_but_private_ranges():
    routes = {one.dst: one.link for one in steering(scene(vnet(), outside=True))}
    assert {dst for dst, link in routes.items() if link == "outside"} == {
        "0.0.0.0/1",
        "128.0.0.0/1",
    }
    assert {"10.1.0.0/16", "10.0.0.0/8", "192.168.0.0/16"} < {
        dst for dst, link in routes.items() if link == "lo"
    }


def test_a_table_gets_a_new_number_with_new_routes_and_keeps_it_else():
    before = subnet_tables(vnet(via("10.9.0.0/16", "10.1.3.4")), {})
    assert before["nodes"].number == 1000
    assert subnet_tables(vnet(via("10.9.0.0/16", "10.1.3.4")), before) == before
    assert subnet_tables(vnet(via("10.8.0.0/16", "10.1.3.4")), before)["nodes"].number == 1001
    assert subnet_tables(vnet(), before) == {}


def test_a_peer_is_a_route_while_the_link_is_there_and_open():
    for peering, peers, there in (
        (PEER, {"rg/other": "peer1"}, True),
        (PEER, {}, False),
        (replace(PEER, allow_access=False), {"rg/other": "peer1"}, False),
    ):
        found = list(steering(scene(vnet(peerings=(peering,)), peers=peers)))
        route = MainRoute("fabric", "10.2.0.0/16", "peer1", via="169.254.0.1", onlink=True)
        assert found == ([route] if there else [])


def test_a_peers_appliance_is_told_by_the_frames_mac_and_known_by_it():
    peers = {"rg/other": "peer1"}
    here = scene(vnet(via("10.3.0.0/16", "10.2.0.4"), peerings=(PEER,)), peers=peers)
    assert table(here)["10.3.0.0/16"] == [("lo", None, 1000), ("peer1", "10.2.0.4", 0)]
    assert Neighbour("fabric", "peer1", "10.2.0.4", "02:00:0a:02:00:04") in set(steering(here))
    there = set(steering(scene(vnet(peerings=(PEER,)), NVA, peers=peers)))
    assert PolicyRoute("fabric", 5001, "0.0.0.0/0", "nic1", "10.1.3.4") in there
    assert PolicyRule("fabric", 5001) in there
    (arrivals,) = (one for one in there if isinstance(one, Table))
    assert (arrivals.family, arrivals.name) == ("netdev", "peer1")
    assert f"ether daddr {hop_mac('10.1.3.4')} meta pkttype set host meta mark set 5001" in (
        arrivals.rules
    )
