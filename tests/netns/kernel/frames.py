"""Raw frames on a link: ARP requests made by hand, and what was seen."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from podwire.kernel.netns import NetNamespace

BROADCAST = "ff:ff:ff:ff:ff:ff"
_ETH_P_ALL, _ETH_P_ARP, _OUTGOING = 0x0003, 0x0806, 4


class Frame(NamedTuple):
    """arp: (operation, sender MAC, sender IP, target MAC, target IP), None for no ARP frame."""

    dst: str
    src: str
    ethertype: int
    arp: tuple[int, str, str, str, str] | None
    payload: bytes


def _parse(data: bytes) -> Frame:
    ethertype = int.from_bytes(data[12:14], "big")
    arp = None
    if ethertype == _ETH_P_ARP:
        operation = int.from_bytes(data[20:22], "big")
        parts = data[22:28], data[28:32], data[32:38], data[38:42]
        arp = (
            operation,
            parts[0].hex(":"),
            socket.inet_ntoa(parts[1]),
            parts[2].hex(":"),
            socket.inet_ntoa(parts[3]),
        )
    return Frame(data[:6].hex(":"), data[6:12].hex(":"), ethertype, arp, data[14:])


class Tap:
    """All frames that arrive on a link from outside of its namespace."""

    def __init__(self, namespace: NetNamespace, link: str) -> None:
        self._socket = namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        self._socket.bind((link, _ETH_P_ALL))
        self._socket.setblocking(False)

    def frames(self, wait: float = 0.05) -> list[Frame]:
        """What has arrived up to now, `wait` seconds from now included."""
        time.sleep(wait)
        found: list[Frame] = []
        while True:
            try:
                data, address = self._socket.recvfrom(65536)
            except BlockingIOError:
                return found
            if address[2] != _OUTGOING:
                found.append(_parse(data))

    def send_arp(self, operation: int, sender: tuple[str, str], target: tuple[str, str]) -> None:
        """(MAC, IP) each; broadcast."""
        head = struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation)
        parts = [part for mac, ip in (sender, target) for part in (_mac(mac), socket.inet_aton(ip))]
        frame = _mac(BROADCAST) + _mac(sender[0]) + struct.pack("!H", _ETH_P_ARP)
        self._socket.send(frame + head + b"".join(parts))

    def close(self) -> None:
        self._socket.close()


@contextmanager
def tap(namespace: NetNamespace, link: str) -> Iterator[Tap]:
    one = Tap(namespace, link)
    try:
        yield one
    finally:
        one.close()


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))
