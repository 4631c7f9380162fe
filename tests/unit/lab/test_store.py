"""Desired resources: what is put comes back, across processes; a transaction is all or nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from podwire.cluster.vm_access_settings import VmAccess
from podwire.lab.defaults import document_cluster, document_vnet
from podwire.lab.instances import Instances
from podwire.lab.store import Access, Grant, PluggedNic, Store, WantedCluster
from podwire.model.errors import PodwireError
from podwire.model.vnet import Nic, VNet

VNET = document_vnet(vnet_cidr="10.220.0.0/16", subnet_cidr="10.220.2.0/24")
SPEC = document_cluster("podwire", VNET)
NIC = Nic("n", "00:0d:3a:00:00:01", VNET.subnet("azurecni"), ("10.220.2.4", "10.220.2.5"))


@pytest.mark.parametrize(
    "value",
    [
        VNET,
        WantedCluster(SPEC, workload=True),
        PluggedNic(NIC, VNET.key, SPEC.key),
        Instances((0, 1, 4), 5, (1,)),
        Access((Grant(VmAccess(username="u", key="ssh-rsa x"), (0, 2)),)),
    ],
    ids=lambda one: type(one).__name__,
)
def test_values_come_back_as_they_were(tmp_path: Path, value: Any) -> None:
    Store(tmp_path / "lab.sqlite").put("one", value)
    again = Store(tmp_path / "lab.sqlite")
    assert again.get(type(value), "one") == value
    assert again.all(type(value)) == {"one": value}


def test_what_is_deleted_or_never_was_is_none(tmp_path: Path) -> None:
    store = Store(tmp_path / "lab.sqlite")
    store.put("a", VNET)
    store.delete(VNet, "a")
    store.put_setting("b", {"x": 1})
    store.delete_setting("b")
    assert store.get(VNet, "a") is None
    assert store.all(VNet) == {}
    assert store.setting("b") is None


def test_a_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "lab.sqlite")

    def fail_inside() -> None:
        with store.transaction():
            store.put_setting("a", {})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_inside()
    assert store.setting("a") is None


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "lab.sqlite").write_text("not a database at all, but long enough to be one" * 50)
    with pytest.raises(PodwireError, match=r"lab\.sqlite.*podwire down"):
        Store(tmp_path / "lab.sqlite")


def test_another_labs_cluster_has_another_context() -> None:
    other = document_cluster("second", VNET)
    assert (SPEC.name, other.name) == ("azurecni-cluster", "azurecni-cluster-second")


def test_another_vnet_has_the_one_subnet_that_was_asked_for() -> None:
    vnet = document_vnet(vnet_cidr="10.0.0.0/8", subnet_cidr="10.1.0.0/16")
    assert [one.prefix for one in vnet.subnets] == ["10.1.0.0/16"]


def test_who_may_log_in_where() -> None:
    one, other = VmAccess(username="one"), VmAccess(username="other")
    some = Access().granted(Grant(one, (1,))).granted(Grant(other)).granted(Grant(one, (2, 1)))
    assert [some.of(number) for number in (0, 1, 2)] == [(other,), (other, one), (other, one)]
    every = some.granted(Grant(one))
    assert every.of(0) == (other, one)
    assert every.granted(Grant(one, (3,))) == every, "all have it already"
