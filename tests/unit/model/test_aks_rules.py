"""AKS's refusals, by table: the change, the code, and what the message must name."""

from dataclasses import replace

import pytest

from podwire.model.aks_rules import check_cluster, check_cluster_upgrade
from podwire.model.cluster import ClusterSpec, base36
from podwire.model.errors import InvalidInputError
from podwire.model.node_pool import Pool
from podwire.model.vnet import Subnet, VNet, allocate

SUBNETS = (
    Subnet("kubenet", "10.220.1.0/24"),
    Subnet("azurecni", "10.220.2.0/24"),
    Subnet("services", "10.220.3.0/24"),
)
VNET = VNet("aksvnet", "NetworkLab", ("10.220.0.0/16",), SUBNETS)
SPEC = ClusterSpec(
    "azurecni-cluster", "NetworkLab", "eastus", VNET.key, "azurecni", "10.200.0.0/16", "10.200.0.10"
)


def nodes(count: int, max_pods: int = 30, name: str = "nodepool1") -> tuple[Pool, ...]:
    return (Pool(name, count, max_pods),)


def with_subnet(prefix: str) -> VNet:
    return replace(VNET, subnets=(SUBNETS[0], Subnet("azurecni", prefix), SUBNETS[2]))


def test_the_documents_cluster_is_accepted() -> None:
    check_cluster(SPEC, VNET)


def test_ten_nodes_fit_a_22() -> None:
    check_cluster(replace(SPEC, pools=nodes(10)), with_subnet("10.220.4.0/22"))


