from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podwire.model.effective_routes import EffectiveRoute, effective_routes, route_to
from podwire.model.route_table import NextHop, Route, RouteTable
from podwire.model.vnet import Nic, Peering, Subnet, VNet

from .vnet_strategies import ADDRESSES, networks

SUBNET = Subnet("nodes", "10.1.2.0/24")
NIC = Nic("nic", "00:0d:3a:00:00:01", SUBNET, ("10.1.2.4",))
NVA = NextHop.VIRTUAL_APPLIANCE


def vnet(*routes: Route, prefixes: tuple[str, ...] = ("10.1.0.0/16",)) -> VNet:
    subnet = replace(SUBNET, route_table=RouteTable("table", routes) if routes else None)
    return VNet("v", "rg", prefixes, (subnet,))


def lines(routes: tuple[EffectiveRoute, ...]) -> list[str]:
    return [f"{one.source} {one.state} {one.prefix} {one.next_hop_type}" for one in routes]


def test_without_a_table_there_are_the_systems_routes():
    assert lines(effective_routes(NIC, vnet())) == [
        "Default Active 10.1.0.0/16 VnetLocal",
        "Default Active 0.0.0.0/0 Internet",
        "Default Active 10.0.0.0/8 None",
        "Default Active 172.16.0.0/12 None",
        "Default Active 192.168.0.0/16 None",
        "Default Active 100.64.0.0/10 None",
    ]


@pytest.mark.parametrize("prefix", ["10.0.0.0/8", "10.0.0.0/7"])
def test_a_reserved_range_that_is_the_vnets_is_not_reserved(prefix):
    found = effective_routes(NIC, vnet(prefixes=(prefix,)))
    assert "Default Active 10.0.0.0/8 None" not in lines(found)
    assert route_to("10.200.0.1", found).next_hop_type == NextHop.VNET_LOCAL


def test_a_users_route_makes_the_systems_of_the_same_prefix_invalid():
    routes = (
        Route("out", "0.0.0.0/0", NVA, "10.1.3.4"),
        Route("in", "10.1.0.0/16", NVA, "10.1.3.4"),
    )
    found = effective_routes(NIC, vnet(*routes))
    assert lines(found)[:2] == [
        "Default Invalid 10.1.0.0/16 VnetLocal",
        "Default Invalid 0.0.0.0/0 Internet",
    ]
    assert found[-1] == EffectiveRoute("User", "Active", "10.1.0.0/16", NVA, "10.1.3.4", "in")
    assert [route_to(one, found).name for one in ("52.1.2.3", "10.1.2.9")] == ["out", "in"]


def test_a_peered_vnet_is_a_route_while_it_is_connected_and_open():
    peering = Peering("p", "rg/other", ("10.2.0.0/16",), connected=True)
    for one, hop in (
        (peering, NextHop.PEERING),
        (replace(peering, connected=False), NextHop.NONE),
        (replace(peering, allow_access=False), NextHop.NONE),
    ):
        found = effective_routes(NIC, replace(vnet(), peerings=(one,)))
        assert route_to("10.2.0.4", found).next_hop_type == hop


def test_the_subnet_is_the_vnets_own_whatever_the_nic_remembers():
    old = replace(NIC, subnet=replace(SUBNET, route_table=RouteTable("old", ())))
    now = vnet(Route("r", "10.9.0.0/16", NextHop.INTERNET))
    assert effective_routes(old, now) == effective_routes(NIC, now)


@given(networks, st.sampled_from(ADDRESSES))
def test_as_a_naive_reading_of_the_rules_has_it(network, destination):
    """Every prefix length from the longest: the user's route, else the system's."""
    vnet, nic = network
    table = vnet.subnets[0].route_table
    user = {one.prefix: one.next_hop_type for one in (table.routes if table else ())}
    public = destination.startswith("172.31.")
    taken = route_to(destination, effective_routes(nic, vnet))
    for length in range(32, -1, -1):
        prefix = str(ip_network(f"{destination}/{length}", strict=False))
        hop = user.get(prefix) or naive_system(vnet, prefix, public=public)
        if hop is not None:
            assert (taken.prefix, taken.next_hop_type) == (prefix, hop)
            return
    raise AssertionError("there is a default route always")


def naive_system(vnet: VNet, prefix: str, *, public: bool) -> NextHop | None:
    peers = [one.remote_prefixes for one in vnet.peerings if one.connected and one.allow_access]
    others = [prefix for one in peers for prefix in one]
    if prefix in vnet.prefixes:
        return NextHop.VNET_LOCAL
    if prefix in others:
        return NextHop.PEERING
    reserved = prefix in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
    first, last = ip_network(prefix)[0], ip_network(prefix)[-1]
    whole = any(
        first in ip_network(one) and last in ip_network(one) for one in (*vnet.prefixes, *others)
    )
    if reserved and not whole and not public:
        return NextHop.NONE
    return NextHop.INTERNET if prefix == "0.0.0.0/0" else None
