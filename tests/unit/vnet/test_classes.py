from __future__ import annotations

from dataclasses import replace

import pytest

from podwire.model.cluster import CONTROL_PLANE_SUBNET
from podwire.model.errors import InvalidInputError
from podwire.model.route_table import NextHop, Route, RouteTable
from podwire.model.security import Access, Direction, Protocol, SecurityGroup, SecurityRule
from podwire.model.vnet import Nic, Peering, Subnet, VNet
from podwire.vnet.classes import classes
from podwire.vnet.scene import Port, Scene, subnet_tables

NODES, OTHER = Subnet("nodes", "10.1.2.0/24"), Subnet("other", "10.1.3.0/24")
IN, DENY = Direction.INBOUND, Access.DENY


def vnet(security: SecurityGroup | None = None, table: RouteTable | None = None, **more) -> VNet:
    nodes = replace(NODES, security=security, route_table=table)
    return VNet("v", "rg", ("10.1.0.0/16",), (nodes, OTHER), **more)


def rules(value: VNet, *nics: Nic, **more) -> list[str]:
    ports = {nic.name: Port(nic, f"nic{at}", 1, "eth0", 1500) for at, nic in enumerate(nics, 1)}
    text = classes(Scene(value, ports, subnet_tables(value, {}), **more)).rules
    return [line.strip() for line in text.splitlines()]


def nic(number: int, subnet: Subnet = NODES, **more) -> Nic:
    return Nic(f"n{number}", f"00:0d:3a:00:00:0{number}", subnet, (f"10.1.2.{number + 3}",), **more)


CONTROL = Nic("control", "00:0d:3a:00:00:0c", CONTROL_PLANE_SUBNET, ("172.31.0.4",))


def test_without_groups_nothing_is_tracked_and_nics_do_not_matter():
    assert rules(vnet()) == rules(vnet(), nic(1), nic(2, OTHER), CONTROL)
    assert not any("ct state" in line for line in rules(vnet()))


def test_one_lookup_leads_to_the_chain_that_alike_nics_share():
    lines = rules(vnet(SecurityGroup("g")), *(nic(number) for number in (1, 2, 3)))
    assert "oifname vmap { nic1 : jump group1, nic2 : jump group1, nic3 : jump group1 }" in lines
    assert sum(line.startswith("chain group") and line != "chain groups {" for line in lines) == 2


def test_inbound_the_subnets_group_is_first_outbound_the_nics():
    lines = rules(vnet(SecurityGroup("s")), nic(1, security=SecurityGroup("n")), nic(2, OTHER))
    inbound = lines[lines.index("chain inbound {") :][1:3]
    outbound = lines[lines.index("chain groups {") :][2:4]
    chains = {name: chain(lines, name) for name in ("group1", "group2", "group3", "group4")}
    order = [
        "n" if "n/" in chains[line.split("jump ")[1].split()[0]][0] else "s"
        for line in (*inbound, *outbound)
    ]
    assert order == ["s", "n", "n", "s"]
    assert not any("nic2" in line for line in lines)


def chain(lines: list[str], name: str) -> list[str]:
    start = lines.index(f"chain {name} {{")
    return lines[start + 1 : lines.index("}", start)]


def test_what_the_platform_sends_is_exempt():
    lines = rules(vnet(SecurityGroup("g")), nic(1), CONTROL)
    assert lines[lines.index("chain groups {") + 1] == "ip saddr 172.31.0.0/16 return"
    assert not any("nic2" in line for line in lines)


@pytest.mark.parametrize(
    ("rule", "match"),
    [
        (SecurityRule("r", 100, IN, DENY), ""),
        (SecurityRule("r", 100, IN, DENY, Protocol.ICMP), "meta l4proto icmp "),
        (
            SecurityRule("r", 100, IN, DENY, Protocol.TCP, destination_ports=("80", "81-90", "85")),
            "meta l4proto tcp th dport { 80-90 } ",
        ),
        (
            SecurityRule("r", 100, IN, DENY, source_ports=("53",)),
            "meta l4proto { tcp, udp } th sport { 53 } ",
        ),
        (
            SecurityRule("r", 100, IN, DENY, sources=("10.9.0.1", "10.9.0.0"), destinations=("*",)),
            "ip saddr { 10.9.0.0/31 } ",
        ),
    ],
)
def test_a_rule_is_one_line(rule, match):
    lines = rules(vnet(SecurityGroup("g", (rule,))), nic(1))
    assert f'{match}goto denied comment "g/r"' in lines


def test_a_rule_that_nothing_matches_is_no_line():
    icmp = SecurityRule("r", 100, IN, DENY, Protocol.ICMP, destination_ports=("80",))
    assert not any("g/r" in line for line in rules(vnet(SecurityGroup("g", (icmp,))), nic(1)))


def test_names_cannot_break_the_text():
    bad = SecurityRule('r"; } drop', 100, IN, DENY)
    assert 'goto denied comment "g/r  drop"' in rules(vnet(SecurityGroup("g", (bad,))), nic(1))


def test_nics_of_a_subnet_with_a_table_are_marked():
    table = RouteTable("t", (Route("r", "0.0.0.0/0", NextHop.NONE),))
    lines = rules(vnet(table=table), nic(1), nic(2, OTHER), nic(3), CONTROL)
    assert "meta mark set iifname map { nic1 : 1000, nic3 : 1000 }" in lines


def test_a_peer_sends_its_own_addresses_to_the_vnets_own():
    peering = Peering("p", "rg/other", ("10.2.0.0/16",), connected=True)
    own = "iifname peer1 meta mark 0 ip daddr != { 10.1.0.0/16 } meta mark set 3 accept"
    theirs = "iifname peer1 ip saddr != { 10.2.0.0/16 } meta mark set 3 accept"
    shut = "iifname peer1 meta mark set 3 accept"
    for one, expected in (
        (peering, {own, theirs}),
        (replace(peering, allow_forwarded=True), {own}),
        (replace(peering, allow_access=False), {shut}),
    ):
        lines = set(rules(vnet(peerings=(one,)), peers={"rg/other": "peer1"}))
        assert lines & {own, theirs, shut} == expected


def test_an_unknown_tag_is_refused():
    rule = SecurityRule("r", 100, IN, DENY, sources=("Sql",))
    with pytest.raises(InvalidInputError, match="Sql"):
        rules(vnet(SecurityGroup("g", (rule,))), nic(1))
