"""That the store gives back whatever VNet or NIC it was given, with all that is associated."""

from __future__ import annotations

import json

import cattrs
import pytest
from hypothesis import given

from podwire.model.vnet import Nic, Subnet, VNet

from ..model.vnet_strategies import networks


@given(networks)
def test_what_is_written_is_read_again(network):
    for one in network:
        body = json.loads(json.dumps(cattrs.unstructure(one)))
        assert cattrs.structure(body, type(one)) == one


def test_bodies_of_before_route_tables_and_groups_are_read():
    subnet = {"name": "azurecni", "prefix": "10.220.2.0/24"}
    body = {"name": "v", "resource_group": "rg", "prefixes": ["10.220.0.0/16"], "subnets": [subnet]}
    made = Subnet("azurecni", "10.220.2.0/24")
    assert cattrs.structure(body, VNet) == VNet("v", "rg", ("10.220.0.0/16",), (made,))
    card = {"name": "n", "mac": "00:0d:3a:00:00:01", "subnet": subnet, "addresses": ["10.220.2.4"]}
    assert cattrs.structure(card, Nic) == Nic("n", "00:0d:3a:00:00:01", made, ("10.220.2.4",))


def test_azures_words_are_read_in_any_case():
    route = {"name": "r", "prefix": "0.0.0.0/0", "next_hop_type": "VNetLocal"}
    rule = {"name": "r", "priority": 100, "direction": "inbound", "access": "ALLOW"}
    subnet = {
        "name": "s",
        "prefix": "10.0.0.0/24",
        "route_table": {"name": "t", "routes": [route]},
        "security": {"name": "g", "rules": [{**rule, "protocol": "TCP"}]},
    }
    read = cattrs.structure(subnet, Subnet)
    assert read.route_table.routes[0].next_hop_type == "VnetLocal"
    assert (read.security.rules[0].access, read.security.rules[0].protocol) == ("Allow", "Tcp")
    wrong = {**subnet, "security": {"name": "g", "rules": [{**rule, "access": "Maybe"}]}}
    with pytest.raises(cattrs.BaseValidationError):
        cattrs.structure(wrong, Subnet)
