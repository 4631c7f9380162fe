from __future__ import annotations

import pytest

from podwire.model.errors import InvalidInputError
from podwire.model.route_table import NextHop, Route, RouteTable
from podwire.model.security import Access, Direction, Protocol, SecurityRule, port_range


@pytest.mark.parametrize(
    ("prefix", "hop", "address"),
    [
        ("10.1.0.0", NextHop.VIRTUAL_APPLIANCE, ""),
        ("10.1.0.0/16", NextHop.VIRTUAL_APPLIANCE, "gateway"),
        ("10.1.0.1/16", NextHop.NONE, ""),
        ("fd00::/8", NextHop.INTERNET, ""),
    ],
)
def test_what_is_no_route_is_refused(prefix, hop, address):
    with pytest.raises(InvalidInputError, match=r"route r to .* cannot be: .*; give a CIDR"):
        Route("r", prefix, hop, address)


def test_azures_words_in_any_case():
    words = (NextHop("virtualappliance"), NextHop("VNetLocal"), Protocol("TCP"), Access("deny"))
    assert words == ("VirtualAppliance", "VnetLocal", "Tcp", "Deny")
    with pytest.raises(ValueError, match="Somewhere"):
        NextHop("Somewhere")


def test_ports():
    assert [port_range(one) for one in ("*", "80", "8000-8080")] == [
        (0, 65535),
        (80, 80),
        (8000, 8080),
    ]


@pytest.mark.parametrize("ports", ["", "90-80", "-80", "65536", "http", "1,2"])
def test_what_is_no_port_range_is_refused(ports):
    with pytest.raises(InvalidInputError, match="invalid Port range") as refused:
        SecurityRule("r", 100, Direction.INBOUND, Access.DENY, destination_ports=("80", ports))
    assert refused.value.code == "SecurityRuleInvalidPortRange"


def test_of_two_routes_to_a_prefix_the_upper_tables_counts():
    own = Route("mine", "10.244.0.0/24", NextHop.NONE)
    other = Route("other", "10.9.0.0/16", NextHop.INTERNET)
    kubenets = Route("node", "10.244.0.0/24", NextHop.VIRTUAL_APPLIANCE, "10.220.1.4")
    both = RouteTable("rt", (own, other)).under(RouteTable("pods", (kubenets,)))
    assert both == RouteTable("rt", (other, kubenets))
