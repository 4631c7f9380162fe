"""What the kernel tells a watch of, and what it does not."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from podwire.kernel.netns import NetNamespace
from podwire.kernel.rtnetlink import RtNetlink
from podwire.kernel.watch import Watch

SETUP = """
ip link add br0 type bridge
ip link set br0 up
ip addr add 10.1.0.1/24 dev br0
ip link add other type bridge
sysctl -q -w net.ipv4.ip_forward=0
nft add table bridge t
nft add set bridge t s { type ether_addr; }
nft add chain bridge t c { type filter hook forward priority 0; }
"""


@pytest.fixture
def host() -> Iterator[NetNamespace]:
    with NetNamespace.create() as made:
        for line in SETUP.strip().splitlines():
            run(made, line)
        yield made


def run(host: NetNamespace, command: str) -> None:
    subprocess.run(
        ["nsenter", f"--net={host.path}", *command.split()], check=True, capture_output=True
    )


def watched(host: NetNamespace, command: str) -> bool:
    with RtNetlink(host) as door:
        link = door.link("br0")
    assert link is not None
    watch = Watch(host)
    try:
        watch.follow({link.ifindex, 4711, 4712})
        assert not watch.changed()
        run(host, command)
        changed = watch.changed()
        assert not watch.changed(), "told twice"
        return changed
    finally:
        watch.close()


@pytest.mark.parametrize(
    "command",
    [
        "ip link del br0",
        "ip link set br0 down",
        "ip link set br0 mtu 1400",
        "ip link set br0 address 02:00:00:00:00:07",
        "ip addr del 10.1.0.1/24 dev br0",
        "ip addr add 10.1.0.2/24 dev br0",
        "ip addr add fd00::1/64 dev br0",
        "ip route add default via 10.1.0.9",
        "sysctl -q -w net.ipv4.ip_forward=1",
        "ip route add ::/0 dev br0",
        "nft delete table bridge t",
        "nft flush ruleset",
        "nft add rule bridge t c counter",
        "nft add table ip another",
    ],
)
def test_a_change_to_what_is_watched(host: NetNamespace, command: str) -> None:
    assert watched(host, command)


@pytest.mark.parametrize(
    "command",
    [
        "ip link show",
        "ip link set other up",
        "ip link del other",
        "ip link add another type bridge",
        "ip addr add 10.2.0.1/24 dev other",
        "ip neigh add 10.1.0.9 lladdr 02:00:00:00:00:09 dev br0",
        "ip route add fd00::5/128 dev br0",  # a pod's
        "nft add element bridge t s { 02:00:00:00:00:09 }",
        "nft list ruleset",
    ],
)
def test_no_change_to_what_is_watched(host: NetNamespace, command: str) -> None:
    assert not watched(host, command)


def test_others_routes_are_not_even_heard(host: NetNamespace) -> None:
    watch = Watch(host)
    watch.follow({4711})
    flood(host, "10.9.{}.{}/32")
    assert not watch.changed()
    watch.close()


def test_what_is_lost_counts_as_a_change(host: NetNamespace) -> None:
    watch = Watch(host)
    with RtNetlink(host) as door:
        watch.follow({door.index("br0")})
    run(host, "ip route add fd00::5/128 dev br0")
    assert not watch.changed(), "a pod's route"
    flood(host, "fd00::{}:{}/128")
    assert watch.changed()
    watch.close()


def flood(host: NetNamespace, route: str) -> None:
    with RtNetlink(host) as door:
        index = door.index("br0")
        for number in range(3000):
            door.set_route(route.format(number // 250, number % 250), index)
