"""`podwire plan` as a person and a script meet it: status, words, the table, bars, the document."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from podwire.cli import main as command
from podwire.cli.plan_options import PoolWish, read_pool
from podwire.model.node_pool import Surge

TRAP = ("--subnet", "azurecni=10.220.2.0/24", "--pool", "nodepool1:8", "--mode", "node-subnet")


def plan(*words: str) -> Result:
    return CliRunner().invoke(command.cli, ["plan", *words])


def test_the_trap_of_a_24_in_text() -> None:
    told = plan(*TRAP)
    lines = told.output.splitlines()
    assert told.exit_code == 1
    for row in (
        "max-pods 30",
        "now 248",
        "during an upgrade 279 > 251",
        "smallest that fits /23",
        "nodepool1: create refused from 9 nodes",
        "nodepool1: upgrade refused from 8 nodes",
        "verdict refused: upgrade",
        "way out a subnet of /23, or at most 7 nodes",
    ):
        assert row in [" ".join(line.split()) for line in lines]
    assert "node-subnet 10.220.2.0/24  " + "#" * 48 + "|!!!!!!  279 of 251" in lines
    assert any(line.startswith("  (SubnetIsFull) Subnet azurecni with") for line in lines)


def test_one_node_less_is_status_0_and_says_so() -> None:
    told = plan("--subnet", "10.220.2.0/24", "--pool", "nodepool1:7", "--mode", "node-subnet")
    assert told.exit_code == 0
    assert "#" * 42 + "++++++|  248 of 251" in told.output
    assert "refused:" not in told.output
    assert "fits" in told.output.split("verdict")[1]


def test_the_four_modes_stand_side_by_side() -> None:
    told = plan("--subnet", "10.220.2.0/24", "--pool", "nodepool1:8")
    head, *rest = told.output.splitlines()[2:]
    rows = {line[:34].strip(): line[34:].split() for line in rest}
    assert head.split() == ["NODE-SUBNET", "POD-SUBNET", "OVERLAY", "KUBENET"]
    assert rows["max-pods"] == ["30", "250", "250", "110"]
    assert rows["verdict"] == ["refused:", "upgrade", "fits", "fits", "fits"]


def test_the_document() -> None:
    told = plan(*TRAP, "-o", "json")
    document = json.loads(told.output)
    assert told.exit_code == 1
    assert document["fits"] is False
    (one,) = document["plans"]
    assert one["ranges"] == [
        {
            "what": "subnet",
            "cidr": "10.220.2.0/24",
            "usable": 251,
            "needs": {"now": 248, "upgrade": 279, "maximum": 248, "maximum_upgrade": 279},
            "smallest_prefix": 23,
        }
    ]
    assert [(two["when"], two["nodes"], two["error"]["code"]) for two in one["first_refused"]] == [
        ("create", 9, "InsufficientSubnetSize"),
        ("upgrade", 8, "SubnetIsFull"),
    ]
    assert one["refusals"][0]["code"] == "SubnetIsFull"


@pytest.mark.parametrize(
    ("words", "prefix"), [(("nodepool1:50",), 21), (("nodepool1:50:max=60",), 21), (("a:1",), 25)]
)
def test_without_a_subnet_the_smallest_is_told(words: tuple[str, ...], prefix: int) -> None:
    told = plan("--pool", *words, "--mode", "node-subnet", "-o", "json")
    assert told.exit_code == 0
    assert json.loads(told.output)["plans"][0]["ranges"][0]["smallest_prefix"] == prefix


def test_a_sixteen_with_a_thousand_nodes() -> None:
    told = plan("--subnet", "10.220.0.0/16", "--pool", "nodepool1:1000", "--mode", "node-subnet")
    assert told.exit_code == 0
    assert "31000" in told.output


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--service-cidr", "10.200.0.0/16"), "DnsServiceIpOutOfServiceCidr"),
        (
            (
                *("--service-cidr", "10.1.0.0/16", "--dns-service-ip", "10.1.0.10"),
                *("--vnet", "10.0.0.0/8", "--other-subnet", "10.1.9.0/24"),
            ),
            "an existing subnet CIDR 10.1.9.0/24",
        ),
        (("--pod-cidr", "10.220.0.0/16"), "NetworkProfileCIDROverlapVNET"),
        (("--other-subnet", "10.220.2.128/25"), "NetcfgSubnetRangesOverlap"),
        (("--pool", "nodepool1:1001"), "agentPoolProfile.count was 1001."),
        (("--max-pods", "9"), "The value of parameter agentPoolProfile.maxPods is invalid."),
    ],
)
def test_what_aks_refuses_is_status_1(words: tuple[str, ...], code: str) -> None:
    told = plan("--subnet", "10.220.2.0/24", *words)
    assert told.exit_code == 1
    assert code in told.output


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--subnet", "10.220.2.7/24"), "'--subnet'|did you mean 10.220.2.0/24?"),
        (("--subnet", "=10.220.2.0/24"), "'--subnet'|no name before the ="),
        (("--pod-cidr", "fd00::/64"), "'--pod-cidr'|'fd00::/64'"),
        (("--dns-service-ip", "ten"), "'--dns-service-ip'|'ten'"),
        (("--pool", "nodepool1"), "'--pool'|COUNT is ''"),
        (("--pool", "nodepool1:-3"), "'--pool'|COUNT is '-3'"),
        (("--pool", "p:3:size=2"), "'--pool'|'size=2' is not understood"),
        (("--pool", "p:3:max=4:max=5"), "'--pool'|'max=5'"),
        (("--pool", "p:3:surge=half"), "'--pool'|max surge 'half'"),
        (("--max-surge", "120%"), "'--max-surge'|'120%'"),
        (("--pool", "p:3", "--pool", "p:3"), "'--pool'|two node pools have the name 'p'"),
        (("--max-pods", "-1"), "'--max-pods'|-1 is negative"),
        (("--max-pods", "many"), "'--max-pods'|'many'"),
        (("--mode", "cilium"), "'--mode'|'cilium'"),
    ],
)
def test_what_cannot_be_read_is_status_2_and_names_flag_and_value(
    words: tuple[str, ...], named: str
) -> None:
    told = plan(*words)
    assert told.exit_code == 2
    assert all(word in told.output for word in named.split("|"))


def test_a_pool_is_read() -> None:
    assert read_pool("gpu:2:max=10:max-pods=50:surge=33%") == PoolWish(
        "gpu", 2, None, 10, 50, Surge(33, percent=True)
    )
    assert read_pool("a:0:min=0") == PoolWish("a", 0, 0, None, None, None)


def test_help_teaches() -> None:
    said = plan("--help").output
    for word in ("podwire plan --subnet", "--pool", "max-pods=50:surge=33%", "Exit status"):
        assert word in said
