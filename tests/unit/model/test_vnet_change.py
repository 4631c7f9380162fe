from __future__ import annotations

from dataclasses import replace

import pytest

from podwire.model.errors import InvalidInputError
from podwire.model.vnet import Nic, Subnet, VNet
from podwire.model.vnet_change import check_change

SUBNET = Subnet("nodes", "10.1.2.0/24")
VNET = VNet("V", "RG", ("10.1.0.0/16",), (SUBNET, Subnet("spare", "10.1.3.0/24")))
NIC = Nic("nic", "00:0d:3a:00:00:01", SUBNET, ("10.1.2.4",))
PLATFORM = Nic("control-plane", "00:0d:3a:00:00:02", Subnet("c", "172.31.0.0/24"), ("172.31.0.4",))


def test_what_no_nic_needs_may_change():
    check_change(VNET, replace(VNET, subnets=(SUBNET,)), [NIC, PLATFORM])
    check_change(VNET, replace(VNET, subnets=()), [PLATFORM])
    check_change(VNET, replace(VNET, name="v", resource_group="rg"), [NIC])


@pytest.mark.parametrize(
    ("new", "code"),
    [
        (replace(VNET, subnets=VNET.subnets[1:]), "InUseSubnetCannotBeDeleted"),
        (
            replace(VNET, subnets=(replace(SUBNET, prefix="10.1.2.0/25"),)),
            "InUsePrefixCannotBeDeleted",
        ),
    ],
)
def test_a_subnet_with_a_nic_stays(new, code):
    with pytest.raises(InvalidInputError, match="nic") as refused:
        check_change(VNET, new, [NIC])
    assert refused.value.code == code


def test_another_vnet_is_no_change():
    with pytest.raises(InvalidInputError, match="rg/v cannot become VNet rg/w"):
        check_change(VNET, replace(VNET, name="W"), [])
