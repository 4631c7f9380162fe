from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podwire.model.effective_security import (
    BY_NIC,
    BY_SUBNET,
    Decision,
    Packet,
    effective_rules,
    evaluate,
)
from podwire.model.errors import InvalidInputError
from podwire.model.route_table import NextHop, Route, RouteTable
from podwire.model.security import (
    DEFAULT_RULES,
    Access,
    Direction,
    Protocol,
    SecurityGroup,
    SecurityRule,
)
from podwire.model.service_tags import tags_of
from podwire.model.vnet import Nic, Peering, Subnet, VNet

from .vnet_strategies import ADDRESSES, networks, packets

IN, OUT = Direction.INBOUND, Direction.OUTBOUND
SUBNET = Subnet("nodes", "10.1.2.0/24", security=SecurityGroup("subnet-group"))
VNET = VNet("v", "rg", ("10.1.0.0/16",), (SUBNET,))
NIC = Nic("nic", "00:0d:3a:00:00:01", SUBNET, ("10.1.2.4",), security=SecurityGroup("nic-group"))
TCP = Protocol.TCP


def test_the_six_default_rules():
    assert [
        f"{one.priority} {one.name} {one.access} {one.sources[0]} {one.destinations[0]}"
        for one in DEFAULT_RULES
    ] == [
        "65000 AllowVnetInBound Allow VirtualNetwork VirtualNetwork",
        "65001 AllowAzureLoadBalancerInBound Allow AzureLoadBalancer *",
        "65500 DenyAllInBound Deny * *",
        "65000 AllowVnetOutBound Allow VirtualNetwork VirtualNetwork",
        "65001 AllowInternetOutBound Allow * Internet",
        "65500 DenyAllOutBound Deny * *",
    ]


@pytest.mark.parametrize(
    ("direction", "source", "destination", "rule"),
    [
        (IN, "10.1.9.9", "10.1.2.4", "AllowVnetInBound"),
        (IN, "168.63.129.16", "10.1.2.4", "AllowVnetInBound"),
        (IN, "168.63.129.16", "52.0.0.1", "AllowAzureLoadBalancerInBound"),
        (IN, "52.1.2.3", "10.1.2.4", "DenyAllInBound"),
        (OUT, "10.1.2.4", "10.1.9.9", "AllowVnetOutBound"),
        (OUT, "10.1.2.4", "52.1.2.3", "AllowInternetOutBound"),
        (OUT, "10.1.2.4", "10.9.9.9", "DenyAllOutBound"),
        (OUT, "10.1.2.4", "172.31.0.4", "AllowInternetOutBound"),
    ],
)
def test_what_the_default_rules_decide(direction, source, destination, rule):
    decision = evaluate(Packet(TCP, source, destination, 1, 80), direction, NIC, VNET)
    assert {name for _, name in decision.deciders} == {rule}
    assert decision.allowed is rule.startswith("Allow")


def test_both_groups_must_allow_the_nearer_one_to_the_wire_is_asked_first():
    ping = Packet(Protocol.ICMP, "10.1.2.4", "10.1.2.4")
    allowed = {
        IN: (("subnet-group", "AllowVnetInBound"), ("nic-group", "AllowVnetInBound")),
        OUT: (("nic-group", "AllowVnetOutBound"), ("subnet-group", "AllowVnetOutBound")),
    }
    for direction, deciders in allowed.items():
        assert evaluate(ping, direction, NIC, VNET) == Decision(True, deciders)
    deny = SecurityRule("no", 100, OUT, Access.DENY)
    closed = replace(NIC, security=SecurityGroup("nic-group", (deny,)))
    assert evaluate(ping, OUT, closed, VNET) == Decision(False, (("nic-group", "no"),))


def test_no_group_is_no_rule():
    bare = replace(VNET, subnets=(replace(SUBNET, security=None),))
    packet = Packet(TCP, "52.1.2.3", "10.1.2.4")
    assert evaluate(packet, IN, replace(NIC, security=None), bare) == Decision(True)


def test_the_rules_as_the_nic_has_them_are_to_be_read():
    found = effective_rules(NIC, VNET)
    assert [(one.group, one.association) for one in found] == [
        ("subnet-group", BY_SUBNET),
        ("nic-group", BY_NIC),
    ]
    first = found[0].rules[0]
    assert (first.rule.name, [str(one) for one in first.sources]) == (
        "AllowVnetInBound",
        ["10.1.0.0/16", "168.63.129.16/32"],
    )


