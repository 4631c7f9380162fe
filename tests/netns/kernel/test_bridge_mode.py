"""Bridge mode on the wire: who reaches whom, and what the fabric gets to see."""

from __future__ import annotations

import socket
import threading
from dataclasses import replace

import pytest

from podwire.kernel import wire
from podwire.kernel.netns import NetNamespace
from podwire.kernel.rtnetlink import RtNetlink
from podwire.model import bridge_mode
from podwire.model.errors import KernelError
from podwire.model.vnet import FABRIC_MAC
from tests.netns.kernel.conftest import BRIDGE, GATEWAY, HOST_ROUTED, Lab, Pod, pings, run
from tests.netns.kernel.frames import BROADCAST, tap

REQUEST, REPLY = 1, 2
NOBODY = "00:00:00:00:00:00"


def test_everybody_reaches_everybody(lab: Lab) -> None:
    node1, node2 = lab.nodes["node1"], lab.nodes["node2"]
    pod, neighbour, remote = node1.add_pod(), node1.add_pod(), node2.add_pod()
    for source, target in [
        (pod.namespace, neighbour.ip),
        (pod.namespace, node1.ip),
        (pod.namespace, GATEWAY),
        (pod.namespace, remote.ip),
        (pod.namespace, node2.ip),
        (node1.namespace, pod.ip),
        (node1.namespace, remote.ip),
        (node1.namespace, node2.ip),
        (lab.fabric, pod.ip),
        (lab.fabric, node1.ip),
    ]:
        assert pings(source, target), f"{source} does not reach {target}"


def test_fabric_sees_the_nics_mac_alone(lab: Lab) -> None:
    node = lab.nodes["node1"]
    pod, neighbour, remote = node.add_pod(), node.add_pod(), lab.nodes["node2"].add_pod()
    with tap(lab.fabric, "nic-node1") as fabric:
        for target in (GATEWAY, remote.ip, neighbour.ip, node.ip):
            assert pings(pod.namespace, target)
        assert pings(node.namespace, pod.ip)
        seen = fabric.frames()
    assert {one.src for one in seen} == {node.uplink.mac}
    arps = [one.arp for one in seen if one.arp]
    assert arps, "no ARP at all reached the fabric"
    assert {arp[1] for arp in arps} == {node.uplink.mac}
    at_home = {pod.ip, neighbour.ip, node.ip}
    assert not [arp for arp in arps if arp[0] == REQUEST and arp[4] in at_home]


def test_traffic_between_local_pods_stays_on_the_node_when_macs_were_forgotten(lab: Lab) -> None:
    node = lab.nodes["node1"]
    pod, neighbour = node.add_pod(), node.add_pod()
    assert pings(pod.namespace, neighbour.ip)
    with tap(lab.fabric, "nic-node1") as fabric:
        run(node.namespace, "ip", "link", "set", BRIDGE, "type", "bridge", "fdb_flush")
        assert pings(pod.namespace, neighbour.ip)
        address = socket.inet_aton(neighbour.ip)
        leaked = [one for one in fabric.frames() if address in one.payload]
    assert leaked == []


def test_arp_request_from_outside_is_answered_with_the_nics_mac(lab: Lab) -> None:
    node = lab.nodes["node1"]
    pod, other = node.add_pod(), node.add_pod()
    with tap(lab.fabric, "nic-node1") as fabric, tap(other.namespace, "eth0") as bystander:
        fabric.send_arp(REQUEST, (FABRIC_MAC, GATEWAY), (NOBODY, pod.ip))
        replies = [one for one in fabric.frames(0.2) if one.arp and one.arp[0] == REPLY]
        disturbed = [one for one in bystander.frames(0) if one.arp]
    assert [one.arp for one in replies] == [
        (REPLY, node.uplink.mac, pod.ip, FABRIC_MAC, GATEWAY),
    ]
    assert disturbed == []


