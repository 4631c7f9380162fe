"""What is read from a frame, whatever is in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podwire.lens.trace.packets import Packet, parse
from tests.unit.lens.trace.frames import MACS, icmp, ip, tcp, udp

FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10


def seen(data: bytes) -> Packet:
    found = parse(MACS + data)
    assert found is not None
    return found


def test_a_tcp_packet_and_its_frame() -> None:
    one = seen(ip(6, "10.0.0.1", "10.0.0.2", tcp(4000, 80, 77, 0, SYN)))
    assert one.ends == ("10.0.0.1", 4000, "10.0.0.2", 80)
    assert (one.smac, one.dmac) == ("00:00:00:00:00:01", "00:00:00:00:00:02")
    assert (one.kind, one.seq, one.flags, one.ttl, one.ip_id) == ("tcp", 77, SYN, 64, 7)


def test_the_padding_of_a_short_frame_is_no_payload() -> None:
    assert seen(ip(17, "10.0.0.1", "10.0.0.2", udp(1, 2, b"hi")) + bytes(20)).payload == b"hi"


def test_an_error_tells_which_packet_it_is_about() -> None:
    sent = ip(17, "10.0.0.1", "10.0.0.2", udp(4000, 9, b"token"))
    error = seen(ip(1, "10.0.0.2", "10.0.0.1", icmp(3, 3, sent)))
    assert (error.kind_of, error.code) == (3, 3)
    assert error.inner is not None
    assert error.inner.ends == seen(sent).ends


def test_an_error_that_quotes_eight_bytes_tells_ports_and_number() -> None:
    sent = ip(6, "10.0.0.1", "10.0.0.2", tcp(4000, 80, 77, 0, SYN))
    error = seen(ip(1, "10.0.0.2", "10.0.0.1", icmp(11, 0, sent[:28])))
    assert error.inner is not None
    assert (error.inner.dport, error.inner.seq) == (80, 77)


@pytest.mark.parametrize(
    ("protocol", "data", "asks"),
    [
        (6, tcp(4000, 80, 77, 0, SYN), True),
        (6, tcp(4000, 80, 77, 1, ACK), False),
        (6, tcp(4000, 80, 77, 1, ACK) + b"GET", True),
        (6, tcp(4000, 80, 77, 1, ACK | FIN), True),
        (6, tcp(4000, 80, 77, 1, ACK | RST), False),
        (17, udp(4000, 53, b""), True),
        (1, icmp(8, 0, b"ping"), True),
        (1, icmp(0, 0, b"ping"), False),
    ],
)
def test_an_answer_must_come_to_some(protocol: int, data: bytes, *, asks: bool) -> None:
    assert seen(ip(protocol, "10.0.0.1", "10.0.0.2", data)).asks is asks


def test_arp() -> None:
    request = "00010800060400010000000000010a0000010000000000000a000002"
    found = parse(bytes.fromhex("ffffffffffff0000000000010806" + request))
    assert found is not None
    assert (found.kind, found.code, found.src, found.dst) == ("arp", 1, "10.0.0.1", "10.0.0.2")


@given(st.binary(max_size=120), st.sampled_from([MACS, MACS[:12] + b"\x08\x06", b""]))
def test_whatever_comes_is_read_or_left(data: bytes, head: bytes) -> None:
    parse(head + data)


@given(st.binary(max_size=60), st.sampled_from([1, 6, 17]))
def test_whatever_ip_carries_is_read_or_left(data: bytes, protocol: int) -> None:
    parse(MACS + ip(protocol, "10.0.0.1", "10.0.0.2", data))