def test_the_virtual_network_holds_peers_and_the_prefixes_of_the_subnets_routes():
    route = Route("pods", "10.244.1.0/24", NextHop.VIRTUAL_APPLIANCE, "10.1.2.4")
    subnet = replace(SUBNET, route_table=RouteTable("t", (route,)))
    peer = Peering("p", "rg/other", ("10.2.0.0/16",), connected=True)
    for peering, held in (
        (peer, True),
        (replace(peer, connected=False), False),
        (replace(peer, allow_access=False), False),
    ):
        vnet = replace(VNET, subnets=(subnet,), peerings=(peering,))
        found = [str(one) for one in tags_of(NIC, vnet)("virtualnetwork")]
        assert found == [
            "10.1.0.0/16",
            *(["10.2.0.0/16"] if held else []),
            "10.244.1.0/24",
            "168.63.129.16/32",
        ]


def test_what_is_no_address_and_no_tag_is_refused():
    rule = SecurityRule("r", 100, IN, Access.ALLOW, sources=("Storage",))
    closed = replace(NIC, security=SecurityGroup("g", (rule,)))
    with pytest.raises(
        InvalidInputError, match="Value provided: Storage; the lab knows"
    ) as refused:
        effective_rules(closed, VNET)
    assert refused.value.code == "SecurityRuleInvalidAddressPrefix"


@given(networks, packets, st.sampled_from(Direction))
def test_as_a_naive_reading_of_the_rules_has_it(network, packet, direction):
    vnet, nic = network
    pairs = [vnet.subnets[0].security, nic.security]
    asked = [one for one in (pairs if direction == IN else pairs[::-1]) if one is not None]
    deciders = []
    for group in asked:
        rule = naive_decider(group, packet, direction, vnet)
        deciders.append((group.name, rule.name))
        if rule.access == Access.DENY:
            break
    allowed = not deciders or rule.access == Access.ALLOW
    if packet.source == "172.31.0.4":
        allowed, deciders = True, []
    assert evaluate(packet, direction, nic, vnet) == Decision(allowed, tuple(deciders))


def naive_decider(
    group: SecurityGroup, packet: Packet, direction: Direction, vnet: VNet
) -> SecurityRule:
    fitting = [
        one
        for one in (*group.rules, *DEFAULT_RULES)
        if one.direction == direction
        and one.protocol in ("*", packet.protocol)
        and any(naive_in(packet.source, place, vnet) for place in one.sources)
        and any(naive_in(packet.destination, place, vnet) for place in one.destinations)
        and naive_ports(one, packet)
    ]
    return min(fitting, key=lambda one: one.priority)


def naive_ports(rule: SecurityRule, packet: Packet) -> bool:
    pairs = (
        (rule.source_ports, packet.source_port),
        (rule.destination_ports, packet.destination_port),
    )
    if packet.protocol in ("Tcp", "Udp"):
        return all(any(port in naive_range(one) for one in ports) for ports, port in pairs)
    return all("*" in ports for ports, _ in pairs)


def naive_range(text: str) -> range:
    if text == "*":
        return range(65536)
    ends = [int(one) for one in text.split("-")]
    return range(ends[0], ends[-1] + 1)


def naive_in(address: str, place: str, vnet: VNet) -> bool:
    if place[0].isdigit():
        return ip_address(address) in ip_network(place)
    tag = place.lower()
    if tag == "virtualnetwork":
        return naive_local(address, vnet)
    if tag == "internet":
        return not naive_local(address, vnet) and naive_public(address)
    if tag == "azureloadbalancer":
        return address == "168.63.129.16"
    return tag == "*" or address.startswith("172.31.")


def naive_local(address: str, vnet: VNet) -> bool:
    table = vnet.subnets[0].route_table
    peers = [one for one in vnet.peerings if one.connected and one.allow_access]
    prefixes = [
        *vnet.prefixes,
        *(one.prefix for one in (table.routes if table else ())),
        *(prefix for one in peers for prefix in one.remote_prefixes),
        "168.63.129.16/32",
    ]
    return any(ip_address(address) in ip_network(one) for one in prefixes)


def naive_public(address: str) -> bool:
    """Of the addresses that the strategies make."""
    private = ("10.", "172.16.", "192.168.", "100.64.", "168.63.")
    assert address in ADDRESSES
    return not address.startswith(private)
