"""Captured frames as values: ARP, and TCP, UDP and ICMP of IPv4. Pure; what is cut short is None.

Source: RFC 791, 792, 768, 9293, 826.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

_ARP, _IPV4 = 0x0806, 0x0800
_ICMP, _TCP, _UDP = 1, 6, 17
_NAMES = {_ICMP: "icmp", _TCP: "tcp", _UDP: "udp"}
FIN, SYN, RST = 0x01, 0x02, 0x04
ECHO, ECHO_REPLY = 8, 0
_ERRORS = {3, 5, 11, 12}
_IP = struct.Struct("!BBHHHBBH4s4s")
_TCP_HEAD = struct.Struct("!HHIIBB")


@dataclass(frozen=True, slots=True)
class Packet:
    """kind: "arp", "tcp", "udp", "icmp" or "fragment" (a later one of any).

    Of ARP: src, dst are the addresses of sender and target, code 1 asks and 2 answers, hardware the
    sender's MAC. Of ICMP: kind_of, code as in the header, sport and dport both the identifier,
    inner: the packet that an error is about. flags, seq, ack: TCP's. length: bytes of IP.
    """

    kind: str
    smac: str
    dmac: str
    src: str
    dst: str
    sport: int = 0
    dport: int = 0
    ttl: int = 0
    ip_id: int = 0
    length: int = 0
    seq: int = 0
    ack: int = 0
    flags: int = 0
    kind_of: int = 0
    code: int = 0
    hardware: str = ""
    payload: bytes = b""
    inner: Packet | None = None

    @property
    def ends(self) -> tuple[str, int, str, int]:
        return self.src, self.sport, self.dst, self.dport

    @property
    def asks(self) -> bool:
        """Whether an answer must come: not so to TCP's bare acknowledgements and resets."""
        if self.kind == "tcp":
            return not self.flags & RST and bool(self.flags & (SYN | FIN) or self.payload)
        return self.kind == "udp" or (self.kind == "icmp" and self.kind_of == ECHO)

    @property
    def reversed(self) -> tuple[str, int, str, int]:
        return self.dst, self.dport, self.src, self.sport


def parse(frame: bytes) -> Packet | None:
    """None for what is neither ARP nor IPv4, or too short for its kind."""
    if len(frame) < 14:
        return None
    dmac, smac = frame[:6].hex(":"), frame[6:12].hex(":")
    ethertype = int.from_bytes(frame[12:14], "big")
    try:
        if ethertype == _ARP:
            return _arp(frame[14:], smac, dmac)
        return parse_ip(frame[14:], smac, dmac) if ethertype == _IPV4 else None
    except (struct.error, IndexError, OSError):  # OSError: an address that is cut
        return None


def _arp(data: bytes, smac: str, dmac: str) -> Packet:
    (operation,) = struct.unpack_from("!H", data, 6)
    sender, target = socket.inet_ntoa(data[14:18]), socket.inet_ntoa(data[24:28])
    return Packet("arp", smac, dmac, sender, target, code=operation, hardware=data[8:14].hex(":"))


def parse_ip(data: bytes, smac: str = "", dmac: str = "") -> Packet | None:
    """An IPv4 packet, which may be cut behind its transport header. Raises struct.error."""
    first, _, length, ip_id, fragment, ttl, protocol, _, src, dst = _IP.unpack_from(data)
    name = _NAMES.get(protocol)
    if first >> 4 != 4 or name is None:
        return None
    common = (smac, dmac, socket.inet_ntoa(src), socket.inet_ntoa(dst))
    if fragment & 0x1FFF:
        return Packet("fragment", *common, ttl=ttl, ip_id=ip_id, length=length)
    body = data[(first & 15) * 4 : max(length, 20)]
    reader = {"icmp": _icmp, "tcp": _tcp, "udp": _udp}[name]
    return reader(body, common, ttl, ip_id, length)


_Common = tuple[str, str, str, str]


def _tcp(body: bytes, common: _Common, ttl: int, ip_id: int, length: int) -> Packet:
    if len(body) < 14:  # of an ICMP error: its first eight bytes
        sport, dport, seq = struct.unpack_from("!HHI", body)
        return Packet("tcp", *common, sport, dport, ttl, ip_id, length, seq=seq)
    sport, dport, seq, ack, offset, flags = _TCP_HEAD.unpack_from(body)
    payload = body[(offset >> 4) * 4 :]
    head = (sport, dport, ttl, ip_id, length, seq, ack, flags)
    return Packet("tcp", *common, *head, payload=payload)


def _udp(body: bytes, common: _Common, ttl: int, ip_id: int, length: int) -> Packet:
    sport, dport = struct.unpack_from("!HH", body)
    return Packet("udp", *common, sport, dport, ttl, ip_id, length, payload=body[8:])


def _icmp(body: bytes, common: _Common, ttl: int, ip_id: int, length: int) -> Packet:
    kind, code = body[0], body[1]
    (number,) = struct.unpack_from("!H", body, 4)
    port = number if kind in (ECHO, ECHO_REPLY) else 0
    inner = parse_ip(body[8:]) if kind in _ERRORS else None
    return Packet(
        *("icmp", *common, port, port, ttl, ip_id, length),
        kind_of=kind,
        code=code,
        payload=body[8:],
        inner=inner,
    )
