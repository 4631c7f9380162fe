from __future__ import annotations

import json
from dataclasses import astuple, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podwire.model import bridge_mode, transparent_mode
from podwire.model.dual_stack import NEXT_HOP6
from podwire.model.pod_network import PodNetwork, Uplink
from podwire.model.wiring import (
    Address,
    BridgePort,
    Element,
    Neighbour,
    NeighbourProxy,
    Route,
    Sysctl,
    Table,
    Wiring,
)

MAC = "00:0d:3a:8a:50:da"
FOUR = Uplink("eth0", MAC, 1500, ("10.220.2.4/24",), "10.220.2.1")
UPLINK = replace(
    FOUR, addresses6=("2001:db8::4/128",), gateway6=NEXT_HOP6, dual_stack=True, advertised=True
)
LINK, POD_MAC, IP6 = "azv01234567890", "02:11:22:33:44:55", "2001:db8::5"
POD4 = PodNetwork("c" * 64, "azure", "eth0", "10.220.2.5/24", "10.220.2.1", POD_MAC, LINK)
POD = replace(POD4, cidr6=f"{IP6}/64")
INSIDE = [
    Sysctl("pod", "net/ipv6/conf/all/disable_ipv6", "0"),
    Address("pod", "eth0", f"{IP6}/64", prefix_route=False),
]
MODES = [bridge_mode, transparent_mode]


def added(after: Wiring, before: Wiring) -> list[object]:
    """What of `after` is not in `before`; the rest is the same, in the same order."""
    assert [one for one in after if one in list(before)] == list(before)
    return [one for one in after if one not in list(before)]


def test_a_pod_in_bridge_mode() -> None:
    four, both = (bridge_mode.pod_wiring(UPLINK, "azure0", one) for one in (POD4, POD))
    assert added(both, four) == [
        Element("host", "bridge", "azure-vnet", "pod_ip6", IP6),
        Route("host", f"{IP6}/128", "azure0"),
        Neighbour("host", "azure0", IP6, POD_MAC),
        NeighbourProxy("host", "azure0", IP6),
        *INSIDE,
        Neighbour("pod", "eth0", NEXT_HOP6, MAC),
        Route("pod", "::/0", "eth0", via=NEXT_HOP6),
    ]


def test_a_pod_in_transparent_mode() -> None:
    four, both = (transparent_mode.pod_wiring(UPLINK, "", one) for one in (POD4, POD))
    assert added(both, four) == [
        Route("host", f"{IP6}/128", LINK),
        Neighbour("host", LINK, IP6, POD_MAC),
        *INSIDE,
        Neighbour("pod", "eth0", NEXT_HOP6, transparent_mode.HOST_MAC),
        Route("pod", "::/0", "eth0", via=NEXT_HOP6),
    ]


def test_the_bridge_has_the_nics_ipv6_before_the_nic_loses_it_and_forwards_last() -> None:
    objects = list(bridge_mode.node_wiring(UPLINK, "azure0"))
    six = [
        Address("host", "azure0", "fe80::20d:3aff:fe8a:50da/64"),
        Address("host", "azure0", "2001:db8::4/128"),
        BridgePort("host", "eth0", "azure0", hairpin=True),
        Route("host", "::/0", "azure0", via=NEXT_HOP6, onlink=True),
        Address("host", "eth0", "2001:db8::4/128", absent=True),
        Route("host", "::/0", "eth0", absent=True),
        Sysctl("host", "net/ipv6/conf/all/forwarding", "1"),
        Sysctl("host", "net/ipv6/conf/azure0/proxy_ndp", "1"),
    ]
    assert [one for one in objects if one in six] == six


def test_addresses_move_though_pods_have_no_ipv6() -> None:
    uplink = replace(UPLINK, dual_stack=False)
    objects = list(bridge_mode.node_wiring(uplink, "azure0"))
    assert Address("host", "azure0", "2001:db8::4/128") in objects
    assert not [one for one in objects if isinstance(one, Sysctl) and "forwarding" in one.name]
    assert "ip6" not in rules(uplink)


@pytest.mark.parametrize("advertised", [True, False])
def test_a_transparent_node_goes_on_taking_advertisements_that_it_took(advertised: bool) -> None:
    wiring = transparent_mode.node_wiring(replace(UPLINK, advertised=advertised))
    accept = [Sysctl("host", "net/ipv6/conf/eth0/accept_ra", "2")] if advertised else []
    assert list(wiring) == [
        Sysctl("host", "net/ipv4/ip_forward", "1"),
        *accept,
        Sysctl("host", "net/ipv6/conf/all/forwarding", "1"),
    ]


def rules(uplink: Uplink) -> str:
    wiring = bridge_mode.node_wiring(uplink, "azure0", ("169.254.20.10",))
    return next(one.rules for one in wiring if isinstance(one, Table))


def test_rules() -> None:
    assert "ip6" not in rules(FOUR)
    assert "icmpv6" not in rules(FOUR)
    both = rules(replace(UPLINK, name="ens3"))
    assert f'iifname "ens3" icmpv6 type nd-neighbor-solicit ether daddr set {MAC}' in both
    assert 'meta protocol ip6 oifname "ens3" drop' in both
    assert "eth0" not in both
    assert set(rules(FOUR).splitlines()) <= set(rules(UPLINK).splitlines())


@pytest.mark.parametrize("mode", MODES)
def test_two_pods_share_no_object_on_the_host(mode: object) -> None:
    wiring = mode.pod_wiring  # type: ignore[attr-defined]
    other = replace(POD, cidr="10.220.2.6/24", cidr6="2001:db8::6/64", host_link="azv1", mac=MAC)
    keys = [
        {one.key for one in wiring(UPLINK, "azure0", pod) if one.place == "host"}
        for pod in (POD, other)
    ]
    assert not keys[0] & keys[1]


TEXTS = st.lists(st.text(max_size=20), max_size=3).map(tuple)


@given(TEXTS, TEXTS, st.text(max_size=20), st.booleans(), st.booleans())
def test_an_uplink_that_json_kept(
    four: tuple[str, ...], six: tuple[str, ...], gateway: str, dual_stack: bool, advertised: bool
) -> None:
    uplink = Uplink("eth0", MAC, 1400, four, "10.0.0.1", six, gateway, dual_stack, advertised)
    assert Uplink.of(json.loads(json.dumps(astuple(uplink)))) == uplink
    assert uplink.cidrs == four + six
