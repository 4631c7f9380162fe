"""A snapshot is the same after a trip through JSON; what is none is refused in words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from podwire.lens import codec
from podwire.lens.kube_values import Cluster, Endpoint, Pod, Service, ServicePort
from podwire.lens.snapshot import (
    Attachments,
    IptablesChain,
    IptablesRule,
    IptablesTable,
    Link,
    Node,
    Plugged,
    Route,
    Snapshot,
    Space,
    VirtualNetwork,
)
from podwire.model.errors import InvalidInputError
from podwire.model.route_table import NextHop, RouteTable
from podwire.model.route_table import Route as UserRoute
from podwire.model.security import Access, Direction, Protocol, SecurityGroup, SecurityRule
from podwire.model.vnet import Nic, Subnet, VNet

WEB = SecurityRule("web", 100, Direction.INBOUND, Access.DENY, Protocol.TCP)
SUBNET = Subnet(
    "nodes",
    "10.1.0.0/24",
    RouteTable("table", (UserRoute("r", "10.9.0.0/16", NextHop.VIRTUAL_APPLIANCE, "10.1.0.9"),)),
    SecurityGroup("group", (WEB,)),
)
SEEN = Snapshot(
    taken=1700000000.5,
    took=0.25,
    lab="default",
    nodes=(Node("n1", "node/n1", ("pod/a/b",), Attachments(True, pods=("c" * 64,)), "aks"),),
    spaces=(
        Space(
            "node/n1",
            "node",
            4026531840,
            links=(
                Link(
                    2,
                    "azv1",
                    "02:00:00:00:00:01",
                    1500,
                    True,
                    True,
                    "veth",
                    "azure0",
                    ("pod/a/b", "eth0"),
                    12,
                ),
            ),
            routes=(Route("0.0.0.0/0", "azure0", "10.1.0.1"),),
            nft=({"table": {"family": "bridge", "name": "azure-vnet"}},),
            iptables=(
                IptablesTable(
                    "nat",
                    (
                        IptablesChain(
                            "PREROUTING", "ACCEPT", (IptablesRule("-j KUBE-SERVICES", 1, 60),)
                        ),
                    ),
                ),
            ),
            sysctls={"net.ipv4.ip_forward": "1"},
        ),
    ),
    clusters=(
        Cluster(
            "aks",
            pods=(Pod("a", "b", "u", "n1", "10.1.0.5", "Running", True, space="pod/a/b"),),
            services=(
                Service(
                    "a",
                    "s",
                    "ClusterIP",
                    "10.0.0.1",
                    (ServicePort("", "TCP", 80, "http"),),
                    endpoints=(Endpoint("10.1.0.5", 80, "", True),),
                ),
            ),
        ),
    ),
    vnets=(
        VirtualNetwork(
            VNet("v", "rg", ("10.1.0.0/16",), (SUBNET,)),
            "fabric/rg/v",
            (Plugged(Nic("nic", "00:0d:3a:00:00:01", SUBNET, ("10.1.0.4",)), "n1", "nic1"),),
            drops={"denied": 3},
        ),
    ),
)


def test_round_trip() -> None:
    assert codec.from_json(codec.to_json(SEEN)) == SEEN


def test_defaults_are_left_out_but_not_the_version() -> None:
    assert json.loads(codec.to_json(Snapshot(1.0, 0.5))) == {
        "version": 1,
        "taken": 1.0,
        "took": 0.5,
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is no JSON"),
        ("[]", "no snapshot of version 1"),
        ('{"version": 99, "taken": 1, "took": 1}', "its version: 99"),
        ('{"version": 1, "took": 1}', "taken"),
        ('{"version": 1, "taken": 1, "took": 1, "nodes": [{"space": "x"}]}', "nodes[0].name"),
    ],
)
def test_what_is_no_snapshot_is_refused(text: str, said: str) -> None:
    with pytest.raises(InvalidInputError, match=r"seen\.json") as refused:
        codec.from_json(text, "seen.json")
    assert said in str(refused.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="No such file"):
        codec.load(tmp_path / "none.json")
