"""Frames for tests, made by hand."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address

MACS = bytes.fromhex("0000000000020000000000010800")


def ip(protocol: int, src: str, dst: str, rest: bytes, *, ttl: int = 64, ip_id: int = 7) -> bytes:
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(rest), ip_id, 0, ttl, protocol, 0)
    return head + IPv4Address(src).packed + IPv4Address(dst).packed + rest


def tcp(sport: int, dport: int, number: int, answers: int, flags: int, data: bytes = b"") -> bytes:
    return struct.pack("!HHIIBBHHH", sport, dport, number, answers, 0x50, flags, 1, 0, 0) + data


def udp(sport: int, dport: int, data: bytes) -> bytes:
    return struct.pack("!HHHH", sport, dport, 8 + len(data), 0) + data


def icmp(kind: int, code: int, data: bytes, number: int = 0) -> bytes:
    return struct.pack("!BBHHH", kind, code, 0, 1, number) + data
