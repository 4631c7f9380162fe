from __future__ import annotations

from socket import AF_INET6, inet_ntop

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podwire.kernel.nfnetlink import decode, encode
from podwire.model.errors import KernelError

IPV4, IPV6, MAC, IFNAME = 7, 8, 9, 41

PARTS = {
    IPV4: st.ip_addresses(v=4).map(str),
    IPV6: st.binary(min_size=16, max_size=16).map(lambda one: inet_ntop(AF_INET6, one)),
    MAC: st.binary(min_size=6, max_size=6).map(lambda one: one.hex(":")),
    IFNAME: st.from_regex(r"[a-z][a-z0-9]{0,14}", fullmatch=True),
}


@given(st.lists(st.sampled_from(list(PARTS)), min_size=1, max_size=4), st.data())
def test_what_is_encoded_is_decoded(types: list[int], data: st.DataObject) -> None:
    item = " . ".join(data.draw(PARTS[one]) for one in types)
    assert decode(encode(item), tuple(types)) == item


def test_one_part_is_not_padded() -> None:
    assert encode("02:00:00:00:00:07") == bytes.fromhex("020000000007")
    assert encode("10.0.0.1") == bytes([10, 0, 0, 1])
    assert encode("eth0") == b"eth0" + bytes(12)
    assert encode('"eth0"') == encode("eth0")


def test_parts_are_padded_to_four_bytes() -> None:
    packed = encode("02:00:00:00:00:07 . 10.0.0.1")
    assert packed == bytes.fromhex("020000000007") + bytes(2) + bytes([10, 0, 0, 1])


@pytest.mark.parametrize("item", ["", "a-link-name-of-16", "10.0.0.300", "10.0.0.1 . ", "1:2:zz"])
def test_what_is_no_element_is_refused(item: str) -> None:
    with pytest.raises(KernelError):
        encode(item)
