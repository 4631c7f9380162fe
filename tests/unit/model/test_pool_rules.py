"""AKS's refusals about pools and addresses, with the numbers that users met, and plans."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podwire.model.errors import InvalidInputError
from podwire.model.ip_modes import (
    KUBENET,
    MODES,
    NODE_SUBNET,
    OVERLAY,
    POD_SUBNET,
    Mode,
    Moment,
    PodsFrom,
    Ranges,
    pods_need,
    smallest_pod_cidr,
    smallest_subnet,
    subnet_need,
)
from podwire.model.node_pool import USER, Pool, Surge
from podwire.model.plan import network_refusals, plan_mode
from podwire.model.pool_rules import check_create, check_pods, check_pool, check_upgrade
from podwire.model.vnet import Subnet, VNet, usable

SUBNET = Subnet("azurecni", "10.220.2.0/24")


def pool(count: int, max_pods: int = 30, surge: str = "1", **bounds: int) -> Pool:
    return Pool("nodepool1", count, max_pods, Surge.parse(surge), **bounds)


@pytest.mark.parametrize(
    ("prefix", "have"), [(24, 251), (29, 3), (22, 1019), (16, 65531), (31, 0), (32, 0)]
)
def test_five_addresses_of_a_subnet_are_azures(prefix: int, have: int) -> None:
    assert usable(prefix) == have
    assert Subnet("s", f"10.0.0.0/{prefix}").usable == have


@pytest.mark.parametrize(
    ("text", "count", "nodes"),
    [
        ("1", 8, 1),
        ("33%", 8, 3),
        ("33%", 3, 1),
        ("10%", 1, 1),
        ("100%", 8, 8),
        ("5", 2, 2),
        ("0", 8, 0),
        ("10%", 0, 0),
    ],
)
def test_surge_is_rounded_up_and_never_more_than_the_pool(
    text: str, count: int, nodes: int
) -> None:
    assert Surge.parse(text).nodes(count) == nodes
    assert str(Surge.parse(text)) == text


@pytest.mark.parametrize("text", ["", "%", "-1", "1.5", "101%", "a third", "99999", "1 %"])
def test_a_surge_that_is_none_is_named(text: str) -> None:
    with pytest.raises(InvalidInputError, match="max surge") as refused:
        Surge.parse(text)
    assert repr(text) in str(refused.value)


@pytest.mark.parametrize(
    ("pools", "moment", "need"),
    [
        ([pool(50)], Moment.UPGRADE, 1581),
        ([pool(50, max_count=60)], Moment.MAXIMUM_UPGRADE, 1891),
        ([pool(8)], Moment.NOW, 248),
        ([pool(8)], Moment.UPGRADE, 279),
        ([pool(3), Pool("gpu", 2, 50, Surge.parse("33%"), max_count=10)], Moment.MAXIMUM, 603),
        ([pool(3), Pool("gpu", 2, 50, Surge.parse("33%"), max_count=10)], Moment.UPGRADE, 246),
        # Azure/AKS#1795: 276 > 251 when the surge of both pools was counted, which was the bug.
        ([pool(2, 45), replace(pool(2, 45), name="two")], Moment.UPGRADE, 230),
    ],
)
def test_microsofts_examples_and_others_of_node_subnet(
    pools: list[Pool], moment: Moment, need: int
) -> None:
    assert subnet_need(NODE_SUBNET, pools, moment) == need


def test_microsofts_examples_need_a_21() -> None:
    assert smallest_subnet(1581) == smallest_subnet(1891) == 21


@pytest.mark.parametrize(
    ("pools", "text"),
    [
        (
            [pool(10)],
            "Pre-allocated IPs 310 exceeds IPs available 251 in Subnet Cidr 10.220.2.0/24",
        ),
        ([pool(3, 110)], "Pre-allocated IPs 333 exceeds IPs available 251"),
        ([pool(5, 100)], "Pre-allocated IPs 505 exceeds IPs available 251"),
        ([pool(1, 100, max_count=5)], "Pre-allocated IPs 505 exceeds IPs available 251"),
        ([pool(2, 110), replace(pool(2), name="windev")], "284 exceeds IPs available 251"),
    ],
)
def test_the_known_threads_of_create(pools: list[Pool], text: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        check_create(NODE_SUBNET, pools, Ranges(SUBNET))
    assert (refused.value.code, refused.value.target) == (
        "InsufficientSubnetSize",
        "agentPoolProfile.count",
    )
    assert text in str(refused.value)


def test_overlays_pod_cidr_is_too_small_as_the_known_thread_says() -> None:
    with pytest.raises(InvalidInputError) as refused:
        check_create(OVERLAY, [pool(5)], Ranges(pod_cidr=IPv4Network("10.244.0.0/22")))
    assert refused.value.code == "InsufficientSubnetSize"
    assert refused.value.target == "networkProfile.podCIDR"
    assert "IPs 1280 exceeds IPs available 1024" in str(refused.value)
    assert "Subnet Name networkProfile.podCIDR." in str(refused.value)
    check_create(OVERLAY, [pool(4)], Ranges(pod_cidr=IPv4Network("10.244.0.0/22")))


@pytest.mark.parametrize(
    ("one", "short"), [(pool(8), 31), (pool(2, 100), 101), (pool(6, 33, "50%"), 102)]
)
def test_an_upgrade_whose_surge_does_not_fit(one: Pool, short: int) -> None:
    check_create(NODE_SUBNET, [one], Ranges(SUBNET))
    with pytest.raises(InvalidInputError) as refused:
        check_upgrade(NODE_SUBNET, [one], Ranges(SUBNET))
    assert refused.value.code == "SubnetIsFull"
    assert refused.value.args[0] == (
        "Subnet azurecni with address prefix 10.220.2.0/24 does not have enough capacity for "
        f"{short} IP addresses."
    )


def test_the_trap_of_a_24() -> None:
    planned = plan_mode(NODE_SUBNET, [pool(8)], Ranges(SUBNET))
    assert [one.when for one in planned.refusals] == ["upgrade"]
    assert [(one.when, one.nodes) for one in planned.breaks] == [("create", 9), ("upgrade", 8)]
    assert planned.breaks[0].error.code == "InsufficientSubnetSize"
    assert planned.uses[0].smallest == 23
    assert plan_mode(NODE_SUBNET, [pool(7)], Ranges(SUBNET)).fits


def test_the_autoscalers_maximum_is_upgraded_too() -> None:
    planned = plan_mode(NODE_SUBNET, [pool(3, max_count=8)], Ranges(SUBNET))
    assert [one.when for one in planned.refusals] == ["upgrade at maximum"]


def test_a_29_holds_three_nodes_of_overlay_and_none_of_node_subnet() -> None:
    smallest = Ranges(Subnet("s", "10.0.0.0/29"))
    assert [one.nodes for one in plan_mode(OVERLAY, [pool(1)], smallest).breaks] == [4, 3]
    assert [one.nodes for one in plan_mode(NODE_SUBNET, [pool(1)], smallest).breaks] == [1, 1]


@pytest.mark.parametrize(
    ("mode", "ranges", "most", "code", "named"),
    [
        (
            POD_SUBNET,
            Ranges(pod_subnet=Subnet("pods", "10.1.0.0/24")),
            6,
            "NCUpdateSubnetFullError",
            "251 IP addresses; nodes full of pods take 256",
        ),
        (
            KUBENET,
            Ranges(pod_cidr=IPv4Network("10.244.0.0/21")),
            7,
            "CIDRNotAvailable",
            "8 blocks of a /24; 9 nodes",
        ),
    ],
)
def test_what_fails_late_in_the_cluster(
    mode: Mode, ranges: Ranges, most: int, code: str, named: str
) -> None:
    check_create(mode, [pool(most + 1)], ranges)
    check_pods(mode, [pool(most)], ranges)
    with pytest.raises(InvalidInputError) as refused:
        check_pods(mode, [pool(most + 1)], ranges)
    assert refused.value.code == code
    assert named in str(refused.value)


def test_a_24_as_pod_subnet_starts_fifteen_nodes() -> None:
    assert pods_need(POD_SUBNET, [pool(15, 250)], Moment.NOW) <= usable(24)
    assert pods_need(POD_SUBNET, [pool(16, 250)], Moment.NOW) > usable(24)


@pytest.mark.parametrize(
    ("mode", "pools", "named"),
    [
        (KUBENET, [pool(400), replace(pool(1), name="two")], "401 nodes .* at most 400"),
        (OVERLAY, [replace(pool(900), name=f"p{at}") for at in range(6)], "at most 5000"),
        (OVERLAY, [pool(1001)], "count was 1001. .* minCount:1 and .* maxCount:1000"),
        (OVERLAY, [pool(0)], "count was 0. .* minCount:1"),
        (NODE_SUBNET, [pool(600, 110)], "66600 private addresses"),
        (
            POD_SUBNET,
            [pool(1000), replace(pool(2900), name="p", mode=USER)],
            "count was 2900. .* minCount:0",
        ),
    ],
)
def test_limits_of_pools_and_clusters(mode: Mode, pools: list[Pool], named: str) -> None:
    with pytest.raises(InvalidInputError, match=named):
        check_create(mode, pools, Ranges())


def test_a_pool_besides_the_first_may_be_empty() -> None:
    empty = replace(pool(0), name="spare", mode=USER)
    check_pool(empty)
    check_create(NODE_SUBNET, [pool(1), empty], Ranges(SUBNET))


@pytest.mark.parametrize(
    ("one", "target"),
    [
        (replace(pool(3), name="nodepool1long"), "agentPoolProfile.name"),
        (replace(pool(3), name="1pool"), "agentPoolProfile.name"),
        (pool(3, 9), "agentPoolProfile.maxPods"),
        (pool(3, 251), "agentPoolProfile.maxPods"),
        (pool(2, 10), "agentPoolProfile.maxPods"),
        (pool(5, max_count=4), "agentPoolProfile.count"),
        (pool(1, min_count=2, max_count=4), "agentPoolProfile.count"),
    ],
)
def test_a_pool_by_itself(one: Pool, target: str) -> None:
    check_pool(pool(3, 10))
    with pytest.raises(InvalidInputError) as refused:
        check_pool(one)
    assert refused.value.target == target


@pytest.mark.parametrize(
    ("service", "dns", "pods", "code"),
    [
        ("10.0.0.0/16", "10.0.0.10", "10.244.0.0/16", None),
        ("10.200.0.0/16", "10.0.0.10", None, "DnsServiceIpOutOfServiceCidr"),
        ("10.220.0.0/20", "10.220.0.10", None, "ServiceCidrOverlapExistingSubnetsCidr"),
        ("10.0.0.0/16", "10.0.0.10", "10.220.128.0/17", "NetworkProfileCIDROverlapVNET"),
        ("10.0.0.0/16", "10.0.0.10", "10.0.64.0/18", ""),
        ("10.0.0.0/16", "10.0.0.10", "172.30.0.0/16", "ReservedCidr"),
    ],
)
def test_ranges_that_collide(service: str, dns: str, pods: str | None, code: str | None) -> None:
    vnet = VNet("v", "g", ("10.220.0.0/16",), (SUBNET,))
    told = network_refusals(vnet, service, dns, pods)
    assert [one.error.code for one in told] == ([] if code is None else [code])


pools_of_any_size = st.lists(
    st.builds(
        lambda count, more, max_pods, surge: Pool(
            "p", count, max_pods, surge, max_count=count + more
        ),
        st.integers(1, 40),
        st.integers(0, 20),
        st.integers(30, 250),
        st.builds(Surge, st.integers(0, 100), st.booleans()),
    ),
    min_size=1,
    max_size=3,
)
any_mode = st.sampled_from(MODES)


def refused(mode: Mode, pools: list[Pool], ranges: Ranges) -> bool:
    return bool(plan_mode(mode, pools, ranges).refusals)


@given(any_mode, pools_of_any_size)
def test_the_smallest_prefix_fits_and_the_next_smaller_does_not(
    mode: Mode, pools: list[Pool]
) -> None:
    subnet, *pods = plan_mode(mode, pools, Ranges()).uses
    assert not refused(mode, pools, Ranges(Subnet("s", f"10.0.0.0/{subnet.smallest}")))
    if subnet.smallest < 29:
        assert refused(mode, pools, Ranges(Subnet("s", f"10.0.0.0/{subnet.smallest + 1}")))
    for use in pods:
        for prefix in (use.smallest, use.smallest + 1):
            cidr = f"10.0.0.0/{prefix}"
            of_pods = (
                Ranges(pod_subnet=Subnet("p", cidr))
                if use.what is PodsFrom.POD_SUBNET
                else Ranges(pod_cidr=IPv4Network(cidr))
            )
            assert refused(mode, pools, of_pods) == (prefix > use.smallest)


@given(any_mode, pools_of_any_size, st.sampled_from(Moment))
def test_a_node_more_never_needs_fewer_addresses(
    mode: Mode, pools: list[Pool], moment: Moment
) -> None:
    grown = [replace(pools[0], count=pools[0].count + 1, max_count=pools[0].largest + 1)]
    grown += pools[1:]
    assert subnet_need(mode, grown, moment) > subnet_need(mode, pools, moment)
    assert pods_need(mode, grown, moment) >= pods_need(mode, pools, moment)


@given(st.integers(0, 1 << 20))
def test_a_pod_cidr_is_as_large_as_it_must_be(need: int) -> None:
    prefix = smallest_pod_cidr(need)
    assert 1 << (32 - prefix) >= need
    assert prefix == 24 or 1 << (31 - prefix) < need


@given(any_mode, pools_of_any_size)
def test_below_the_first_count_that_breaks_nothing_does(mode: Mode, pools: list[Pool]) -> None:
    ranges = Ranges(Subnet("s", "10.0.0.0/23"), None, IPv4Network("10.244.0.0/18"))
    for one in plan_mode(mode, pools[:1], ranges).breaks:
        check = check_create if one.when == "create" else check_upgrade
        assert one.nodes is not None
        with pytest.raises(InvalidInputError):
            check(mode, [pools[0].resized(one.nodes)], ranges)
        if one.nodes > 1:
            check(mode, [pools[0].resized(one.nodes - 1)], ranges)
