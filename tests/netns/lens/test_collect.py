"""What the collector says of a namespace against what the system's own programs say of it then."""

from __future__ import annotations

import ipaddress
import json
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

import pytest

from podwire.kernel.netns import NetNamespace
from podwire.lens.collect import Place, Site, collect
from podwire.lens.snapshot import Snapshot, Space

HOST, POD = "other/host", "other/pod"
_TO_HOST = """\
ip link set lo up
ip link add azure0 type bridge
ip link add p1 type veth peer name q1
ip link add p2 type veth peer name q2
ip link add d0 type bridge
ip link set p1 master azure0
ip link set p2 master azure0
ip link set p1 mtu 1400
bridge link set dev p1 hairpin on
bridge link set dev p2 neigh_suppress on
ip addr add 10.9.0.1/24 dev azure0
ip addr add fd09::1/64 dev azure0 nodad
ip addr add 10.8.0.1/32 dev d0
ip link set azure0 up
ip link set p1 up
ip link set q1 up
ip link set d0 up
ip route add default via 10.9.0.254 dev azure0
ip route add 10.7.0.0/16 via 10.9.0.253 metric 50 src 10.9.0.1
ip route add 10.6.0.0/16 nexthop via 10.9.0.251 nexthop via 10.9.0.252
ip route add 10.5.0.0/16 via 192.0.2.1 dev d0 onlink table 77
ip route add blackhole 10.4.0.0/16
ip route add unreachable 10.3.0.0/16
ip route add prohibit 10.2.0.0/16 table 77
ip -6 route add fd08::/64 via fd09::2
ip rule add fwmark 0x10/0xf0 lookup 77 priority 100
ip rule add from 10.9.0.0/24 to 10.5.0.0/16 iif azure0 lookup 77 priority 110
ip rule add not from 10.9.0.9 iif d0 blackhole priority 120
ip -6 rule add oif d0 lookup 77 priority 130
ip neigh add 10.9.0.5 lladdr 02:00:00:00:00:05 dev azure0 nud permanent
ip neigh add 10.9.0.6 lladdr 02:00:00:00:00:06 dev azure0 nud stale
ip neigh add 10.9.0.7 dev azure0 nud failed
ip neigh add proxy 10.9.0.8 dev azure0
bridge fdb add 02:00:00:00:00:15 dev p1 master static
sysctl -qw net.ipv4.ip_forward=1
sysctl -qw net.ipv4.conf.p1.rp_filter=2
sysctl -qw net.ipv4.conf.azure0.proxy_arp=1
nft add table bridge azure
nft add chain bridge azure pre { type filter hook prerouting priority -300; }
nft add map bridge azure macs { type ipv4_addr : ether_addr; }
nft add element bridge azure macs { 10.9.0.5 : 02:00:00:00:00:05 }
nft add rule bridge azure pre arp operation request counter drop
iptables-nft -t nat -A POSTROUTING -s 10.9.0.0/24 -j MASQUERADE
iptables-nft -t nat -N KUBE-SVC-A
iptables-nft -t nat -A KUBE-SVC-A -m statistic --mode random --probability 0.5 -j RETURN
ip6tables-nft -A INPUT -s fd00::/8 -m comment --comment "a b" -j ACCEPT
iptables-legacy -P FORWARD DROP
iptables-legacy -A FORWARD -d 10.9.0.9 -j ACCEPT
ipset create allowed hash:ip
ipset add allowed 10.9.0.9
conntrack -I -p tcp -s 10.9.0.2 -d 10.9.0.9 --sport 4000 --dport 80 --state ESTABLISHED -t 999 -m 7
conntrack -I -p udp -s 10.9.0.2 -d 10.9.0.9 --sport 53 --dport 53 -t 999 -g 10.9.0.77
"""


class Made(NamedTuple):
    """bound: (protocol, address, port) of sockets that wait in the host."""

    host: NetNamespace
    pod: NetNamespace
    bound: set[tuple[str, str, int]]


@pytest.fixture(scope="module")
def made() -> Iterator[Made]:
    with ExitStack() as stack:
        host, pod = (stack.enter_context(NetNamespace.create()) for _ in range(2))
        for line in _TO_HOST.splitlines():
            brackets = line.startswith("nft ")
            run(host, *(line.split(" ", 1) if brackets else words(line)))
        run(host, "ip", "link", "set", "q2", "netns", pod.path)
        bound = set(_sockets(host, stack))
        yield Made(host, pod, bound)


def words(line: str) -> list[str]:
    return [one.strip('"') for one in re.findall(r'"[^"]*"|\S+', line)]


def run(space: NetNamespace, *argv: str) -> str:
    with space.entered():
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout


def _sockets(space: NetNamespace, stack: ExitStack) -> Iterator[tuple[str, str, int]]:
    """Two that wait for each protocol, and of each one that does not."""
    for family, address in ((socket.AF_INET, "10.9.0.1"), (socket.AF_INET6, "::")):
        for kind, name in ((socket.SOCK_STREAM, "tcp"), (socket.SOCK_DGRAM, "udp")):
            one = stack.enter_context(space.socket(family, kind))
            one.bind((address, 0))
            if kind == socket.SOCK_STREAM:
                one.listen(1)
            yield name, address, one.getsockname()[1]
            other = stack.enter_context(space.socket(family, kind))
            other.bind((address, 0))
            if kind == socket.SOCK_DGRAM:
                other.connect(("10.9.0.1" if family == socket.AF_INET else "::1", 9))


