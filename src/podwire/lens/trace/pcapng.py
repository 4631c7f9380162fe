"""pcapng: frames of many links in one file, an interface for each link, times in ns. Pure.

Source: draft-ietf-opsawg-pcapng (blocks SHB, IDB, EPB). tshark names the interfaces by if_name.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from podwire.lens.trace.values import Captured

_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6
_ETHERNET, _SNAP = 1, 1 << 18
_NAME, _RESOLUTION, _FLAGS, _APPLICATION = 2, 9, 2, 4
_NANOSECONDS = b"\x09"
_IN, _OUT = 1, 2


def pcapng(frames: Iterable[Captured]) -> bytes:
    """The file's bytes. An interface is called "SPACE:LINK"."""
    ordered = sorted(frames, key=lambda one: one.at)
    links = list(dict.fromkeys((one.space, one.link) for one in ordered))
    numbers = {link: number for number, link in enumerate(links)}
    return b"".join(
        (
            _section(),
            *(_interface(f"{space}:{link}") for space, link in links),
            *(_packet(numbers[one.space, one.link], one) for one in ordered),
        )
    )


def _section() -> bytes:
    head = struct.pack("=IHHq", 0x1A2B3C4D, 1, 0, -1)
    return _block(_SECTION, head + _options([(_APPLICATION, b"podwire trace")]))


def _interface(name: str) -> bytes:
    options = _options([(_NAME, name.encode()), (_RESOLUTION, _NANOSECONDS)])
    return _block(_INTERFACE, struct.pack("=HHI", _ETHERNET, 0, _SNAP) + options)


def _packet(number: int, one: Captured) -> bytes:
    size = len(one.data)
    head = struct.pack("=IIIII", number, one.at >> 32, one.at & 0xFFFFFFFF, size, size)
    way = struct.pack("=I", _OUT if one.outgoing else _IN)
    return _block(_PACKET, head + _padded(one.data) + _options([(_FLAGS, way)]))


def _block(kind: int, body: bytes) -> bytes:
    length = struct.pack("=I", len(body) + 12)
    return struct.pack("=I", kind) + length + body + length


def _options(options: Iterable[tuple[int, bytes]]) -> bytes:
    return b"".join(_option(options)) + b"\0\0\0\0"


def _option(options: Iterable[tuple[int, bytes]]) -> Iterator[bytes]:
    for code, value in options:
        yield struct.pack("=HH", code, len(value)) + _padded(value)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) & 3)
