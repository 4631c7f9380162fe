"""Desired resources: what is put comes back, across processes; a transaction is all or nothing."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from podwire.lab.defaults import document_cluster
from podwire.lab.store import Store, cluster_body, cluster_from, nic_from
from podwire.model.errors import PodwireError
from podwire.model.vnet import Nic

SPEC = document_cluster("podwire", vnet_cidr="10.220.0.0/16", subnet_cidr="10.220.2.0/24")


def test_values_come_back_as_they_were(tmp_path: Path) -> None:
    store = Store(tmp_path / "lab.sqlite")
    nic = Nic("n", "00:0d:3a:00:00:01", SPEC.vnet.subnet("azurecni"), ("10.220.2.4", "10.220.2.5"))
    store.put("cluster", SPEC.name, cluster_body(SPEC))
    store.put("nic", nic.name, asdict(nic))
    again = Store(tmp_path / "lab.sqlite")
    body = again.get("cluster", SPEC.name)
    assert body is not None
    assert cluster_from(body) == SPEC
    assert [nic_from(one) for one in again.all("nic").values()] == [nic]


def test_what_is_deleted_or_never_was_is_none(tmp_path: Path) -> None:
    store = Store(tmp_path / "lab.sqlite")
    store.put("setting", "a", {"x": 1})
    store.delete("setting", "a")
    assert store.get("setting", "a") is None
    assert store.all("setting") == {}


def test_a_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "lab.sqlite")

    def fail_inside() -> None:
        with store.transaction():
            store.put("setting", "a", {})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_inside()
    assert store.get("setting", "a") is None


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "lab.sqlite").write_text("not a database at all, but long enough to be one" * 50)
    with pytest.raises(PodwireError, match=r"lab\.sqlite.*podwire down"):
        Store(tmp_path / "lab.sqlite")


def test_another_labs_cluster_has_another_context() -> None:
    other = document_cluster("second", vnet_cidr="10.220.0.0/16", subnet_cidr="10.220.2.0/24")
    assert (SPEC.name, other.name) == ("azurecni-cluster", "azurecni-cluster-second")


def test_another_vnet_has_the_one_subnet_that_was_asked_for() -> None:
    spec = document_cluster("x", vnet_cidr="10.0.0.0/8", subnet_cidr="10.1.0.0/16")
    assert [one.prefix for one in spec.vnet.subnets] == ["10.1.0.0/16"]