def test_arp_reply_goes_to_the_pod_that_asked_alone(lab: Lab) -> None:
    node = lab.nodes["node1"]
    pod, other = node.add_pod(), node.add_pod()
    with tap(pod.namespace, "eth0") as asker, tap(other.namespace, "eth0") as bystander:
        assert pings(pod.namespace, GATEWAY)
        got = [one.arp for one in asker.frames() if one.arp and one.arp[0] == REPLY]
        overheard = [one.arp for one in bystander.frames(0) if one.arp and one.arp[0] == REPLY]
    assert (REPLY, FABRIC_MAC, GATEWAY, pod.network.mac, pod.ip) in got
    assert overheard == []


def test_broadcast_from_the_fabric_is_not_sent_back_to_it(lab: Lab) -> None:
    with tap(lab.fabric, "nic-node1") as fabric:
        fabric.send_arp(REQUEST, (FABRIC_MAC, GATEWAY), (NOBODY, "10.220.2.200"))
        reflected = [one for one in fabric.frames(0.2) if one.dst == BROADCAST]
    assert reflected == []


def test_address_probe_finds_other_holders_and_not_itself(lab: Lab) -> None:
    """Duplicate address detection (RFC 5227): a probe has the sender address 0.0.0.0."""
    node = lab.nodes["node1"]
    pod, other = node.add_pod(), node.add_pod()
    with tap(pod.namespace, "eth0") as line:
        line.send_arp(REQUEST, (pod.network.mac, "0.0.0.0"), (NOBODY, pod.ip))
        assert [one for one in line.frames(0.2) if one.arp] == []
        line.send_arp(REQUEST, (pod.network.mac, "0.0.0.0"), (NOBODY, other.ip))
        holders = [one.arp[1] for one in line.frames(0.2) if one.arp and one.arp[0] == REPLY]
    assert holders == [other.network.mac]


def test_arp_for_the_node_disturbs_no_other_pod(lab: Lab) -> None:
    node = lab.nodes["node1"]
    pod, other = node.add_pod(), node.add_pod()
    with tap(pod.namespace, "eth0") as asker, tap(other.namespace, "eth0") as bystander:
        asker.send_arp(REQUEST, (pod.network.mac, pod.ip), (NOBODY, node.ip))
        replies = [one.arp for one in asker.frames(0.2) if one.arp and one.arp[0] == REPLY]
        assert replies == [(REPLY, node.uplink.mac, node.ip, pod.network.mac, pod.ip)]
        assert [one for one in bystander.frames(0) if one.arp] == []


def test_arp_for_what_is_at_home_never_leaves(lab: Lab) -> None:
    """Address probes and the node's own requests are broadcast; the fabric would answer them."""
    node = lab.nodes["node1"]
    pod, other = node.add_pod(), node.add_pod()
    with (
        tap(lab.fabric, "nic-node1") as fabric,
        tap(pod.namespace, "eth0") as from_pod,
        tap(node.namespace, BRIDGE) as from_node,
    ):
        for address in (other.ip, node.ip, pod.ip):
            from_pod.send_arp(REQUEST, (pod.network.mac, "0.0.0.0"), (NOBODY, address))
            from_node.send_arp(REQUEST, (node.uplink.mac, node.ip), (NOBODY, address))
        assert [one for one in fabric.frames(0.2) if one.arp] == []
        from_node.send_arp(REQUEST, (node.uplink.mac, node.ip), (NOBODY, "10.220.2.200"))
        assert [one.arp[4] for one in fabric.frames(0.2) if one.arp] == ["10.220.2.200"]


def test_pod_hears_nothing_of_its_own_broadcasts(lab: Lab) -> None:
    pod = lab.nodes["node1"].add_pod()
    with tap(pod.namespace, "eth0") as line:
        for target in (pod.ip, "10.220.2.200"):
            line.send_arp(REQUEST, (pod.network.mac, pod.ip), (NOBODY, target))
        assert [one for one in line.frames(0.2) if one.src == pod.network.mac] == []


def test_pod_with_a_stale_neighbour_reaches_an_address_that_moved(lab: Lab) -> None:
    """A new pod has an address of an old one, which another pod still maps to the old MAC."""
    node = lab.nodes["node1"]
    pod, successor = node.add_pod(), node.add_pod()
    run(
        pod.namespace,
        *("ip", "neigh", "replace", successor.ip, "lladdr", "02:de:ad:00:00:01"),
        *("dev", "eth0", "nud", "permanent"),
    )
    assert pings(pod.namespace, successor.ip)


