from __future__ import annotations

from dataclasses import replace

import pytest

from podwire.model.errors import InvalidInputError
from podwire.model.peering import connect_peerings
from podwire.model.vnet import Peering, VNet

HUB = VNet("Hub", "RG", ("10.1.0.0/16",), (), (Peering("to-spoke", "rg/SPOKE"),))
SPOKE = VNet("spoke", "rg", ("10.2.0.0/16",), (), (Peering("to-hub", "rg/hub"),))


def test_two_sides_make_a_connection():
    found = connect_peerings([HUB, SPOKE])
    assert found["rg/hub"].peerings == (
        Peering("to-spoke", "rg/SPOKE", ("10.2.0.0/16",), connected=True),
    )
    assert found["rg/spoke"].peerings[0].remote_prefixes == ("10.1.0.0/16",)


def test_one_side_alone_is_initiated():
    found = connect_peerings([HUB, replace(SPOKE, peerings=())])
    assert (found["rg/hub"].peerings[0].connected, found["rg/hub"].peerings[0].open) == (
        False,
        False,
    )
    assert not connect_peerings([HUB])["rg/hub"].peerings[0].connected


def test_a_connection_ends_with_the_other_side():
    connected = connect_peerings([HUB, SPOKE])["rg/hub"]
    assert not connect_peerings([connected])["rg/hub"].peerings[0].connected


def test_overlapping_address_spaces_are_refused():
    with pytest.raises(InvalidInputError, match=r"prefixes: 10\.1\.0\.0/16") as refused:
        connect_peerings([HUB, replace(SPOKE, prefixes=("10.1.128.0/24",))])
    assert refused.value.code == "VnetAddressSpacesOverlap"
