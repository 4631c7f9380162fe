"""Frames put on a wire byte by byte, and taken off it, as a NIC's raw socket sees them."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass

from podwire.kernel.netns import NetNamespace

BROADCAST = "ff:ff:ff:ff:ff:ff"
PATIENCE = 5.0
"""Seconds after which something that must come is missing. Nothing waits that long for silence:
what must not come is shown by something sent after it that came first."""
_ALL = 3
_RCVBUFFORCE = 33
_ARP, _IPV4 = 0x0806, 0x0800
_UDP = 17


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def ethernet(dst: str, src: str, kind: int, payload: bytes) -> bytes:
    return mac(dst) + mac(src) + kind.to_bytes(2, "big") + payload


def arp_request(ether_src: str, sender_mac: str, sender: str, target: str) -> bytes:
    head = struct.pack("!HHBBH", 1, _IPV4, 6, 4, 1)
    body = mac(sender_mac) + socket.inet_aton(sender) + bytes(6) + socket.inet_aton(target)
    return ethernet(BROADCAST, ether_src, _ARP, head + body)


def udp(dst_mac: str, src_mac: str, src: str, dst: str, payload: bytes, port: int = 9999) -> bytes:
    datagram = struct.pack("!HHHH", port, port, 8 + len(payload), 0) + payload
    return ipv4(dst_mac, src_mac, src, dst, _UDP, datagram)


def tcp_syn(dst_mac: str, src_mac: str, src: str, dst: str, source_port: int) -> bytes:
    return ipv4(dst_mac, src_mac, src, dst, 6, tcp_segment(src, dst, source_port, 80))


def tcp_segment(src: str, dst: str, source_port: int, port: int, flags: int = 2) -> bytes:
    """Without data. flags: 2 is SYN, 16 is ACK."""

    def segment(total: int) -> bytes:
        return struct.pack("!HHIIBBHHH", source_port, port, 1, 0, 5 << 4, flags, 1000, total, 0)

    pseudo = socket.inet_aton(src) + socket.inet_aton(dst) + struct.pack("!HH", 6, 20)
    return segment(checksum(pseudo + segment(0)))


def checksum(data: bytes) -> int:
    """The Internet checksum of an even number of bytes."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def ipv4(
    dst_mac: str,
    src_mac: str,
    src: str,
    dst: str,
    protocol: int,
    payload: bytes,
    identification: int = 1,
) -> bytes:
    def head(total: int) -> bytes:
        length = 20 + len(payload)
        fixed = struct.pack("!BBHHHBBH", 0x45, 0, length, identification, 0, 64, protocol, total)
        return fixed + socket.inet_aton(src) + socket.inet_aton(dst)

    return ethernet(dst_mac, src_mac, _IPV4, head(checksum(head(0))) + payload)


def ping(namespace: NetNamespace, target: str) -> str:
    """One echo request of the kernel's own stack; returns who answered."""
    request = struct.pack("!BBHHH", 8, 0, 0xF7FD, 1, 1)  # checksum of these eight bytes
    with namespace.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as door:
        door.settimeout(PATIENCE)
        door.sendto(request, (target, 0))
        while True:
            answer, (sender, _) = door.recvfrom(2048)
            if answer[20] == 0:
                return sender


@dataclass(frozen=True)
class Frame:
    dst: str
    src: str
    kind: int
    payload: bytes

    @classmethod
    def parse(cls, data: bytes) -> Frame:
        return cls(
            data[:6].hex(":"), data[6:12].hex(":"), int.from_bytes(data[12:14], "big"), data[14:]
        )

    @property
    def is_arp_reply(self) -> bool:
        return self.kind == _ARP and self.payload[6:8] == b"\0\2"

    @property
    def arp_sender(self) -> tuple[str, str]:
        """MAC and IPv4 address."""
        return self.payload[8:14].hex(":"), socket.inet_ntoa(self.payload[14:18])

    @property
    def arp_target(self) -> tuple[str, str]:
        return self.payload[18:24].hex(":"), socket.inet_ntoa(self.payload[24:28])

    @property
    def udp_payload(self) -> bytes | None:
        """None when this is no UDP datagram over IPv4."""
        if self.kind != _IPV4 or self.payload[9] != _UDP:
            return None
        return self.payload[28 : int.from_bytes(self.payload[2:4], "big")]


class Tap:
    """A raw socket on one link: what is sent goes out as it is, what comes in is seen."""

    def __init__(self, namespace: NetNamespace, link: str = "eth0") -> None:
        self._socket = namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, 1 << 24)
        self._socket.bind((link, _ALL))

    def send(self, *frames: bytes) -> None:
        for frame in frames:
            self._socket.send(frame)

    def received(self) -> Iterator[Frame]:
        """Each frame that comes in; ends when none has for PATIENCE seconds in all."""
        deadline = time.monotonic() + PATIENCE
        while (left := deadline - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                data, (_, _, kind, _, _) = self._socket.recvfrom(65535)
            except TimeoutError:
                return
            if kind != socket.PACKET_OUTGOING:
                yield Frame.parse(data)

    def arp_reply(self) -> Frame:
        return next(one for one in self.received() if one.is_arp_reply)

    def datagrams_until(self, last: bytes) -> list[bytes]:
        """The UDP payloads that come in, up to and with `last`."""
        seen: list[bytes] = []
        for one in self.received():
            if one.udp_payload is not None:
                seen.append(one.udp_payload)
                if one.udp_payload == last:
                    return seen
        raise AssertionError(f"{last!r} did not arrive, but {seen}")

    def frame_with(self, payload: bytes) -> Frame:
        return next(one for one in self.received() if one.udp_payload == payload)

    def close(self) -> None:
        self._socket.close()