@pytest.fixture
def taken(made: Made) -> Snapshot:
    places = (Place(HOST, "other", made.host.path), Place(POD, "other", made.pod.path))
    return collect(Site((), places=places))


@pytest.fixture
def seen(taken: Snapshot) -> Space:
    found = taken.space(HOST)
    assert found is not None
    return found


def said(made: Made, *argv: str) -> Any:
    return json.loads(run(made.host, *argv) or "[]")


def test_nothing_is_unread_and_nothing_changed_meanwhile(taken: Snapshot) -> None:
    assert [one.unread for one in taken.spaces] == [{}, {}]
    assert taken.changed == ()


def test_links_are_those_of_ip_link(made: Made, seen: Space) -> None:
    theirs = {
        one["ifname"]: (
            *(one["ifindex"], one["address"], one["mtu"], "UP" in one["flags"]),
            one.get("linkinfo", {}).get("info_kind", ""),
            one.get("master", ""),
        )
        for one in said(made, "ip", "-d", "-j", "link")
    }
    assert theirs == {
        one.name: (one.ifindex, one.mac, one.mtu, one.up, one.kind, one.master)
        for one in seen.links
    }


def test_ports_are_those_of_bridge_link(made: Made, seen: Space) -> None:
    theirs = {
        one["ifname"]: (one["state"], one["hairpin"], one["neigh_suppress"])
        for one in said(made, "bridge", "-d", "-j", "link")
    }
    mine = {
        one.name: (one.port_state, one.hairpin, one.neigh_suppress)
        for one in seen.links
        if one.master
    }
    assert mine == theirs
    assert mine["p1"] == ("forwarding", True, False)
    assert mine["p2"] == ("disabled", False, True)


def test_the_ends_of_cables_are_known_also_in_another_space(taken: Snapshot, seen: Space) -> None:
    peers = {one.name: one.peer for one in seen.links}
    assert peers["p1"] == (HOST, "q1")
    assert peers["q1"] == (HOST, "p1")
    assert peers["p2"] == (POD, "q2")
    assert peers["d0"] is None
    other = taken.space(POD)
    assert other is not None
    assert {one.name: one.peer for one in other.links}["q2"] == (HOST, "p2")


def test_addresses_are_those_of_ip_addr(made: Made, seen: Space) -> None:
    theirs = {
        (one["ifname"], f"{each['local']}/{each['prefixlen']}", each["scope"])
        for one in said(made, "ip", "-j", "addr")
        for each in one.get("addr_info", ())
    }
    assert {(one.link, one.cidr, one.scope) for one in seen.addresses} == theirs


@pytest.mark.parametrize("family", [4, 6])
def test_routes_are_those_of_ip_route(made: Made, seen: Space, family: int) -> None:
    argv = ("ip", f"-{family}", "-N", "-d", "-j", "route", "show", "table", "all")
    theirs = {one for each in said(made, *argv) for one in _hops(each, family)}
    mine = {
        (one.kind, one.dst, one.link, one.via, one.table, one.metric, one.source, one.onlink)
        for one in seen.routes
        if (":" in one.dst) == (family == 6)
        and not one.kind.isdecimal()
        and one.kind != "multicast"
    }
    assert mine == {one for one in theirs if one[0] != "multicast"}
    assert {one[0] for one in mine} >= ({"blackhole", "unreachable"} if family == 4 else {"local"})


_KINDS = ("", "unicast", "local", "broadcast", "anycast", "multicast", "blackhole", "unreachable",
          "prohibit", "throw")  # fmt: skip


def _hops(one: dict[str, Any], family: int) -> Iterator[tuple[Any, ...]]:
    dst = one["dst"].replace("default", "0.0.0.0/0" if family == 4 else "::/0")
    kind = str(one["type"])
    for hop in one.get("nexthops", [one]):
        yield (
            _KINDS[int(kind)] if kind.isdecimal() else kind,
            str(ipaddress.ip_network(dst)),
            hop.get("dev", ""),
            hop.get("gateway", ""),
            int(one.get("table", 254)),
            one.get("metric", 0),
            one.get("prefsrc", ""),
            "onlink" in hop.get("flags", ()),
        )


@pytest.mark.parametrize("family", [4, 6])
def test_rules_are_those_of_ip_rule(made: Made, seen: Space, family: int) -> None:
    theirs = [_rule(one) for one in said(made, "ip", f"-{family}", "-N", "-j", "rule")]
    assert [
        (
            *(one.priority, one.action, one.table if one.action == "lookup" else 0),
            *(one.mark, one.mask if one.mark else 0, one.source, one.destination),
            *(one.iif, one.oif, one.inverted),
        )
        for one in seen.rules
        if one.family == family
    ] == theirs


