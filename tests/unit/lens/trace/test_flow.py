"""Whose a packet is, whatever NAT made of it; and who is a stray."""

from __future__ import annotations

from podwire.lens.snapshot import Address, Link, Snapshot, Space
from podwire.lens.trace.flow import Flow, changes
from podwire.lens.trace.packets import ECHO, ECHO_REPLY, Packet
from podwire.lens.trace.strays import is_stray
from podwire.lens.trace.values import Sighting

CLIENT, VIP, SERVER, NODE = "10.0.0.5", "10.200.0.10", "10.0.0.9", "10.0.0.4"


def udp(src: str, sport: int, dst: str, dport: int, payload: bytes = b"a token") -> Packet:
    return Packet("udp", "m1", "m2", src, dst, sport, dport, payload=payload)


def test_tcp_is_known_by_its_numbers_also_past_their_end() -> None:
    flow = Flow("tcp", sequence=0xFFFFFFFF)
    syn = Packet("tcp", "", "", CLIENT, VIP, 4000, 80, seq=0xFFFFFFFF)
    answer = Packet("tcp", "", "", SERVER, NODE, 8080, 77, seq=5_000_000, ack=0)
    assert (flow.role(syn), flow.role(answer)) == ("probe", "answer")
    assert flow.role(Packet("tcp", "", "", CLIENT, VIP, seq=1 << 31, ack=1 << 30)) is None


def test_a_datagrams_answer_is_known_by_the_ends_that_it_had_last() -> None:
    flow = Flow("udp", token=b"token")
    assert flow.role(udp(CLIENT, 4000, VIP, 53)) == "probe"
    assert flow.role(udp(NODE, 1024, SERVER, 53)) == "probe", "translated both ways at once"
    assert flow.role(udp(SERVER, 53, NODE, 1024, b"what it says")) == "answer"
    assert flow.role(udp(SERVER, 53, CLIENT, 4000, b"another's")) is None


def test_what_the_receiver_asks_somebody_else_is_another_packet() -> None:
    flow = Flow("udp", token=b"token")
    flow.role(udp(CLIENT, 4000, SERVER, 53))
    assert flow.role(udp(SERVER, 999, "168.63.129.16", 53)) is None
    assert flow.role(udp(NODE, 1000, "168.63.129.16", 53)) is None, "nor after it is masqueraded"


def test_errors_are_ours_by_what_they_carry() -> None:
    flow = Flow("udp", token=b"token")
    flow.role(udp(CLIENT, 4000, SERVER, 9))
    mine, other = udp(CLIENT, 4000, SERVER, 9, b""), udp(CLIENT, 4001, SERVER, 9, b"")
    for inner, role in ((mine, "error"), (other, None)):
        error = Packet("icmp", "", "", SERVER, CLIENT, kind_of=3, code=3, inner=inner)
        assert flow.role(error) == role


def test_echoes_are_known_by_what_they_carry() -> None:
    flow = Flow("icmp", token=b"token")
    for kind, role in ((ECHO, "probe"), (ECHO_REPLY, "answer")):
        packet = Packet("icmp", "", "", CLIENT, SERVER, kind_of=kind, payload=b"12 token")
        assert flow.role(packet) == role


def test_what_changed_is_said_in_words() -> None:
    old, new = udp(CLIENT, 4000, VIP, 53), udp(CLIENT, 4000, SERVER, 53)
    assert changes(old, new) == ("to 10.200.0.10:53 -> 10.0.0.9:53",)


def test_a_copy_for_a_pod_that_it_is_not_for_is_a_stray() -> None:
    pods = tuple(
        Space(
            f"pod/{name}",
            "pod",
            number,
            links=(
                Link(2, "eth0", f"02::{name}", 1500, True, True, "veth", peer=("node/n", name)),
            ),
            addresses=(Address("eth0", f"{address}/24"),),
        )
        for number, (name, address) in enumerate((("a", CLIENT), ("b", SERVER)))
    )
    ports = tuple(
        Link(3, name, "m", 1500, True, True, "veth", "br", (f"pod/{name}", "eth0")) for name in "ab"
    )
    snapshot = Snapshot(0, 0, spaces=(*pods, Space("node/n", "node", 9, links=ports)))
    packet = Packet("icmp", "", "02::b", CLIENT, SERVER)

    def stray(space: str, link: str, *, outgoing: bool) -> bool:
        return is_stray(snapshot, Sighting(1, space, link, outgoing, "probe", packet))

    assert stray("node/n", "a", outgoing=True)
    assert stray("pod/a", "eth0", outgoing=False)
    assert not stray("node/n", "b", outgoing=True)
    assert not stray("pod/b", "eth0", outgoing=False)
    assert not stray("node/n", "a", outgoing=False)
