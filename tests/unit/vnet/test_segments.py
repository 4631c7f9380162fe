from __future__ import annotations

import re
from dataclasses import replace

from podwire.model.vnet import FABRIC_MAC, IMDS, WIRE_SERVER
from podwire.model.wiring import Address, Element, Neighbour, Route, Sysctl, Table, Veth
from podwire.vnet.segments import fabric_wiring, node_wiring, port_wiring


def of_kind(wiring, kind):
    return [one for one in wiring if isinstance(one, kind)]


def test_the_fabric_forwards_answers_arp_and_knows_no_ipv6():
    values = {one.name: one.value for one in of_kind(fabric_wiring(), Sysctl)}
    assert values["net/ipv4/ip_forward"] == "1"
    assert values["net/ipv4/conf/all/proxy_arp"] == "1"
    assert values["net/ipv4/conf/all/send_redirects"] == "0"
    assert values["net/ipv4/conf/default/send_redirects"] == "0"
    assert values["net/ipv4/conf/all/rp_filter"] == "0"
    assert values["net/ipv6/conf/default/disable_ipv6"] == "1"


def test_the_fabric_holds_the_platform_addresses_and_leads_the_rest_to_the_drop():
    wiring = fabric_wiring()
    held = [one.cidr for one in of_kind(wiring, Address)]
    assert held == [f"{WIRE_SERVER}/32", f"{IMDS}/32"]
    assert of_kind(wiring, Route) == [Route("fabric", "0.0.0.0/0", "lo")]


def test_the_guard_stands_before_the_fabric_forwards():
    kinds = [type(one) for one in fabric_wiring()]
    assert kinds.index(Table) < kinds.index(Sysctl)
    tables = of_kind(fabric_wiring(), Table)
    assert not any(re.search(r"\bct ", one.rules) for one in tables)


def test_a_port_is_a_pair_whose_far_end_is_born_in_the_node(first):
    assert of_kind(port_wiring(first, "nic7", mtu=9000), Veth) == [
        Veth("fabric", "nic7", "node", "eth0", FABRIC_MAC, "00:0d:3a:8a:50:da", 9000)
    ]


def test_every_address_is_a_route_and_a_neighbour_so_that_the_fabric_never_asks(first):
    wiring = port_wiring(first, "nic7")
    assert [(one.link, one.ip, one.mac) for one in of_kind(wiring, Neighbour)] == [
        ("nic7", address, first.mac) for address in first.addresses
    ]
    assert of_kind(wiring, Route) == [
        Route("fabric", f"{address}/32", "nic7") for address in first.addresses
    ]


def test_each_address_is_one_element_in_each_guard_and_there_before_the_link(first):
    wiring = port_wiring(first, "nic7")
    elements = of_kind(wiring, Element)
    assert {(one.family, one.item) for one in elements} == {
        (family, f"nic7 . 00:0d:3a:8a:50:da . {address}")
        for family in ("ip", "arp")
        for address in first.addresses
    }
    assert isinstance(wiring.objects[len(elements)], Veth)


def test_a_secondary_more_adds_objects_and_changes_none(first):
    more = replace(first, addresses=(*first.addresses, "10.220.2.7"))
    before, after = set(port_wiring(first, "nic7")), set(port_wiring(more, "nic7"))
    assert before < after
    assert {type(one) for one in after - before} == {Element, Neighbour, Route}


def test_the_node_gets_what_dhcp_gives(first):
    assert list(node_wiring(first)) == [
        Address("node", "eth0", "10.220.2.4/24"),
        Route("node", "0.0.0.0/0", "eth0", via="10.220.2.1"),
        Route("node", f"{WIRE_SERVER}/32", "eth0", via="10.220.2.1"),
        Route("node", f"{IMDS}/32", "eth0", via="10.220.2.1"),
    ]


def test_a_nic_that_forwards_may_send_with_any_address(first):
    more = set(port_wiring(replace(first, ip_forwarding=True), "nic7")) - set(
        port_wiring(first, "nic7")
    )
    assert more == {Element("fabric", "ip", "vnet", "forwarders", "nic7 . 00:0d:3a:8a:50:da")}