def _rule(one: dict[str, Any]) -> tuple[Any, ...]:
    action = one.get("action", "lookup")
    return (
        one["priority"],
        _KINDS[int(action)] if action.isdecimal() else action,
        int(one.get("table", 0)),
        int(one.get("fwmark", "0"), 16),
        int(one.get("fwmask", "0"), 16),
        _cidr(one, "src"),
        _cidr(one, "dst"),
        one.get("iif", ""),
        one.get("oif", ""),
        "not" in one,
    )


def _cidr(one: dict[str, Any], end: str) -> str:
    address = one.get(end, "all")
    return "" if address == "all" else f"{address}/{one.get(f'{end}len', 32)}"


def test_neighbours_are_those_of_ip_neighbour(made: Made, seen: Space) -> None:
    plain = said(made, "ip", "-j", "neigh", "show", "nud", "all")
    theirs = {
        (one["dev"], one["dst"], one.get("lladdr", ""), one["state"][0], False)
        for one in plain
        if one["state"] != ["NOARP"]
    }
    proxies = said(made, "ip", "-j", "neigh", "show", "proxy")
    mine = {(one.link, one.ip, one.mac, one.state, one.proxy) for one in seen.neighbours}
    assert {one for one in mine if not one[4]} == theirs
    assert {one[:2] for one in mine if one[4]} == {(one["dev"], one["dst"]) for one in proxies}
    assert ("azure0", "10.9.0.8") in {one[:2] for one in mine if one[4]}


def test_the_forwarding_database_is_that_of_bridge_fdb(made: Made, seen: Space) -> None:
    theirs = {
        (one["master"], one["ifname"], one["mac"], one["state"] == "permanent")
        for one in said(made, "bridge", "-j", "fdb", "show")
        if "master" in one
    }
    assert {(one.bridge, one.port, one.mac, one.local) for one in seen.fdb} == theirs
    assert ("azure0", "p1", "02:00:00:00:00:15", False) in theirs


def test_nft_is_that_of_nft_without_what_iptables_made(made: Made, seen: Space) -> None:
    theirs = said(made, "nft", "-j", "list", "table", "bridge", "azure")["nftables"]
    assert list(seen.nft) == [one for one in theirs if "metainfo" not in one]
    assert {kind for one in seen.nft for kind in one} == {"table", "chain", "map", "rule"}


@pytest.mark.parametrize(
    ("program", "family", "legacy"),
    [
        ("iptables-nft-save", 4, False),
        ("ip6tables-nft-save", 6, False),
        ("iptables-legacy-save", 4, True),
    ],
)
def test_iptables_are_those_of_iptables_save(
    made: Made, seen: Space, program: str, family: int, legacy: bool
) -> None:
    lines = run(made.host, program).splitlines()
    theirs = [one for one in lines if not one.startswith("#") and one != "COMMIT"]
    mine = []
    for table in seen.iptables:
        if (table.family, table.legacy) == (family, legacy):
            mine.append(f"*{table.name}")
            mine += [f":{one.name} {one.policy or '-'} [0:0]" for one in table.chains]
            mine += [f"-A {one.name} {each.text}" for one in table.chains for each in one.rules]
    assert mine == [re.sub(r"\[\d+:\d+\]", "[0:0]", one) for one in theirs]
    assert len(mine) > 3


def test_sets_are_those_of_ipset(seen: Space) -> None:
    assert dict(seen.ipsets) == {"allowed": ("10.9.0.9",)}


def test_connections_are_those_that_are_tracked(seen: Space) -> None:
    """Also the kernel's own IGMP may be."""
    assert {
        (one.protocol, one.original, one.reply, one.state, one.mark)
        for one in seen.connections
        if one.protocol in ("tcp", "udp")
    } == {
        (
            *("tcp", ("10.9.0.2", 4000, "10.9.0.9", 80), ("10.9.0.9", 80, "10.9.0.2", 4000)),
            *("ESTABLISHED", 7),
        ),
        ("udp", ("10.9.0.2", 53, "10.9.0.9", 53), ("10.9.0.77", 53, "10.9.0.2", 53), "", 0),
    }


def test_sockets_are_those_that_wait_as_ss_has_them(made: Made, seen: Space) -> None:
    mine = {(one.protocol, one.address, one.port) for one in seen.sockets}
    assert mine == made.bound
    lines = run(made.host, "ss", "-H", "-n", "-l", "-t", "-u").splitlines()
    ports = {(one.split()[0], int(one.split()[4].rpartition(":")[2])) for one in lines}
    assert {(protocol, port) for protocol, _, port in mine} == ports
    assert all(one.process for one in seen.sockets)


def test_sysctls_are_those_of_sysctl(made: Made, seen: Space) -> None:
    theirs = {name: run(made.host, "sysctl", "-n", name).split() for name in seen.sysctls}
    assert {name: one.split() for name, one in seen.sysctls.items()} == theirs
    assert seen.sysctls["net.ipv4.conf.p1.rp_filter"] == "2"
    assert seen.sysctls["net.ipv4.conf.azure0.proxy_arp"] == "1"
    assert seen.sysctls["net.ipv4.ip_forward"] == "1"
