"""Where packets go when a subnet has a route table, and that only its NICs follow it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from podwire.kernel import policy_routes, wire
from podwire.kernel.rtnetlink import RtNetlink
from podwire.model.cluster import PLATFORM_ADDRESS
from podwire.model.effective_routes import effective_routes, route_to
from podwire.model.errors import InvalidInputError, KernelError
from podwire.model.route_table import NextHop, Route, RouteTable
from podwire.model.vnet import FABRIC_MAC, IMDS, WIRE_SERVER, Subnet, VNet
from podwire.model.wiring import diff
from podwire.vnet.segments import FABRIC
from podwire.vnet.steering import steering

from .frames import arp_request, ping, udp
from .site import PORT, Site

WEB, APP, HUB = (Subnet(f"s{third}", f"10.220.{third}.0/24") for third in (1, 2, 3))
NVA = "10.220.3.4"


def via(prefix: str, hop: str = NVA) -> Route:
    return Route(prefix.replace("/", "-"), prefix, NextHop.VIRTUAL_APPLIANCE, hop)


def to(prefix: str, hop: NextHop) -> Route:
    return Route(prefix.replace("/", "-"), prefix, hop)


def vnet(*routes: Route) -> VNet:
    """Subnet s1 has a table of these routes."""
    table = RouteTable("table", routes) if routes else None
    web = replace(WEB, route_table=table)
    return VNet("aksvnet", "NetworkLab", ("10.220.0.0/16",), (web, APP, HUB))


@pytest.fixture
def site() -> Iterator[Site]:
    with ExitStack() as stack:
        made = Site.build(vnet(), stack)
        made.add("web", "s1", "10.220.1.4", "10.220.1.5")
        made.add("app", "s2", "10.220.2.4", "10.220.2.5")
        made.add("nva", "s3", NVA, ip_forwarding=True)
        yield made


DESTINATIONS = (
    "10.220.2.4",
    "10.220.2.5",
    "10.220.1.5",
    "10.220.2.99",
    "10.220.3.4",
    "10.9.9.9",
    "172.16.5.5",
    "192.168.1.1",
    "198.51.100.9",
    "10.244.1.7",
    "10.244.2.7",
)


@pytest.mark.parametrize(
    "routes",
    [
        pytest.param((), id="no table"),
        pytest.param((via("10.220.2.0/24"),), id="a subnet through the appliance"),
        pytest.param((via("10.220.0.0/16"),), id="the VNet's own prefix"),
        pytest.param((via("0.0.0.0/0"),), id="everything outside"),
        pytest.param((via("0.0.0.0/0"), via("10.0.0.0/8")), id="a reserved range, too"),
        pytest.param((to("10.220.2.5/32", NextHop.NONE),), id="one address to nowhere"),
        pytest.param(
            (to("10.220.2.0/24", NextHop.NONE), to("10.220.2.4/32", NextHop.VNET_LOCAL)),
            id="and one back from nowhere",
        ),
        pytest.param((to("10.220.2.0/24", NextHop.GATEWAY),), id="a gateway that is not there"),
        pytest.param((to("10.220.2.0/24", NextHop.INTERNET),), id="out, which is closed"),
        pytest.param((via("10.244.1.0/24", "10.220.2.4"),), id="pods of a node that forwards not"),
        pytest.param((via("10.244.1.0/24"), via("10.244.2.0/24")), id="pods of one that does"),
        pytest.param((via("0.0.0.0/0", "10.220.3.77"),), id="an appliance that is not there"),
    ],
)
def test_packets_go_where_the_effective_routes_say(site, routes):
    wanted = vnet(*routes)
    site.fabric.update(wanted)
    for destination in DESTINATIONS:
        assert site.reaches("web", destination) == receivers(site, wanted, destination), destination


def receivers(site: Site, wanted: VNet, destination: str) -> tuple[str, ...]:
    """By the pure model alone."""
    taken = route_to(destination, effective_routes(site.hosts["web"].nic, wanted))
    others = [host.nic for host in site.hosts.values()]
    if taken.next_hop_type == NextHop.VIRTUAL_APPLIANCE:
        hops = [nic for nic in others if taken.next_hop_ip in nic.addresses]
        return tuple(nic.name for nic in hops if nic.ip_forwarding)
    if taken.next_hop_type == NextHop.VNET_LOCAL:
        return tuple(nic.name for nic in others if destination in nic.addresses)
    return ()


def test_only_the_subnets_own_nics_follow_its_table(site):
    site.fabric.update(vnet(via("10.220.0.0/16")))
    assert site.reaches("app", "10.220.1.4") == ("web",)
    assert site.reaches("nva", "10.220.2.4", source="10.220.1.4") == ("app",)
    assert site.reaches("web", "10.220.2.4") == ("nva",)


def test_what_an_appliance_gets_has_its_mac_and_the_senders_addresses(site):
    site.fabric.update(vnet(via("10.220.2.0/24")))
    web, nva = site.hosts["web"], site.hosts["nva"]
    frame = udp(FABRIC_MAC, web.nic.mac, "10.220.1.5", "10.220.2.5", b"by the way", PORT)
    web.tap.send(frame)
    seen = nva.tap.frame_with(b"by the way")
    assert (seen.dst, seen.src) == (nva.nic.mac, FABRIC_MAC)
    assert seen.payload[12:20] == socket.inet_aton("10.220.1.5") + socket.inet_aton("10.220.2.5")


@pytest.mark.parametrize("target", ["10.220.1.1", "10.220.1.77", "10.220.2.5", "198.51.100.9"])
def test_arp_is_answered_as_ever(site, target):
    """Also where the way to the target leads back to who asks."""
    site.fabric.update(vnet(via("10.220.0.0/16", "10.220.1.4"), via("0.0.0.0/0", "10.220.1.4")))
    site.change("web", ip_forwarding=True)
    web = site.hosts["web"]
    web.tap.send(arp_request(web.nic.mac, web.nic.mac, "10.220.1.5", target))
    assert web.tap.arp_reply().arp_sender == (FABRIC_MAC, target)


def test_an_answer_through_an_appliance_that_routes(site):
    """A real kernel forwards: the echo goes web, nva, app; the answer app, web."""
    site.fabric.update(vnet(via("10.220.2.0/24")))
    nva = site.hosts["nva"]
    with nva.namespace.entered(), open("/proc/sys/net/ipv4/ip_forward", "w") as file:
        file.write("1")
    assert ping(site.hosts["web"].namespace, "10.220.2.4") == "10.220.2.4"
    assert any(one.kind == 0x0800 and one.payload[9] == 1 for one in nva.tap.received())


def test_the_platform_is_reached_whatever_the_table_says(site):
    site.fabric.update(vnet(to("0.0.0.0/0", NextHop.NONE), to("168.0.0.0/8", NextHop.NONE)))
    space = site.hosts["web"].namespace
    for address in (WIRE_SERVER, IMDS):
        assert ping(space, address) == address


def test_what_plays_a_public_address_goes_where_public_addresses_go(site):
    """172.31.0.4 lies in a range that Azure's own routes lead nowhere."""
    space = site.hosts["web"].namespace
    site.fabric.update(vnet(via("10.9.0.0/16")))
    assert ping(space, PLATFORM_ADDRESS) == PLATFORM_ADDRESS
    site.fabric.update(vnet(via("0.0.0.0/0")))
    assert site.reaches("web", PLATFORM_ADDRESS) == ("nva",)
    site.fabric.update(vnet(via("0.0.0.0/0"), to("172.31.0.0/16", NextHop.INTERNET)))
    assert site.reaches("web", PLATFORM_ADDRESS) == ()


