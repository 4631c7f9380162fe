from __future__ import annotations

import pytest

from podwire.model.errors import InvalidInputError
from podwire.model.vnet import Nic
from podwire.vnet.directory import NicDirectory

from .conftest import SUBNET

HOST = "aks-nodepool1-12345678-vmss000000"


def test_a_host_is_found_by_each_address_and_by_name_in_any_case(directory, first):
    for address in first.addresses:
        assert directory.by_address(address).name == HOST
    assert directory.by_name(HOST.upper()).nic == first
    assert len(directory) == 2


def test_unknown_ones_are_none(directory):
    assert directory.by_address("10.220.2.99") is None
    assert directory.by_name("elsewhere") is None


def test_adding_again_replaces_and_frees_the_old_addresses(directory, first):
    directory.add(HOST, Nic(first.name, first.mac, SUBNET, ("10.220.2.4", "10.220.2.7")))
    assert directory.by_address("10.220.2.5") is None
    assert directory.by_address("10.220.2.7").name == HOST
    assert len(directory) == 2


def test_an_address_of_another_host_is_refused_and_nothing_changes(directory):
    thief = Nic("thief", "00:0d:3a:00:00:09", SUBNET, ("10.220.2.99", "10.220.2.35"))
    with pytest.raises(InvalidInputError, match=r"10\.220\.2\.35 of thief belongs to aks-"):
        directory.add("thief", thief)
    assert directory.by_name("thief") is None
    assert directory.by_address("10.220.2.99") is None


def test_remove_forgets_all_and_is_idempotent(directory, first):
    directory.remove(HOST)
    directory.remove(HOST)
    assert [directory.by_address(one) for one in first.addresses] == [None, None, None]
    assert [host.nic.name for host in directory] == ["nic-second"]


def test_the_scale_set_follows_from_the_name(directory, second):
    assert directory.by_name(HOST).scale_set == "aks-nodepool1-12345678-vmss"
    assert NicDirectory().add("jumpbox", second).scale_set == ""


def test_a_vm_id_is_stable_and_its_own(directory):
    one, other = directory
    assert one.vm_id == directory.by_name(one.name).vm_id
    assert one.vm_id != other.vm_id