@pytest.mark.parametrize(
    ("change", "code", "named"),
    [
        ({"pools": nodes(10)}, "InsufficientSubnetSize", "310 exceeds IPs available 251"),
        ({"pools": nodes(3, 110)}, "InsufficientSubnetSize", "333 exceeds IPs available 251"),
        ({"pools": nodes(0)}, "InvalidParameter", "agentPoolProfile.count was 0."),
        ({"pools": nodes(5, 9)}, "InvalidParameter", "agentPoolProfile.maxPods is invalid"),
        ({"pools": nodes(3, 251)}, "InvalidParameter", "agentPoolProfile.maxPods is invalid"),
        ({"pools": nodes(2, 10)}, "InvalidParameter", "agentPoolProfile.maxPods is invalid"),
        (
            {"service_cidr": "10.220.2.0/25"},
            "ServiceCidrOverlapExistingSubnetsCidr",
            "10.220.2.0/24",
        ),
        (
            {"service_cidr": "10.220.9.0/24"},
            "ServiceCidrOverlapExistingSubnetsCidr",
            "10.220.0.0/16",
        ),
        ({"service_cidr": "10.0.0.0/12"}, "InvalidParameter", "/12"),
        ({"service_cidr": "10.200.0.10/32"}, "InvalidDnsServiceIp", "10.200.0.10"),
        ({"service_cidr": "10.200.0.1/16"}, "CidrStringParseError", "10.200.0.0/16"),
        ({"service_cidr": "10.300.0.0/16"}, "CidrStringParseError", "10.300.0.0/16"),
        ({"service_cidr": "172.30.4.0/24"}, "ReservedCidr", "172.30.0.0/16"),
        ({"dns_service_ip": "10.0.0.10"}, "DnsServiceIpOutOfServiceCidr", "10.200.0.0/16"),
        ({"dns_service_ip": "10.200.0.0"}, "InvalidDnsServiceIp", "network address"),
        ({"dns_service_ip": "10.200.0.1"}, "InvalidDnsServiceIp", "kubernetes service"),
        ({"dns_service_ip": "10.200.255.255"}, "InvalidDnsServiceIp", "broadcast"),
        ({"dns_service_ip": "ten"}, "InvalidParameter", "'ten'"),
        ({"name": "-x"}, "InvalidParameter", "'-x'"),
        ({"pools": nodes(3, name="Nodepool1")}, "InvalidParameter", "'Nodepool1'"),
    ],
)
def test_refusals(change: dict[str, object], code: str, named: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        check_cluster(replace(SPEC, **change), VNET)
    assert refused.value.code == code
    assert named in str(refused.value)


@pytest.mark.parametrize(
    ("vnet", "code", "named"),
    [
        (with_subnet("10.220.2.7/24"), "CidrStringParseError", "10.220.2.0/24"),
        (with_subnet("10.221.2.0/24"), "NetcfgSubnetRangeOutsideVnet", "azurecni"),
        (with_subnet("10.220.2.0/30"), "NetcfgInvalidSubnet", "/29"),
        (with_subnet("10.220.0.0/22"), "NetcfgSubnetRangesOverlap", "azurecni"),
        (replace(VNET, prefixes=("172.31.0.0/16",)), "ReservedCidr", "172.31.0.0/16"),
        (
            replace(VNET, prefixes=("10.220.0.0/16", "10.220.2.0/23")),
            "NetcfgInvalidAddressSpace",
            "10.220.2.0/23",
        ),
        (
            replace(VNET, prefixes=("224.0.0.0/16",), subnets=()),
            "NetcfgInvalidAddressSpace",
            "224.0.0.0/3",
        ),
    ],
)
def test_refusals_of_the_vnet(vnet: VNet, code: str, named: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        check_cluster(SPEC, vnet)
    assert refused.value.code == code
    assert named in str(refused.value)


def test_two_pools_in_one_subnet_take_from_it_together() -> None:
    pools = (Pool("nodepool1", 5, 30), Pool("pool2", 4, 30))
    with pytest.raises(InvalidInputError, match="279 exceeds IPs available 251"):
        check_cluster(replace(SPEC, pools=pools), VNET)
    check_cluster(replace(SPEC, pools=(pools[0], replace(pools[1], subnet="kubenet"))), VNET)


def test_kubenet_takes_one_address_a_node_and_a_block_of_the_pod_cidr() -> None:
    spec = replace(SPEC, network_plugin="kubenet", pod_cidr="10.100.0.0/16", pools=nodes(30, 110))
    check_cluster(spec, VNET)
    with pytest.raises(InvalidInputError, match="overlaps with reserved VNET CIDR"):
        check_cluster(replace(spec, pod_cidr="10.220.128.0/17"), VNET)


def test_an_upgrade_needs_room_for_one_node_more() -> None:
    check_cluster_upgrade(replace(SPEC, pools=nodes(7)), VNET)
    check_cluster(replace(SPEC, pools=nodes(8)), VNET)
    with pytest.raises(InvalidInputError, match="capacity for 31 IP addresses") as refused:
        check_cluster_upgrade(replace(SPEC, pools=nodes(8)), VNET)
    assert refused.value.code == "SubnetIsFull"


def test_a_subnet_added_since_blocks_the_upgrade() -> None:
    grown = (*SUBNETS, Subnet("late", "10.200.9.0/24"))
    vnet = replace(VNET, prefixes=("10.220.0.0/16", "10.200.0.0/16"), subnets=grown)
    with pytest.raises(InvalidInputError, match=r"subnet CIDR 10\.200\.9\.0/24") as refused:
        check_cluster_upgrade(SPEC, vnet)
    assert refused.value.code == "ServiceCidrOverlapExistingSubnetsCidr"


def test_unknown_subnet_names_those_that_exist() -> None:
    with pytest.raises(InvalidInputError, match="kubenet, azurecni, services"):
        check_cluster(replace(SPEC, subnet="nodes"), VNET)


def test_node_blocks_of_the_document() -> None:
    taken: list[str] = []
    firsts = []
    for _ in range(3):
        block = allocate(VNET.subnet("azurecni"), 31, taken)
        firsts.append(block[0])
        taken += block
    assert firsts == ["10.220.2.4", "10.220.2.35", "10.220.2.66"]
    assert taken[-1] == "10.220.2.96"


def test_a_freed_block_is_taken_again_contiguous_runs_first() -> None:
    subnet = Subnet("s", "10.0.0.0/28")
    assert allocate(subnet, 3, ["10.0.0.6"])[0] == "10.0.0.7"
    assert allocate(subnet, 2, ["10.0.0.6"])[0] == "10.0.0.4"


def test_a_full_subnet_says_what_does_not_fit() -> None:
    with pytest.raises(InvalidInputError, match="capacity for 12 IP addresses") as refused:
        allocate(Subnet("s", "10.0.0.0/28"), 12, [])
    assert refused.value.code == "SubnetIsFull"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "000000"),
        (10, "00000a"),
        (35, "00000z"),
        (36, "000010"),
        (85, "00002d"),
        (1146, "0000vu"),
    ],
)
def test_instance_ids_in_base_36(number: int, text: str) -> None:
    assert base36(number, 6) == text


def test_names_follow_from_the_cluster() -> None:
    assert SPEC.node_resource_group == "MC_NetworkLab_azurecni-cluster_eastus"
    assert SPEC.node_name("nodepool1", 0).startswith("aks-nodepool1-")
    assert len(SPEC.digits) == 8
    assert SPEC.digits.isdigit()
