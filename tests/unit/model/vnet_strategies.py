"""Any VNets with route tables, groups and peerings, and packets that have something to do with
them: few addresses and ports, so that rules and routes meet."""

from __future__ import annotations

from hypothesis import strategies as st

from podwire.model.effective_security import Packet
from podwire.model.route_table import NextHop, Route, RouteTable
from podwire.model.security import Access, Direction, Protocol, SecurityGroup, SecurityRule
from podwire.model.vnet import Nic, Peering, Subnet, VNet

PREFIXES = (
    "0.0.0.0/0",
    "10.0.0.0/8",
    "10.0.0.0/7",
    "10.1.0.0/16",
    "10.1.2.0/24",
    "10.1.2.4/32",
    "10.2.0.0/16",
    "172.31.0.0/24",
    "192.168.0.0/16",
    "52.0.0.0/8",
)
ADDRESSES = (
    "10.1.2.4",
    "10.1.2.5",
    "10.1.9.9",
    "10.2.0.4",
    "10.9.9.9",
    "11.0.0.1",
    "52.1.2.3",
    "168.63.129.16",
    "172.31.0.4",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
)
TAGS = ("*", "VirtualNetwork", "internet", "AzureLoadBalancer", "AzureCloud.eastus")
USERS_HOPS = tuple(one for one in NextHop if one != NextHop.PEERING)

names = st.text("abcdefgh-", min_size=1, max_size=6)
ports = st.sampled_from(("*", "80", "443", "0-1023", "400-500", "8080-65535"))
places = st.lists(st.sampled_from((*PREFIXES, *ADDRESSES, *TAGS)), min_size=1, max_size=3)


def tuples(items: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(items, min_size=1, max_size=3).map(tuple)


routes = st.builds(
    Route,
    names,
    st.sampled_from(PREFIXES),
    st.sampled_from(USERS_HOPS),
    st.sampled_from(("10.1.2.4", "10.1.2.77")),
)
route_tables = st.builds(
    RouteTable, names, st.lists(routes, max_size=4, unique_by=lambda one: one.prefix).map(tuple)
)
rules = st.builds(
    SecurityRule,
    names,
    st.integers(100, 4096),
    st.sampled_from(Direction),
    st.sampled_from(Access),
    st.sampled_from(Protocol),
    places.map(tuple),
    places.map(tuple),
    tuples(ports),
    tuples(ports),
)
groups = st.builds(
    SecurityGroup,
    names,
    st.lists(rules, max_size=5, unique_by=lambda one: (one.priority, one.direction)).map(tuple),
)
subnets = st.builds(
    Subnet,
    st.just("nodes"),
    st.just("10.1.2.0/24"),
    st.none() | route_tables,
    st.none() | groups,
)
peerings = st.builds(
    Peering, names, st.just("rg/other"), st.just(("10.2.0.0/16",)), st.booleans(), st.booleans()
)
vnets = st.builds(
    VNet,
    names,
    st.just("rg"),
    st.sampled_from(
        (("10.1.0.0/16",), ("10.0.0.0/8",), ("10.0.0.0/7",), ("10.1.0.0/16", "52.0.0.0/8"))
    ),
    st.tuples(subnets, st.just(Subnet("other", "10.1.3.0/24"))),
    st.lists(peerings, max_size=1).map(tuple),
)
packets = st.builds(
    Packet,
    st.none() | st.sampled_from([one for one in Protocol if one != Protocol.ANY]),
    st.sampled_from(ADDRESSES),
    st.sampled_from(ADDRESSES),
    st.sampled_from((0, 80, 443, 1023, 8080, 65535)),
    st.sampled_from((0, 80, 443, 500, 8080, 65535)),
)


def nics(vnet: VNet) -> st.SearchStrategy[Nic]:
    return st.builds(
        Nic,
        names,
        st.just("00:0d:3a:00:00:01"),
        st.just(vnet.subnets[0]),
        st.just(("10.1.2.4", "10.1.2.5")),
        st.booleans(),
        st.none() | groups,
    )


networks = vnets.flatmap(lambda vnet: st.tuples(st.just(vnet), nics(vnet)))
"""(VNet, a NIC of it)"""