def test_an_appliance_that_goes_is_not_passed_by(site):
    """Not even when its node dies and the kernel takes its routes away."""
    site.fabric.update(vnet(via("10.220.2.0/24")))
    site.fabric.detach("nva")
    gone = site.hosts.pop("nva")
    assert site.reaches("web", "10.220.2.4") == ()
    site.fabric.attach(gone.nic, gone.namespace)
    with RtNetlink(gone.namespace) as door:
        door.delete_link(door.index("eth0"))
    before = site.fabric.drops().unowned
    assert site.reaches("web", "10.220.2.4") == ()
    assert site.fabric.drops().unowned == before + 1
    site.plug(gone.nic)
    assert site.reaches("web", "10.220.2.4") == ("nva",)


def test_the_forwarding_flag_opens_both_ways(site):
    site.fabric.update(vnet(via("10.244.1.0/24", "10.220.2.4")))
    before = site.fabric.drops().spoofed
    assert site.reaches("app", "10.220.1.4", source="10.244.1.7") == ()
    assert site.fabric.drops().spoofed == before + 1
    site.change("app", ip_forwarding=True)
    assert site.reaches("app", "10.220.1.4", source="10.244.1.7") == ("web",)
    assert site.reaches("web", "10.244.1.7") == ("app",)
    site.change("app", ip_forwarding=False)
    assert site.reaches("app", "10.220.1.4", source="10.244.1.7") == ()
    assert site.reaches("web", "10.244.1.7") == ()


