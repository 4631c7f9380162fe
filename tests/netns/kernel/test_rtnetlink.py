"""rtnetlink by hand, compared with what `ip` and `bridge` show."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator

import pytest

from podwire.kernel.netns import NetNamespace
from podwire.kernel.rtnetlink import AddressEntry, NeighbourEntry, RouteEntry, RtNetlink
from podwire.model.errors import KernelError
from tests.netns.kernel.conftest import run


@pytest.fixture
def here() -> Iterator[NetNamespace]:
    with NetNamespace.create() as one:
        yield one


@pytest.fixture
def there() -> Iterator[NetNamespace]:
    with NetNamespace.create() as one:
        yield one


@pytest.fixture
def door(here: NetNamespace) -> Iterator[RtNetlink]:
    with RtNetlink(here) as one:
        yield one


@pytest.fixture
def nic(door: RtNetlink, there: NetNamespace) -> int:
    """A link that is up with a carrier."""
    door.create_veth("nic", "far", there)
    run(there, "ip", "link", "set", "far", "up")
    return door.index("nic")


def test_veth_whose_peer_is_born_elsewhere(
    door: RtNetlink, here: NetNamespace, there: NetNamespace
) -> None:
    door.create_veth(
        "a", "b", there, mac="02:00:00:00:00:0a", peer_mac="02:00:00:00:00:0b", mtu=1400
    )
    with RtNetlink(there) as other:
        mine, peer = door.link("a"), other.link("b")
        assert mine is not None
        assert peer is not None
        assert (mine.mac, mine.mtu, mine.up, mine.kind) == ("02:00:00:00:00:0a", 1400, True, "veth")
        assert (peer.mac, peer.mtu, peer.up) == ("02:00:00:00:00:0b", 1400, False)
        assert (mine.peer, peer.peer) == (peer.ifindex, mine.ifindex)
        assert mine.peer_nsid == door.nsid(there)
        assert peer.peer_nsid == other.nsid(here)
    with NetNamespace.create() as third:
        assert door.nsid(third) is None


def test_changes_leave_other_flags_alone(door: RtNetlink, here: NetNamespace, nic: int) -> None:
    door.create_bridge("br", "02:00:00:00:00:01", 1500)
    door.set_link(nic, up=False)
    door.set_link(nic, mac="02:00:00:00:00:0c", mtu=1300)
    door.set_link(nic, master=door.index("br"), up=True)
    shown = run(here, "ip", "link", "show", "nic")
    assert "MULTICAST" in shown
    assert "mtu 1300" in shown
    assert "master br" in shown
    assert "link/ether 02:00:00:00:00:0c" in shown
    door.set_link(nic, master=0)
    assert "master" not in run(here, "ip", "link", "show", "nic")


def test_bridge_keeps_its_mac(door: RtNetlink, here: NetNamespace, there: NetNamespace) -> None:
    """By default a bridge takes the numerically lowest MAC of its ports, and changes with them."""
    door.create_bridge("br", "60:45:bd:00:00:01", 1500)
    door.create_veth("low", "far", there, mac="02:00:00:00:00:01")
    door.set_link(door.index("low"), master=door.index("br"))
    found = door.link("br")
    assert found is not None
    assert (found.mac, found.kind, found.up) == ("60:45:bd:00:00:01", "bridge", True)
    shown = run(here, "ip", "-d", "link", "show", "br")
    assert "stp_state 0" in shown
    assert "bridge_id 8000.60:45:bd:0:0:1" in shown


def test_port_flags(door: RtNetlink, here: NetNamespace, nic: int) -> None:
    door.create_bridge("br", "02:00:00:00:00:01", 1500)
    door.set_link(nic, master=door.index("br"))
    for hairpin, suppress in ((True, False), (False, True), (False, False)):
        door.set_port(nic, hairpin=hairpin, neigh_suppress=suppress)
        found = door.link("nic")
        assert found is not None
        assert (found.hairpin, found.neigh_suppress) == (hairpin, suppress)
        shown = run(here, "bridge", "-d", "link", "show", "dev", "nic")
        assert f"hairpin {'on' if hairpin else 'off'}" in shown
        assert f"neigh_suppress {'on' if suppress else 'off'}" in shown
        assert "learning on flood on" in shown


def test_link_that_passes_frames_is_active(door: RtNetlink, there: NetNamespace) -> None:
    door.create_veth("nic", "far", there)
    found = door.link("nic")
    assert found is not None
    assert (found.up, found.active) == (True, False)
    run(there, "ip", "link", "set", "far", "up")
    found = door.link("nic")
    assert found is not None
    assert found.active


def test_links_lists_all(door: RtNetlink, there: NetNamespace) -> None:
    for at in range(120):
        door.create_veth(f"v{at}", f"p{at}", there)
    assert {one.name for one in door.links()} == {"lo", *(f"v{at}" for at in range(120))}


def test_addresses(door: RtNetlink, here: NetNamespace, nic: int) -> None:
    door.add_address(nic, "10.0.0.4/24")
    run(here, "ip", "addr", "add", "10.9.0.4/24", "dev", "lo")
    assert AddressEntry(nic, "10.0.0.4/24", 0) in door.addresses(nic)
    assert {one.ifindex for one in door.addresses(nic)} == {nic}
    assert len({one.ifindex for one in door.addresses()}) == 2
    shown = run(here, "ip", "-4", "addr", "show", "dev", "nic")
    assert "inet 10.0.0.4/24 scope global nic" in shown
    door.delete_address(nic, "10.0.0.4/24")
    assert [one for one in door.addresses(nic) if ":" not in one.cidr] == []


def test_routes(door: RtNetlink, here: NetNamespace, nic: int) -> None:
    door.add_address(nic, "10.0.0.4/24")
    door.set_route("0.0.0.0/0", nic, via="10.0.0.1")
    door.set_route("10.5.0.0/16", nic)
    assert set(door.routes()) == {
        RouteEntry("0.0.0.0/0", nic, "10.0.0.1", False, 0, 4),
        RouteEntry("10.5.0.0/16", nic, None, False, 0, 4),
        RouteEntry("10.0.0.0/24", nic, None, False, 0, 2),
    }
    shown = run(here, "ip", "route")
    assert "default via 10.0.0.1 dev nic proto static" in shown
    assert "10.5.0.0/16 dev nic proto static scope link" in shown
    run(here, "ip", "route", "add", "default", "via", "10.0.0.1", "metric", "100")
    for _ in range(2):
        door.delete_route("0.0.0.0/0", nic)
    assert "default" not in run(here, "ip", "route")


def test_neighbours(door: RtNetlink, here: NetNamespace, nic: int) -> None:
    assert door.neighbour(nic, "10.0.0.7") is None
    door.set_neighbour(nic, "10.0.0.7", "02:00:00:00:00:07")
    wanted = NeighbourEntry(nic, "10.0.0.7", "02:00:00:00:00:07", True)
    assert door.neighbour(nic, "10.0.0.7") == wanted
    assert wanted in door.neighbours(nic)
    assert "10.0.0.7 lladdr 02:00:00:00:00:07 PERMANENT" in run(
        here, "ip", "neigh", "show", "dev", "nic"
    )
    door.delete_neighbour(nic, "10.0.0.7")
    assert door.neighbour(nic, "10.0.0.7") is None


def test_refusals_carry_the_kernels_number(door: RtNetlink, nic: int, there: NetNamespace) -> None:
    assert door.link("none") is None
    assert door.link("a-name-that-is-too-long-for-a-link") is None
    refused: dict[int, Callable[[], None]] = {
        errno.EEXIST: lambda: door.create_veth("nic", "far2", there),
        errno.ENETUNREACH: lambda: door.set_route("10.7.0.0/16", nic, via="192.0.2.1"),
        errno.EADDRNOTAVAIL: lambda: door.delete_address(nic, "10.0.0.9/24"),
        errno.ESRCH: lambda: door.delete_route("10.7.0.0/16", nic),
        errno.ENODEV: lambda: door.delete_link(4000),
        errno.ENOENT: lambda: door.delete_neighbour(nic, "10.0.0.9"),
        errno.EINVAL: lambda: door.add_address(nic, "10.0.0.9/33"),
    }
    for number, request in refused.items():
        with pytest.raises(KernelError) as caught:
            request()
        assert caught.value.errno == number, str(caught.value)


def test_kernels_explanation_is_passed_on(door: RtNetlink, nic: int) -> None:
    with pytest.raises(KernelError, match=r"unreachable \(Nexthop has invalid gateway\)"):
        door.set_route("10.7.0.0/16", nic, via="192.0.2.1")