def test_host_routed_address_is_answered_by_the_node(lab: Lab) -> None:
    """ipsToRouteViaHost: NodeLocal DNS on a link of the node."""
    node = lab.nodes["node1"]
    pod = node.add_pod()
    run(node.namespace, "ip", "addr", "add", f"{HOST_ROUTED}/32", "dev", "lo")
    with tap(lab.fabric, "nic-node1") as fabric:
        assert pings(pod.namespace, HOST_ROUTED)
        leaked = [one for one in fabric.frames() if socket.inet_aton(HOST_ROUTED) in one.payload]
    assert leaked == []


def test_large_frames_pass_whole(lab: Lab) -> None:
    pod, remote = lab.nodes["node1"].add_pod(), lab.nodes["node2"].add_pod()
    assert pings(pod.namespace, remote.ip, size=1472)


def test_links_look_as_the_document_shows_them(lab: Lab) -> None:
    node = lab.nodes["node1"]
    pod = node.add_pod()
    with RtNetlink(node.namespace) as door:
        bridge, nic, port = door.link(BRIDGE), door.link("eth0"), door.link(pod.host_veth)
        routes = {(one.dst, one.via, one.ifindex) for one in door.routes()}
        assert bridge is not None
        assert nic is not None
        assert port is not None
        assert [one.cidr for one in door.addresses(bridge.ifindex) if one.scope == 0] == [
            f"{node.ip}/24"
        ]
        assert [one for one in door.addresses(nic.ifindex) if ":" not in one.cidr] == []
    assert (bridge.mac, nic.master, nic.hairpin) == (node.uplink.mac, bridge.ifindex, True)
    assert (port.master, port.hairpin, port.up) == (bridge.ifindex, True, True)
    assert routes == {
        ("0.0.0.0/0", GATEWAY, bridge.ifindex),
        ("10.220.2.0/24", None, bridge.ifindex),
    }
    shown = run(pod.namespace, "ip", "addr", "show", "dev", "eth0")
    assert f"inet {pod.ip}/24 scope global eth0" in shown
    assert "brd" not in shown.split("inet ")[1]
    assert "MULTICAST" in shown
    assert f"eth0@if{port.ifindex}:" in shown


@pytest.mark.parametrize("mtu", [1400, 9000])
def test_mtu_is_the_uplinks(bare_lab: Lab, mtu: int) -> None:
    node = bare_lab.nodes["node1"]
    run(node.namespace, "ip", "link", "set", "eth0", "mtu", str(mtu))
    node.uplink = replace(node.uplink, mtu=mtu)
    node.wiring = bridge_mode.node_wiring(node.uplink, BRIDGE)
    node.realise()
    pod = node.add_pod()
    with RtNetlink(node.namespace) as host, RtNetlink(pod.namespace) as inside:
        found = [host.link(BRIDGE), host.link(pod.host_veth), inside.link("eth0")]
    assert [one.mtu for one in found if one] == [mtu] * 3
    assert wire.observe(pod.wiring, pod.places).objects[0].mtu == mtu  # type: ignore[union-attr]


def test_ten_pods_wired_at_once(lab: Lab) -> None:
    node = lab.nodes["node1"]
    pods = [node.new_pod() for _ in range(10)]
    failures: list[KernelError] = []

    def start(pod: Pod) -> None:
        try:
            pod.realise()
        except KernelError as error:
            failures.append(error)

    threads = [threading.Thread(target=start, args=[pod]) for pod in pods]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert failures == []
    assert all(pings(pods[0].namespace, pod.ip) for pod in pods[1:])


def test_pod_whose_namespace_is_gone_can_be_unwired(lab: Lab) -> None:
    node = lab.nodes["node1"]
    pod = node.add_pod()
    del pod.places["pod"]
    pod.namespace.close()
    pod.unwire()
    with RtNetlink(node.namespace) as door:
        assert door.link(pod.host_veth) is None


def test_threads_stay_where_they_were(lab: Lab) -> None:
    with NetNamespace.current() as before:
        lab.nodes["node1"].add_pod().unwire()
        with NetNamespace.current() as after:
            assert after.inode == before.inode
