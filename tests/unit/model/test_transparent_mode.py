from __future__ import annotations

from podwire.model import transparent_mode
from podwire.model.bridge_mode import PodNetwork, Uplink
from podwire.model.wiring import Address, Neighbour, Route, Sysctl, Veth

UPLINK = Uplink("eth0", "00:0d:3a:8a:50:da", 1400, ("10.220.2.4/24",), "10.220.2.1")
LINK, POD_MAC, HOST_MAC = "azvde46f835af8", "ea:99:18:36:3e:10", "aa:aa:aa:aa:aa:aa"
POD = PodNetwork("c" * 64, "azure", "eth0", "10.220.2.11/24", "10.220.2.1", POD_MAC, LINK)


def test_the_hosts_end_is_named_after_the_pod() -> None:
    assert transparent_mode.pod_veth_name("default", "nginx-7cf567cc7-bgc82") == LINK


def test_the_nodes_card_is_left_alone() -> None:
    assert list(transparent_mode.node_wiring(UPLINK, "azure0", ("169.254.20.10",))) == [
        Sysctl("host", "net/ipv4/ip_forward", "1")
    ]


def test_pod_wiring() -> None:
    assert list(transparent_mode.pod_wiring(UPLINK, "", POD)) == [
        Veth("host", LINK, "pod", "eth0", mac=HOST_MAC, peer_mac=POD_MAC, mtu=1400),
        Sysctl("host", f"net/ipv6/conf/{LINK}/accept_ra", "0"),
        Route("host", "10.220.2.11/32", LINK),
        Neighbour("host", LINK, "10.220.2.11", POD_MAC),
        Sysctl("pod", "net/ipv6/conf/eth0/accept_ra", "0"),
        Address("pod", "eth0", "10.220.2.11/24", prefix_route=False),
        Route("pod", "169.254.1.1/32", "eth0"),
        Neighbour("pod", "eth0", "169.254.1.1", HOST_MAC),
        Route("pod", "0.0.0.0/0", "eth0", via="169.254.1.1"),
    ]


def test_without_a_pods_name_the_link_is_named_as_in_bridge_mode() -> None:
    unnamed = PodNetwork("c" * 64, "azure", "eth0", "10.220.2.11/24", "10.220.2.1", POD_MAC)
    (veth, *_) = transparent_mode.pod_wiring(UPLINK, "", unnamed)
    assert isinstance(veth, Veth)
    assert veth.name.startswith("azv")
    assert len(veth.name) == 14
    assert veth.name != LINK