def test_a_forwarder_has_its_own_mac_all_the_same(site):
    frame = udp(FABRIC_MAC, "00:0d:3a:00:00:99", NVA, "10.220.1.4", b"liar", PORT)
    assert site.sees("nva", frame, lambda one: one == b"liar") == ()


def test_the_kernel_has_what_the_scene_says_and_nothing_more_after_changes(site):
    for routes in ((via("0.0.0.0/0"),), (via("10.220.2.0/24"), via("10.244.1.0/24")), ()):
        site.fabric.update(vnet(*routes))
        wanted, places = steering(site.fabric._scene), {FABRIC: site.fabric.namespace}
        assert diff(wanted, wire.observe(wanted, places)) == ()
    with RtNetlink(site.fabric.namespace) as door:
        assert policy_routes.ruled_tables(door) == set()
        for table in range(1000, 1004):
            assert policy_routes.routes(door, table) == []


def test_what_cannot_be_made_changes_nothing(site, monkeypatch):
    """Here nft is not to be found, when the new routes are in the kernel already."""
    before = vnet(via("10.220.2.0/24"))
    site.fabric.update(before)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", "/nowhere")
        with pytest.raises(KernelError, match="install nftables"):
            site.fabric.update(replace(vnet(via("0.0.0.0/0")), prefixes=("10.220.0.0/15",)))
    assert site.fabric.vnet == before
    assert site.reaches("web", "10.220.2.4") == ("nva",)
    with RtNetlink(site.fabric.namespace) as door:
        assert len(policy_routes.ruled_tables(door)) == 1
    site.fabric.update(vnet())
    assert site.reaches("web", "10.220.2.4") == ("app",)


def test_a_subnet_in_use_stays_and_the_rest_may_go(site):
    smaller = VNet("aksvnet", "NetworkLab", ("10.220.0.0/16",), (WEB, APP))
    with pytest.raises(InvalidInputError, match="Subnet s3 is in use by nva") as refused:
        site.fabric.update(smaller)
    assert refused.value.code == "InUseSubnetCannotBeDeleted"
    moved = replace(smaller, subnets=(WEB, APP, replace(HUB, prefix="10.220.3.0/25")))
    with pytest.raises(
        InvalidInputError, match=r"IpPrefix 10\.220\.3\.0/24 on Subnet s3"
    ) as refused:
        site.fabric.update(moved)
    assert refused.value.code == "InUsePrefixCannotBeDeleted"
    site.fabric.detach("nva")
    site.fabric.update(smaller)
    assert [one.name for one in site.fabric.vnet.subnets] == ["s1", "s2"]


def test_a_new_prefix_is_the_vnets_at_once(site):
    wider = replace(vnet(), prefixes=("10.220.0.0/16", "198.51.100.0/24"))
    more = replace(wider, subnets=(*wider.subnets, Subnet("s9", "198.51.100.0/24")))
    site.fabric.update(more)
    site.add("new", "s9", "198.51.100.4")
    assert site.reaches("web", "198.51.100.4") == ("new",)
    assert site.reaches("new", "10.220.1.4") == ("web",)
