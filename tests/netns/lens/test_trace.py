"""A packet followed through a bridge, a router, DNAT and masquerade; and where it gets lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from podwire.lens.trace import Trace, pcapng
from podwire.model.errors import InvalidInputError
from tests.netns.lens.conftest import (
    CLIENT,
    CLIENT_IP,
    PORT,
    ROUTER,
    ROUTER_IP,
    SERVER,
    SERVER_IP,
    VIP,
    Scene,
)

WAY = [
    (CLIENT, "eth0", True),
    (ROUTER, "a0", False),
    (ROUTER, "br0", False),
    (ROUTER, "b0", True),
    (SERVER, "eth0", False),
]
BACK = [
    (SERVER, "eth0", True),
    (ROUTER, "b0", False),
    (ROUTER, "br0", True),
    (ROUTER, "a0", True),
    (CLIENT, "eth0", False),
]


def places(done: Trace, role: str) -> list[tuple[str, str, bool]]:
    """Of the first packet of each kind."""
    seen = [(one.space, one.link, one.outgoing) for one in done.sightings if one.role == role]
    return list(dict.fromkeys(seen))


def last(done: Trace) -> tuple[str, str, bool]:
    assert done.last is not None
    return done.last.space, done.last.link, done.last.outgoing


def test_a_connection_is_followed_across_dnat_and_masquerade_and_back(scene: Scene) -> None:
    with scene.served():
        done, _ = scene.trace(f"{VIP}:80")
    assert (done.state, done.causes, done.unseen) == ("delivered", (), ())
    assert places(done, "probe") == WAY
    assert places(done, "answer") == BACK
    way = [one.packet for one in done.sightings if one.role == "probe"][:5]
    assert (way[0].src, way[0].dst, way[0].dport) == (CLIENT_IP, VIP, 80)
    assert (way[3].src, way[3].dst, way[3].dport) == (ROUTER_IP, SERVER_IP, PORT)
    assert [one.ttl for one in way] == [64, 64, 64, 63, 63]
    assert done.backend == f"{SERVER_IP}:{PORT}"
    stamps = [one.at for one in done.sightings]
    assert all(before <= after for before, after in pairwise(stamps))


def test_the_rules_that_it_met_are_told_in_their_own_words(scene: Scene) -> None:
    with scene.served():
        done, _ = scene.trace(f"{VIP}:80")
    met = {rule.chain: rule.text for rule in done.rules if not rule.answer}
    assert met["PREROUTING"] == (
        f"-d {VIP}/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination {SERVER_IP}:{PORT}"
    )
    assert met["POSTROUTING"] == "-o b0 -j MASQUERADE"
    assert "podwire-trace" not in scene.run(ROUTER, "nft list ruleset")


def test_a_refusal_says_by_whom(scene: Scene) -> None:
    done, _ = scene.trace(f"{VIP}:80")
    assert (done.state, [one.kind for one in done.causes]) == ("refused", ["reset"])
    assert done.causes[0].space == SERVER


def test_an_error_comes_back_for_a_datagram(scene: Scene) -> None:
    done, _ = scene.trace(f"{SERVER_IP}:9", "udp")
    assert done.state == "refused"
    assert done.causes[0].text == f"{SERVER} refused it: ICMP port unreachable, from {SERVER_IP}"
    assert places(done, "probe") == WAY


def test_an_echo_is_followed_both_ways(scene: Scene) -> None:
    done, _ = scene.trace(SERVER_IP, "icmp", size=1400)
    assert done.state == "delivered"
    assert (places(done, "probe"), places(done, "answer")) == (WAY, BACK)
    assert next(one.packet.length for one in done.sightings if one.role == "probe") == 1400


def test_the_rule_that_drops_is_named(scene: Scene) -> None:
    scene.run(ROUTER, "iptables -A FORWARD -p tcp --dport 8080 -j DROP")
    done, _ = scene.trace(f"{VIP}:80", wait=0.3)
    assert (done.state, last(done)) == ("dropped", WAY[2])
    assert done.causes[0].kind == "rule"
    assert "--dport 8080 -j DROP" in done.causes[0].text
    assert done.differs == (), "explain says the same"


def test_an_answer_that_is_dropped_is_lost_on_its_way(scene: Scene) -> None:
    scene.run(ROUTER, "iptables -A FORWARD -i b0 -p tcp --sport 8080 -j DROP")
    with scene.served():
        done, _ = scene.trace(f"{VIP}:80", wait=0.3)
    assert (done.state, last(done)) == ("answer dropped", BACK[1])
    assert "-i b0 -p tcp -m tcp --sport 8080 -j DROP" in done.causes[0].text


def test_nobody_answers_arp_for_a_neighbour_that_is_not_there(scene: Scene) -> None:
    done, _ = scene.trace("10.9.2.77:80", wait=0.3)
    assert (done.state, last(done)) == ("dropped", WAY[2])
    assert [(one.kind, one.space) for one in done.causes] == [("arp", ROUTER)]
    assert "on b0 who has 10.9.2.77" in done.causes[0].text


def test_what_arrives_for_another_mac_is_said(scene: Scene) -> None:
    mac = "02:00:00:00:00:77"
    scene.run(ROUTER, f"ip neigh replace {SERVER_IP} lladdr {mac} dev b0 nud permanent")
    done, _ = scene.trace(SERVER_IP, "icmp", wait=0.2)
    assert (done.state, last(done)) == ("dropped", WAY[4])
    assert (done.causes[0].kind, done.causes[0].space) == ("mac", SERVER)


def test_what_the_kernel_counts_is_evidence(scene: Scene) -> None:
    assert scene.trace(SERVER_IP, "icmp")[0].state == "delivered"  # and the MACs are known
    scene.run(ROUTER, "sysctl -qw net.ipv4.conf.br0.rp_filter=1")
    scene.run(ROUTER, f"ip route add {CLIENT_IP}/32 dev b0")
    done, _ = scene.trace(SERVER_IP, "icmp", wait=0.2)
    assert (done.state, last(done)) == ("dropped", WAY[2])
    assert "rp_filter" in done.causes[0].text


def test_a_packet_that_cannot_leave_is_its_own_kernels_word(scene: Scene) -> None:
    scene.run(CLIENT, "ip route del default")
    done, _ = scene.trace(f"{SERVER_IP}:{PORT}")
    assert (done.state, done.last) == ("refused", None)
    assert (
        done.causes[0].text == f"the kernel of {CLIENT} said: Network is unreachable (ENETUNREACH)"
    )


def test_what_is_large_gets_stuck_where_the_mtu_is_small(scene: Scene) -> None:
    scene.run(SERVER, "ip link set eth0 mtu 1000")
    small, _ = scene.trace(SERVER_IP, "icmp")
    done, _ = scene.trace(SERVER_IP, "icmp", wait=0.3, size=1400)
    assert (small.state, done.state, last(done)) == ("delivered", "dropped", WAY[3])


def test_others_traffic_is_watched(scene: Scene) -> None:
    with scene.served(), scene.traffic():
        done, _ = scene.trace(f"{VIP}:80", watch=5, wait=0.3)
    assert done.outcome.state == "watched"
    assert places(done, "probe") == WAY
    dnat = f"-d {VIP}/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination {SERVER_IP}:{PORT}"
    met = [(rule.chain, rule.text) for rule in done.rules if not rule.answer]
    assert met == [("PREROUTING", dnat), ("POSTROUTING", "-o b0 -j MASQUERADE")]
    with pytest.raises(InvalidInputError, match="nothing went from"):
        scene.trace(f"{VIP}:80", watch=0.1)


@pytest.mark.parametrize("protocol", ["udp", "icmp"])
def test_the_rules_that_others_traffic_met_are_told(scene: Scene, protocol: str) -> None:
    scene.run(ROUTER, f"iptables -A FORWARD -p {protocol} -d {SERVER_IP} -j ACCEPT")
    scene.run(ROUTER, "iptables -A FORWARD -p tcp -j DROP")
    send = {
        "udp": f"while sleep 0.02; do echo once >/dev/udp/{SERVER_IP}/{PORT}; done",
        "icmp": f"exec ping -i 0.05 {SERVER_IP}",
    }[protocol]
    with scene.spaces[CLIENT].entered():
        sender = subprocess.Popen(["bash", "-c", send], stdout=subprocess.DEVNULL)
    try:
        done, _ = scene.trace(f"{SERVER_IP}:{PORT}", protocol, watch=5, wait=0.3)
    finally:
        sender.kill()
        sender.wait()
    met = [(rule.chain, rule.text) for rule in done.rules if not rule.answer]
    forward = ("FORWARD", f"-d {SERVER_IP}/32 -p {protocol} -j ACCEPT")
    nat = [("POSTROUTING", "-o b0 -j MASQUERADE")]  # which the first of a connection alone meets
    assert met == [forward, *(nat if protocol == "udp" else [])]


def test_explain_and_reality_are_compared(scene: Scene) -> None:
    with scene.served():
        same, _ = scene.trace(f"{SERVER_IP}:{PORT}")
    assert (same.differs, same.explained) == ((), "delivered")


def test_wireshark_reads_what_was_caught(scene: Scene, tmp_path: Path) -> None:
    with scene.served():
        _, frames = scene.trace(f"{VIP}:80")
    path = tmp_path / "path.pcapng"
    path.write_bytes(pcapng(frames))
    fields = ("frame.time_epoch", "frame.interface_name", "tcp.flags.str", "ip.dst")
    argv = ["tshark", "-r", str(path), "-T", "fields", *(x for one in fields for x in ("-e", one))]
    told = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(told) == len(frames)
    first = next(line.split("\t") for line in told if "S\u00b7" in line)
    assert first[1] == f"{CLIENT}:eth0"
    stamp = min(one.at for one in frames)
    assert told[0].startswith(f"{stamp // 10**9}.{stamp % 10**9:09d}")


_HOLD = """
import sys, time
from podwire.kernel.netns import NetNamespace
from podwire.kernel.nftrace import Match, Tracer
Tracer(NetNamespace.open(sys.argv[1]), [Match(6, 0, b"1234")])
print("there", flush=True)
time.sleep(60)
"""


def test_a_killed_trace_leaves_nothing(scene: Scene) -> None:
    argv = [
        sys.executable,
        "-c",
        _HOLD.replace("Tracer(", "kept = Tracer("),
        scene.spaces[ROUTER].path,
    ]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "there\n"
        assert f"podwire-trace-{holder.pid}" in scene.run(ROUTER, "nft list ruleset")
        os.kill(holder.pid, signal.SIGKILL)
    for _ in range(100):
        if "podwire-trace" not in scene.run(ROUTER, "nft list ruleset"):
            return
        time.sleep(0.05)
    raise AssertionError("the table has outlived its process")
