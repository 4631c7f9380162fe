from __future__ import annotations

from dataclasses import replace

from podwire.cni.narrate import Narrator, go_mask
from podwire.model.bridge_mode import PodNetwork, Uplink, node_wiring, pod_wiring
from podwire.model.dual_stack import NEXT_HOP6
from podwire.model.wiring import Wiring

UPLINK = Uplink("eth0", "00:0d:3a:8a:50:da", 1500, ("10.220.2.4/24",), "10.220.2.1")
CONTAINER = "116419acc6958dbaa1f80380eee6762928ead0caec83d0174fc5daa91a110897"
POD = PodNetwork(CONTAINER, "azure", "eth0", "10.220.2.11/24", "10.220.2.1", "ea:99:18:36:3e:10")


def told(wiring: Wiring, netns: str = "") -> list[str]:
    narrator = Narrator(wiring, netns=netns)
    return [line for one in wiring for line in narrator.making(one)] + list(narrator.made())


def test_a_pods_wiring_in_the_documents_words_and_order() -> None:
    lines = told(pod_wiring(UPLINK, "azure0", POD), "/proc/19263/ns/net")
    quoted = [
        "[net] Creating veth pair azvb1f7346f51b azvb1f7346f51b2.",
        "[net] Adding ARP reply rule for IP address 10.220.2.11/24",
        "[net] Adding static arp for IP address 10.220.2.11/24 and MAC ea:99:18:36:3e:10 in VM",
        "[net] Setting link azvb1f7346f51b2 netns /proc/19263/ns/net.",
        "[net] Adding IP address 10.220.2.11/24 to link eth0.",
    ]
    places = [lines.index(one) for one in quoted]
    assert places == sorted(places)
    assert lines[-1] == "[net] Exiting netns /proc/19263/ns/net."


def test_each_object_of_both_wirings_is_told() -> None:
    for wiring in (pod_wiring(UPLINK, "azure0", POD), node_wiring(UPLINK, "azure0", ("1.2.3.4",))):
        narrator = Narrator(wiring)
        assert all(list(narrator.making(one)) for one in wiring)


def test_the_nodes_wiring() -> None:
    lines = told(node_wiring(UPLINK, "azure0"))
    route = (
        "[net] Adding IP route {Dst:{IP:0.0.0.0 Mask:00000000} Src:<nil> Gw:10.220.2.1 "
        "Protocol:0 DevName: Scope:0 Priority:0} to interface azure0."
    )
    assert route in lines
    for line in (
        "[net] Creating bridge azure0.",
        "[net] Setting link eth0 master azure0.",
        "[net] Adding SNAT rule for egress traffic on eth0.",
        "[net] Adding ARP reply rule for primary IP address 10.220.2.4.",
        "[net] Adding IP address 10.220.2.4/24 to interface azure0.",
        "[net] Deleting IP address 10.220.2.4/24 from interface eth0.",
    ):
        assert line in lines


def test_ipv6_objects() -> None:
    pod, uplink = replace(POD, cidr6="2001:db8::5/64"), replace(UPLINK, dual_stack=True)
    lines = told(pod_wiring(uplink, "azure0", pod))
    inside, rest = "Container namespace", "Protocol:0 DevName: Scope:0 Priority:0} to link eth0."
    quoted = [
        "[net] Adding element 2001:db8::5 to the set pod_ip6.",
        "[net] Adding route for the ip 2001:db8::5/128",
        "[net] Adding static arp for IP address 2001:db8::5/64 and MAC ea:99:18:36:3e:10 in VM",
        "[net] Adding neighbour discovery reply for IP address 2001:db8::5/64",
        "[net] Setting sysctl net.ipv6.conf.all.disable_ipv6=0",
        "[net] Adding IP address 2001:db8::5/64 to link eth0.",
        f"[net] Adding static arp for IP address {NEXT_HOP6} and MAC {UPLINK.mac} in {inside}",
        f"[net] Adding IP route {{Dst:{{IP::: Mask:{'0' * 32}}} Src:<nil> Gw:{NEXT_HOP6} {rest}",
    ]
    assert [one for one in lines if one in quoted] == quoted
    assert lines.count("[net] Setting link eth0 state up.") == 1
    node = replace(uplink, addresses6=("2001:db8::4/64",), gateway6="fe80::1")
    for wiring in (pod_wiring(uplink, "azure0", pod), node_wiring(node, "azure0")):
        assert all(list(Narrator(wiring).making(one)) for one in wiring)
    assert "primary IP address 2001" not in " ".join(told(node_wiring(node, "azure0")))


def test_a_removal() -> None:
    wiring = pod_wiring(UPLINK, "azure0", POD)
    narrator = Narrator(wiring, endpoint="116419ac-eth0")
    lines = [line for one in wiring for line in narrator.removing(one)]
    rule = "[net] Deleting ARP reply rule for IP address 10.220.2.11/24 on 116419ac-eth0."
    assert rule in lines
    assert "[net] Deleting veth pair azvb1f7346f51b azvb1f7346f51b2." in lines


def test_masks() -> None:
    assert [go_mask(one) for one in ("0", "24", "32")] == ["00000000", "ffffff00", "ffffffff"]
    assert go_mask("64", 128) == "f" * 16 + "0" * 16
