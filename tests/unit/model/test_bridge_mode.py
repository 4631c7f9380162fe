from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from podwire.model import bridge_mode
from podwire.model.bridge_mode import PodNetwork, Uplink
from podwire.model.wiring import (
    Address,
    Bridge,
    BridgePort,
    Element,
    Neighbour,
    Route,
    Sysctl,
    Table,
    Veth,
)

DOCUMENTED = "116419acc6958dbaa1f80380eee6762928ead0caec83d0174fc5daa91a110897"
"""The container of the document whose interface is azvb1f7346f51b."""
MAC = "00:0d:3a:8a:50:da"
UPLINK = Uplink("eth0", MAC, 1500, ("10.220.2.4/24",), "10.220.2.1")
POD = PodNetwork(DOCUMENTED, "azure", "eth0", "10.220.2.11/24", "10.220.2.1", "ea:99:18:36:3e:10")


def test_names_are_azures() -> None:
    assert bridge_mode.host_veth_name("azure", DOCUMENTED, "eth0") == "azvb1f7346f51b"
    assert bridge_mode.peer_veth_name("azure", DOCUMENTED, "eth0") == "azvb1f7346f51b2"
    assert bridge_mode.endpoint_id(DOCUMENTED, "eth0") == "116419ac-eth0"


@given(st.text(max_size=20), st.text(max_size=70), st.text(max_size=15))
def test_names_fit_into_a_link_name(network: str, container: str, ifname: str) -> None:
    assert len(bridge_mode.host_veth_name(network, container, ifname)) == 14
    assert len(bridge_mode.peer_veth_name(network, container, ifname)) == 15


@given(st.text(max_size=20), st.text(max_size=70), st.text(max_size=15))
def test_pod_mac_is_unicast_local_and_stable(network: str, container: str, ifname: str) -> None:
    mac = bridge_mode.pod_mac(network, container, ifname)
    assert mac == bridge_mode.pod_mac(network, container, ifname)
    assert int(mac[:2], 16) & 0b11 == 0b10
    assert len(bytes.fromhex(mac.replace(":", ""))) == 6


def test_node_wiring() -> None:
    wiring = bridge_mode.node_wiring(UPLINK, "azure0", ("169.254.20.10",))
    table = next(one for one in wiring if isinstance(one, Table))
    assert list(wiring) == [
        Bridge("host", "azure0", MAC, 1500),
        Sysctl("host", "net/ipv6/conf/azure0/accept_ra", "0"),
        table,
        Address("host", "azure0", "10.220.2.4/24"),
        BridgePort("host", "eth0", "azure0", hairpin=True),
        Route("host", "0.0.0.0/0", "azure0", via="10.220.2.1"),
        Address("host", "eth0", "10.220.2.4/24", absent=True),
        Route("host", "0.0.0.0/0", "eth0", absent=True),
        Route("host", "168.63.129.16/32", "eth0", absent=True),
        Route("host", "169.254.169.254/32", "eth0", absent=True),
    ]
    assert (table.place, table.family, table.name) == ("host", "bridge", "azure-vnet")


def test_bridge_has_the_address_before_the_nic_loses_it() -> None:
    """An order that never leaves the node without its address, nor the address without a route."""
    uplink = Uplink("eth0", MAC, 1500, ("10.220.2.4/24", "10.220.2.5/24"), "10.220.2.1")
    objects = list(bridge_mode.node_wiring(uplink, "azure0"))
    at = [objects.index(Address("host", "azure0", one)) for one in uplink.addresses]
    gone = [objects.index(Address("host", "eth0", one, absent=True)) for one in uplink.addresses]
    port = objects.index(BridgePort("host", "eth0", "azure0", hairpin=True))
    route = objects.index(Route("host", "0.0.0.0/0", "azure0", via="10.220.2.1"))
    assert max(at) < port < route < min(gone)


def test_rules_know_the_nic_and_the_nodes_addresses() -> None:
    uplink = Uplink("ens3", MAC, 1500, ("10.220.2.4/24", "10.220.2.5/24"), "10.220.2.1")
    rules = _rules(uplink, ())
    assert "elements = { 10.220.2.4, 10.220.2.5 }" in rules
    assert 'oifname "ens3" jump to_fabric' in rules
    assert f"arp saddr ether set {MAC}" in rules
    assert "eth0" not in rules
    assert "host_routed" not in rules


def test_rules_of_host_routed_addresses() -> None:
    rules = _rules(UPLINK, ("169.254.20.10", "169.254.20.11"))
    assert "elements = { 169.254.20.10, 169.254.20.11 }" in rules
    assert f"ip daddr @host_routed ether daddr set {MAC} meta pkttype set host" in rules


def test_pod_sets_are_open() -> None:
    """No elements in the rules: so they keep theirs when the table is replaced."""
    for name in ("map pod_mac", "set loop"):
        block = _rules(UPLINK, ()).split(name)[1].split("}")[0]
        assert "elements" not in block


def _rules(uplink: Uplink, host_routed: tuple[str, ...]) -> str:
    wiring = bridge_mode.node_wiring(uplink, "azure0", host_routed)
    return next(one.rules for one in wiring if isinstance(one, Table))


HOST_MAC = "ee:99:18:36:3e:10"
"""The pod's with another bit in its first byte, which stays a local unicast address's."""


def test_pod_wiring() -> None:
    port = "azvb1f7346f51b"
    assert list(bridge_mode.pod_wiring(UPLINK, "azure0", POD)) == [
        Veth("host", port, "pod", "eth0", HOST_MAC, POD.mac, mtu=1500),
        BridgePort("host", port, "azure0", hairpin=True),
        Element("host", "bridge", "azure-vnet", "pod_mac", "10.220.2.11", POD.mac),
        Element("host", "bridge", "azure-vnet", "loop", f"{port} . {port}"),
        Neighbour("host", "azure0", "10.220.2.11", POD.mac),
        Sysctl("pod", "net/ipv6/conf/eth0/accept_ra", "0"),
        Address("pod", "eth0", "10.220.2.11/24"),
        Route("pod", "0.0.0.0/0", "eth0", via="10.220.2.1"),
    ]


def test_two_pods_share_no_object() -> None:
    other = PodNetwork(
        "b" * 64, "azure", "eth0", "10.220.2.12/24", "10.220.2.1", "02:00:00:00:00:01"
    )
    keys = [
        {one.key for one in bridge_mode.pod_wiring(UPLINK, "azure0", pod) if one.place == "host"}
        for pod in (POD, other)
    ]
    assert not keys[0] & keys[1]
