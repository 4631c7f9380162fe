"""Addresses belong to NICs by rows: written with the wish, released with the node."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from podwire.cluster.cgroups import LabCgroups
from podwire.kernel.process import Supervisor
from podwire.lab.defaults import document_cluster, document_vnet
from podwire.lab.instances import Instances
from podwire.lab.materials import Materials
from podwire.lab.nics import (
    forget_cluster,
    members,
    node_nics,
    pool_row,
    release,
    settle,
    taken,
)
from podwire.lab.site import Site
from podwire.lab.store import Access, Frontends, PluggedNic, Store, WantedCluster
from podwire.model.cluster import ClusterSpec
from podwire.model.errors import InvalidInputError
from podwire.model.layout import LabLayout
from podwire.model.node_pool import Pool
from podwire.vnet.frontend_addresses import Claim

VNET = document_vnet(vnet_cidr="10.220.0.0/16", subnet_cidr="10.220.2.0/24")
SPEC = document_cluster("podwire", VNET)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    layout = LabLayout("t", tmp_path, tmp_path, tmp_path, tmp_path)
    store = Store(layout.store)
    cgroups = cast("LabCgroups", None)
    return Site(layout, store, Supervisor(), cgroups, Materials(layout, store))


def with_nodes(count: int, *more: Pool) -> ClusterSpec:
    return replace(SPEC, pools=(Pool("nodepool1", count, 30), *more))


def firsts(site: Site, spec: ClusterSpec) -> list[str]:
    return [one.nic.primary for one in members(site.store, spec)]


def test_nodes_of_the_document(site: Site) -> None:
    settle(site, WantedCluster(SPEC), VNET)
    assert firsts(site, SPEC) == ["10.220.2.4", "10.220.2.35", "10.220.2.66"]
    settle(site, WantedCluster(SPEC), VNET)
    assert firsts(site, SPEC) == ["10.220.2.4", "10.220.2.35", "10.220.2.66"]


def test_a_second_cluster_has_another_control_plane_address_and_kubenet_forwards(
    site: Site,
) -> None:
    second = replace(
        SPEC, name="b", subnet="kubenet", network_plugin="kubenet", pod_cidr="10.100.0.0/16"
    )
    for one in (SPEC, second):
        settle(site, WantedCluster(one), VNET)
    rows = site.store.all(PluggedNic)
    planes = [rows[f"control-plane of {one.key}"].nic.primary for one in (SPEC, second)]
    assert planes == ["172.31.0.4", "172.31.0.5"]
    assert firsts(site, second) == ["10.220.1.4", "10.220.1.5", "10.220.1.6"]
    assert all(one.nic.ip_forwarding for one in members(site.store, second))
    assert not any(one.nic.ip_forwarding for one in members(site.store, SPEC))


def test_what_does_not_fit_changes_nothing(site: Site) -> None:
    settle(site, WantedCluster(SPEC), VNET)
    before = site.store.all(PluggedNic), site.store.all(Instances), site.store.all(WantedCluster)
    with pytest.raises(InvalidInputError, match="capacity for 31 IP addresses"):
        settle(site, WantedCluster(with_nodes(9)), VNET)
    after = site.store.all(PluggedNic), site.store.all(Instances), site.store.all(WantedCluster)
    assert after == before


def test_a_node_that_goes_keeps_its_addresses_until_it_has_ended(site: Site) -> None:
    settle(site, WantedCluster(SPEC), VNET)
    fewer = with_nodes(1)
    settle(site, WantedCluster(fewer), VNET)
    assert "10.220.2.66" in taken(site.store, VNET.key)
    last = SPEC.node_name("nodepool1", 2)
    assert last in node_nics(site.store, SPEC.key)
    release(site.store, last)
    assert "10.220.2.66" not in taken(site.store, VNET.key)
    assert firsts(site, fewer) == ["10.220.2.4"]


def test_a_pool_that_goes_leaves_no_row(site: Site) -> None:
    settle(site, WantedCluster(with_nodes(1, Pool("two", 1, 30))), VNET)
    site.store.put(pool_row(SPEC, "two"), Access())
    settle(site, WantedCluster(with_nodes(1)), VNET)
    assert site.store.all(Access) == {}, "a pool of the same name has not the keys of the old one"
    assert list(site.store.all(Instances)) == [f"{SPEC.key}/nodepool1"]


def test_nodes_do_not_take_a_load_balancers_address(site: Site) -> None:
    site.store.put(VNET.key, Frontends((Claim("a", "azurecni", "10.220.2.4"),)))
    settle(site, WantedCluster(SPEC), VNET)
    assert firsts(site, SPEC)[0] == "10.220.2.5"


def test_a_forgotten_cluster_leaves_no_row(site: Site) -> None:
    other = replace(SPEC, name="b", subnet="kubenet", pools=(Pool("nodepool1", 1, 30),))
    for one in (SPEC, other):
        settle(site, WantedCluster(one), VNET)
    forget_cluster(site.store, SPEC.key)
    assert {one.cluster for one in site.store.all(PluggedNic).values()} == {other.key}
    assert list(site.store.all(WantedCluster)) == [other.key]
    assert list(site.store.all(Instances)) == [f"{other.key}/nodepool1"]
