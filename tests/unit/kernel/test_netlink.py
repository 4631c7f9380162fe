from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podwire.kernel import netlink
from podwire.kernel.rtvalues import pack_ip, pack_mac, split_cidr
from podwire.model.errors import KernelError


@given(st.lists(st.tuples(st.integers(1, 0x3FFF), st.binary(max_size=40))))
def test_attributes_survive_packing(pairs: list[tuple[int, bytes]]) -> None:
    packed = b"".join(netlink.attribute(kind, payload) for kind, payload in pairs)
    assert len(packed) % 4 == 0
    assert list(netlink.attribute_list(packed)) == pairs


def test_nested_attributes_are_found_by_their_number() -> None:
    packed = netlink.nested(18, netlink.text(1, "veth"), netlink.number(2, 7))
    inner = netlink.attributes(netlink.attributes(packed)[18])
    assert inner == {1: b"veth\0", 2: (7).to_bytes(4, "little")}


@given(st.binary(max_size=60))
def test_any_bytes_are_read_without_an_endless_loop(data: bytes) -> None:
    assert len(list(netlink.attribute_list(data))) <= len(data) // 4


@given(st.lists(st.binary(max_size=30), max_size=5))
def test_messages_survive_packing(bodies: list[bytes]) -> None:
    packed = b""
    for at, body in enumerate(bodies):
        one = netlink.message(16, 5, at, body)
        packed += one + b"\0" * (-len(one) & 3)
    assert [one.body for one in netlink.messages(packed)] == bodies
    assert [one.sequence for one in netlink.messages(packed)] == list(range(len(bodies)))


def refusal(code: int, *attributes: bytes) -> netlink.Message:
    body = (-code).to_bytes(4, "little", signed=True) + bytes(16) + b"".join(attributes)
    return netlink.Message(2, 0x200 if attributes else 0, 1, body)


def test_acknowledgement_of_a_success_is_no_error() -> None:
    netlink.check(refusal(0))


def test_refusal_has_the_number_and_the_kernels_words() -> None:
    with pytest.raises(KernelError, match=r"^File exists \(no room\)$") as caught:
        netlink.check(refusal(17, netlink.text(1, "no room")))
    assert caught.value.errno == 17


def test_addresses_are_packed() -> None:
    assert pack_mac("02:00:00:00:00:0A") == bytes.fromhex("02000000000a")
    assert split_cidr("10.0.0.1/24") == (2, bytes([10, 0, 0, 1]), 24)
    assert split_cidr("10.0.0.1") == (2, bytes([10, 0, 0, 1]), 32)
    assert split_cidr("fd00::1/64") == (10, bytes.fromhex("fd" + "00" * 14 + "01"), 64)


@pytest.mark.parametrize("mac", ["", "02:00:00:00:00", "02:00:00:00:00:00:01", "zz:00:00:00:00:00"])
def test_bad_mac_is_named(mac: str) -> None:
    with pytest.raises(KernelError, match=f"{mac} is no MAC address"):
        pack_mac(mac)


@pytest.mark.parametrize("cidr", ["10.0.0.1/33", "10.0.0.1/-1", "10.0.0.1/x", "fd00::1/129"])
def test_bad_prefix_length_is_named(cidr: str) -> None:
    with pytest.raises(KernelError, match=f"{cidr} has no valid prefix length"):
        split_cidr(cidr)


def test_bad_ip_is_named() -> None:
    with pytest.raises(KernelError, match=r"10\.0\.0 is no IP address"):
        pack_ip("10.0.0")
