"""IPv6 beside the IPv4 of `node.build`: the NIC's, the router's, and in the wire server's answer.

`azure` answers for its gateway alone and delivers by address, whatever the frames' MACs;
`plain` asks by neighbour discovery for whatever it sends to, as any router on a cable.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from podwire.kernel.netns import NetNamespace

from .node import NIC_MAC, Node, inside

PREFIX = "2001:db8:220:2::"
SUBNET6, NODE6, ROUTER6 = f"{PREFIX}/64", f"{PREFIX}4", f"{PREFIX}1"
ELSEWHERE = "2001:db8:ffff::1"
"""Behind the router."""
AZURE_GATEWAY, AZURE_MAC, PLAIN_GATEWAY = "fe80::1234:5678:9abc", "12:34:56:78:9a:bc", "fe80::1"
_ROUTER = f"""
sysctl -qw net.ipv6.conf.all.forwarding=1
ip addr add {ELSEWHERE}/128 dev lo nodad
"""
_NODE = """
ip addr add {address} dev eth0 nodad
ip route add ::/0 via {gateway} dev eth0
"""


def azure(node: Node, count: int = 30) -> Node:
    """The NIC has a /128, as Azure's DHCPv6 gives it; the fabric knows where each address is."""
    delivered = [f"{PREFIX}{one:x}" for one in range(4, 5 + count)]
    delivered += [f"10.220.2.{one}" for one in range(5, 35)]
    to = f"lladdr {NIC_MAC} nud permanent dev fab0"
    router = [
        f"ip link set fab0 address {AZURE_MAC}",
        f"ip addr add {AZURE_GATEWAY}/64 dev fab0 nodad",
        *(f"ip neigh replace {one} {to}" for one in delivered),
        f"ip route add {SUBNET6} dev fab0",
    ]
    return _set_up(node, router, f"{NODE6}/128", AZURE_GATEWAY, count)


def plain(node: Node, count: int = 30) -> Node:
    """A cable to a router that has the subnet on-link."""
    router = [
        f"ip addr add {PLAIN_GATEWAY}/64 dev fab0 nodad",
        f"ip addr add {ROUTER6}/64 dev fab0 nodad",
    ]
    return _set_up(node, router, f"{NODE6}/64", PLAIN_GATEWAY, count)


def _set_up(node: Node, router: list[str], address: str, gateway: str, count: int) -> Node:
    for line in (*_ROUTER.strip().splitlines(), *router):
        inside(node.fabric, line.split())
    for line in _NODE.format(address=address, gateway=gateway).strip().splitlines():
        node.run(*line.split())
    server = node.wire_server
    server.primary6, server.addresses6 = NODE6, [f"{PREFIX}{one:x}" for one in range(5, 5 + count)]
    return node


def ping6(source: NetNamespace, address: str, sender: str = "") -> None:
    """sender: an address or a link. Raises subprocess.CalledProcessError without an answer."""
    given = ["-I", sender] if sender else []
    inside(source, ["ping", "-6", "-c1", "-W3", *given, address])


def exchange(source: NetNamespace, target: NetNamespace, address: str) -> str:
    """A word each way over TCP; the client's address as the server sees it."""
    with target.entered():
        server = socket.create_server((address, 0), family=socket.AF_INET6)
    with server, source.entered(), socket.socket(socket.AF_INET6) as client:
        server.settimeout(3)
        client.settimeout(3)
        client.connect((address, server.getsockname()[1]))
        peer, seen = server.accept()
        with peer:
            client.sendall(b"question")
            assert peer.recv(100) == b"question"
            peer.sendall(b"answer")
            assert client.recv(100) == b"answer"
    return str(seen[0])


class Frame(NamedTuple):
    """An IPv6 frame. icmp: its ICMPv6 type, 0 when it is another protocol; body: what follows the
    MACs and the type; told: the MACs that neighbour discovery's options tell."""

    dst: str
    src: str
    source: str
    target: str
    icmp: int
    told: tuple[str, ...]


_IPV6, _ICMPV6, _ETH_P_ALL = 0x86DD, 58, 3
SOLICITATION, ADVERTISEMENT, REDIRECT = 135, 136, 137
_OPTIONS = {133: 8, 134: 16, SOLICITATION: 24, ADVERTISEMENT: 24, REDIRECT: 40}
"""Where the options begin, by type (RFC 4861, section 4)."""


class Wire:
    """Every IPv6 frame that comes out of the node's NIC, or goes into it."""

    def __init__(self, fabric: NetNamespace) -> None:
        self._plug = fabric.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        self._plug.bind(("fab0", _ETH_P_ALL))
        self._plug.setblocking(False)

    def frames(self) -> list[Frame]:
        """What has passed so far and was not told yet."""
        found = []
        while True:
            try:
                data = self._plug.recv(65536)
            except BlockingIOError:
                return found
            if data[12:14] == struct.pack("!H", _IPV6):
                found.append(_parse(data))

    def ask(self, address: str, mac: str, sender: str) -> None:
        """A neighbour solicitation for `address` to its multicast group, by hand."""
        packed = socket.inet_pton(socket.AF_INET6, address)
        group = socket.inet_pton(socket.AF_INET6, "ff02::1:ff00:0")[:13] + packed[13:]
        self._send(
            mac, sender, group, bytes([SOLICITATION]) + bytes(7) + packed + b"\1\1" + _mac(mac)
        )

    def advertise(self, mac: str, sender: str) -> None:
        """To be everybody's router for half an hour."""
        body = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0) + b"\1\1" + _mac(mac)
        self._send(mac, sender, socket.inet_pton(socket.AF_INET6, "ff02::1"), body)

    def _send(self, mac: str, sender: str, group: bytes, body: bytes) -> None:
        head = socket.inet_pton(socket.AF_INET6, sender) + group
        pseudo = head + struct.pack("!II", len(body), _ICMPV6) + body
        body = body[:2] + struct.pack("!H", _checksum(pseudo)) + body[4:]
        ip = struct.pack("!IHBB", 0x60000000, len(body), _ICMPV6, 255) + head
        self._plug.send(b"\x33\x33" + group[12:] + _mac(mac) + struct.pack("!H", _IPV6) + ip + body)

    def close(self) -> None:
        self._plug.close()


@contextmanager
def wire(node: Node) -> Iterator[Wire]:
    one = Wire(node.fabric)
    try:
        yield one
    finally:
        one.close()


def _parse(data: bytes) -> Frame:
    ip, body = data[14:54], data[54:]
    icmp = body[0] if ip[6] == _ICMPV6 else 0
    told = tuple(_told(body[_OPTIONS[icmp] :])) if icmp in _OPTIONS else ()
    source, target = (socket.inet_ntop(socket.AF_INET6, ip[at : at + 16]) for at in (8, 24))
    return Frame(data[:6].hex(":"), data[6:12].hex(":"), source, target, icmp, told)


def _told(options: bytes) -> Iterator[str]:
    while len(options) >= 8 and options[1]:
        if options[0] in (1, 2):
            yield options[2:8].hex(":")
        options = options[8 * options[1] :]


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def _checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
