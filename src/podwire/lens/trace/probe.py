"""Sending one real packet from a namespace: a TCP connection, a datagram, an echo request.

Each carries what tells it apart after any NAT: a TCP sequence number of our choice, random bytes.
Source: tcp(7) (TCP_REPAIR), ip(7), raw(7), RFC 1035 for a query that a DNS server answers.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import socket
import struct
import time
from dataclasses import dataclass

from podwire.kernel.netns import NetNamespace
from podwire.kernel.nftrace import Match
from podwire.lens.trace.flow import Flow
from podwire.lens.trace.values import Outcome

_REPAIR, _REPAIR_QUEUE, _QUEUE_SEQUENCE = 19, 20, 21
_SEND_QUEUE = 2
_MTU_DISCOVER, _PROBE_MTU = 10, 3
_UNSENT = 0x5411
_DNS, _HEADERS = 53, {"udp": 28, "icmp": 28}
_TCP_HEADERS = 52
"""With timestamps."""
_ZONE = (b"cluster", b"local")
"""A name in it is one that a cluster's DNS answers itself: were the question asked on, the question
that the server asks would be taken for the probe, for it has the same name."""
NUMBERS = {"icmp": 1, "tcp": 6, "udp": 17}


@dataclass(frozen=True, slots=True)
class Probe:
    """One packet to send. size: bytes of the whole IP packet, 0 for a small one; with TCP so much
    is sent once connected. sequence, token: what it is known by."""

    protocol: str
    address: str
    port: int = 0
    size: int = 0
    sequence: int = 0
    token: bytes = b""

    @classmethod
    def new(cls, protocol: str, address: str, port: int = 0, size: int = 0) -> Probe:
        token = secrets.token_hex(8).encode()
        return cls(protocol, address, port, size, secrets.randbits(32), token)

    @property
    def flow(self) -> Flow:
        return Flow(self.protocol, self.sequence, self.token)

    @property
    def matches(self) -> tuple[Match, ...]:
        """For nftables tracing: the packet and, but for UDP, its answer."""
        number = NUMBERS[self.protocol]
        if self.protocol == "tcp":
            answer = (self.sequence + 1) % (1 << 32)
            return Match(6, 4, _word(self.sequence)), Match(6, 8, _word(answer))
        dns = self.protocol == "udp" and self.port == _DNS
        return (Match(number, 8 + (13 if dns else 0), self.token),)

    @property
    def payload(self) -> bytes:
        if self.protocol == "udp" and self.port == _DNS:
            name = b"".join(bytes([len(one)]) + one for one in (self.token, *_ZONE))
            return self.token[:2] + struct.pack("!5H", 0x100, 1, 0, 0, 0) + name + b"\0\0\1\0\1"
        return self.token.ljust(self.size - _HEADERS.get(self.protocol, 0), b".")


def send(namespace: NetNamespace, probe: Probe, wait: float) -> Outcome:
    """Send it and wait for the answer, at most `wait` seconds."""
    began = time.monotonic()
    ways = {"tcp": _connect, "udp": _datagram, "icmp": _echo}
    try:
        outcome = ways[probe.protocol](namespace, probe, wait)
    except TimeoutError:
        outcome = Outcome("silence", f"no answer within {wait:g} s")
    except ConnectionRefusedError as error:
        outcome = Outcome("refused", _said(error))
    except OSError as error:
        outcome = Outcome("unsent" if error.errno in _LOCAL else "refused", _said(error))
    return Outcome(outcome.state, outcome.text, time.monotonic() - began)


_LOCAL = (errno.ENETUNREACH, errno.EPERM, errno.EINVAL, errno.EMSGSIZE, errno.EACCES)


def _said(error: OSError) -> str:
    name = errno.errorcode.get(error.errno or 0, "")
    return f"{error.strerror} ({name})" if name else str(error)


def _connect(namespace: NetNamespace, probe: Probe, wait: float) -> Outcome:
    with namespace.socket(socket.AF_INET, socket.SOCK_STREAM) as one:
        one.setsockopt(socket.IPPROTO_TCP, _REPAIR, 1)
        one.setsockopt(socket.IPPROTO_TCP, _REPAIR_QUEUE, _SEND_QUEUE)
        one.setsockopt(socket.IPPROTO_TCP, _QUEUE_SEQUENCE, struct.pack("=I", probe.sequence))
        one.setsockopt(socket.IPPROTO_TCP, _REPAIR, 0)
        one.settimeout(wait)
        one.connect((probe.address, probe.port))
        if probe.size and not _all_taken(one, probe.size - _TCP_HEADERS, wait):
            text = f"connected, but a packet of {probe.size} bytes is not acknowledged"
            return Outcome("stalled", text)
        return Outcome("answered", "connected")


def _all_taken(one: socket.socket, size: int, wait: float) -> bool:
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    one.sendall(b"." * max(size, 1))
    end = time.monotonic() + wait
    while time.monotonic() < end:
        if not struct.unpack("i", fcntl.ioctl(one, _UNSENT, b"\0" * 4))[0]:
            return True
        time.sleep(0.005)
    return False


def _datagram(namespace: NetNamespace, probe: Probe, wait: float) -> Outcome:
    with namespace.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.setsockopt(socket.IPPROTO_IP, _MTU_DISCOVER, _PROBE_MTU)
        one.settimeout(wait)
        one.connect((probe.address, probe.port))
        one.send(probe.payload)
        return Outcome("answered", f"answered with {len(one.recv(65536))} bytes")


def _echo(namespace: NetNamespace, probe: Probe, wait: float) -> Outcome:
    with namespace.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as one:
        one.setsockopt(socket.IPPROTO_IP, _MTU_DISCOVER, _PROBE_MTU)
        one.connect((probe.address, 0))
        one.send(_echo_request(probe.payload))
        end = time.monotonic() + wait
        while (left := end - time.monotonic()) > 0:
            one.settimeout(left)
            if probe.token in one.recv(65536):
                return Outcome("answered", "echo reply")
        raise TimeoutError


def _echo_request(payload: bytes) -> bytes:
    head = struct.pack("!BBHHH", 8, 0, 0, os.getpid() & 0xFFFF, 1)
    return head[:2] + struct.pack("!H", _checksum(head + payload)) + head[4:] + payload


def _checksum(data: bytes) -> int:
    data += b"\0" * (len(data) & 1)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return int(~(total + (total >> 16)) & 0xFFFF)


def _word(number: int) -> bytes:
    return struct.pack("!I", number)
