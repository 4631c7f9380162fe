"""A subnet with two hosts, as the document's cluster has them, but with fewer addresses."""

from __future__ import annotations

import pytest

from podwire.model.vnet import Nic, Subnet
from podwire.vnet.directory import NicDirectory

SUBNET = Subnet("azurecni", "10.220.2.0/24")


@pytest.fixture
def first() -> Nic:
    addresses = ("10.220.2.4", "10.220.2.5", "10.220.2.6")
    return Nic("nic-first", "00:0d:3a:8a:50:da", SUBNET, addresses)


@pytest.fixture
def second() -> Nic:
    return Nic("nic-second", "00:0d:3a:8a:50:db", SUBNET, ("10.220.2.35", "10.220.2.36"))


@pytest.fixture
def directory(first: Nic, second: Nic) -> NicDirectory:
    made = NicDirectory("11111111-2222-3333-4444-555555555555")
    made.add("aks-nodepool1-12345678-vmss000000", first, resource_group="MC_lab", location="here")
    made.add("aks-nodepool1-12345678-vmss00000a", second, resource_group="MC_lab")
    return made
