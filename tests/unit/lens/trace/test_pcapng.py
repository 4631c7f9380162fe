"""pcapng, read back by its own rules: the blocks, their options, their padding."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from podwire.lens.trace.pcapng import pcapng
from podwire.lens.trace.values import Captured

AT = 1_795_600_066_900_938_981
CAUGHT = [
    Captured(AT, "pod/default/web", "eth0", True, b"x" * 61),
    Captured(AT + 7, "node/n1", "azv1", False, b"y" * 64),
    Captured(AT + 9, "pod/default/web", "eth0", False, b"z" * 1),
]


def blocks(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        kind, length = struct.unpack_from("<II", data, at)
        assert length % 4 == 0
        assert struct.unpack_from("<I", data, at + length - 4) == (length,)
        yield kind, data[at + 8 : at + length - 4]
        at += length


def options(data: bytes) -> dict[int, bytes]:
    found, at = {}, 0
    while True:
        code, length = struct.unpack_from("<HH", data, at)
        if code == 0:
            assert at + 4 == len(data)
            return found
        found[code] = data[at + 4 : at + 4 + length]
        at += 4 + (length + 3) // 4 * 4


def test_one_interface_for_each_link_of_each_space() -> None:
    kinds, bodies = zip(*blocks(pcapng(CAUGHT)), strict=True)
    assert kinds == (0x0A0D0D0A, 1, 1, 6, 6, 6)
    assert struct.unpack_from("<I", bodies[0]) == (0x1A2B3C4D,)
    assert [options(one[8:])[2] for one in bodies[1:3]] == [
        b"pod/default/web:eth0",
        b"node/n1:azv1",
    ]
    assert [options(one[8:])[9] for one in bodies[1:3]] == [b"\x09", b"\x09"]


def test_packets_have_their_link_time_and_direction() -> None:
    bodies = [body for kind, body in blocks(pcapng(CAUGHT)) if kind == 6]
    heads = [struct.unpack_from("<IIIII", one) for one in bodies]
    assert [one[0] for one in heads] == [0, 1, 0]
    assert [one[1] << 32 | one[2] for one in heads] == [AT, AT + 7, AT + 9]
    assert [one[3:] for one in heads] == [(61, 61), (64, 64), (1, 1)]
    assert [one[20 : 20 + head[3]] for one, head in zip(bodies, heads, strict=True)] == [
        one.data for one in CAUGHT
    ]
    ends = [20 + (head[3] + 3) // 4 * 4 for head in heads]
    flags = [options(one[end:])[2] for one, end in zip(bodies, ends, strict=True)]
    assert [one[0] & 3 for one in flags] == [2, 1, 1]


def test_nothing_caught_is_a_file_without_packets() -> None:
    assert [kind for kind, _ in blocks(pcapng([]))] == [0x0A0D0D0A]
