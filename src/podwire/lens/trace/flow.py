"""Which of the captured frames belong to one packet's way, whatever NAT does to them. Pure.

TCP is known by its sequence numbers and ICMP and UDP by what they carry: no NAT changes either.
Answers of UDP, and errors, are known by the addresses and ports that the packet had on its way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from podwire.lens.trace.packets import ECHO, ECHO_REPLY, Packet, parse
from podwire.lens.trace.values import Captured, Role, Sighting

REACH = 1 << 17
"""How far behind its first sequence number a connection is still followed, bytes."""
_WORD = 1 << 32
Ends = tuple[str, int, str, int]


@dataclass(slots=True)
class Flow:
    """protocol: "tcp", "udp", "icmp". sequence: of the SYN, TCP's; token: bytes that the packet
    carries, UDP's and ICMP's."""

    protocol: str
    sequence: int = 0
    token: bytes = b""
    known: dict[Ends, None] = field(default_factory=dict)
    """Addresses and ports that the packet has had, the first one first."""
    ids: set[tuple[str, str, int]] = field(default_factory=set)
    """Source, destination and IP id, by which later fragments are known."""
    _others: set[tuple[str, int]] = field(default_factory=set)

    def role(self, packet: Packet) -> Role | None:
        """None for what is another's. To be asked in order of time."""
        if packet.kind == "fragment":
            return "probe" if (packet.src, packet.dst, packet.ip_id) in self.ids else None
        if packet.inner is not None:
            return "error" if self._is_ours(packet.inner) else None
        if packet.kind != self.protocol:
            return None
        found = {"tcp": self._tcp, "icmp": self._icmp, "udp": self._udp}[packet.kind](packet)
        if found == "probe":
            self.known.setdefault(packet.ends)
            self.ids.add((packet.src, packet.dst, packet.ip_id))
        return found

    def role_of_cut(self, packet: Packet) -> Role | None:
        """The same of one whose payload is cut short, once the whole ones were asked for."""
        if (found := self.role(packet)) or packet.kind != self.protocol:
            return found
        if packet.kind == "icmp" and packet.payload and self.token.startswith(packet.payload):
            return "probe" if packet.kind_of == ECHO else "answer"
        return "probe" if packet.kind == "udp" and packet.ends in self.known else None

    def _tcp(self, packet: Packet) -> Role | None:
        if (packet.seq - self.sequence) % _WORD < REACH:
            return "probe"
        return "answer" if 0 < (packet.ack - self.sequence) % _WORD < REACH else None

    def _icmp(self, packet: Packet) -> Role | None:
        if self.token not in packet.payload:
            return None
        if packet.kind_of == ECHO:
            return "probe"
        return "answer" if packet.kind_of == ECHO_REPLY else None

    def _udp(self, packet: Packet) -> Role | None:
        if packet.reversed in self.known:
            return "answer"
        return "probe" if self.token in packet.payload and self._goes_on(packet) else None

    def _goes_on(self, packet: Packet) -> bool:
        """Not so what the receiver sends on in its own name, as one DNS server asks another."""
        sent_on = packet.src in {end[2] for end in self.known}
        if sent_on or (packet.dst, packet.dport) in self._others:
            self._others.add((packet.dst, packet.dport))
            return False
        return True

    def _is_ours(self, inner: Packet) -> bool:
        if inner.kind == "tcp" and inner.kind == self.protocol:
            return (inner.seq - self.sequence) % _WORD < REACH or inner.reversed in self.known
        return inner.kind == self.protocol and (
            inner.ends in self.known or inner.reversed in self.known
        )


def of_packet(packet: Packet) -> Flow:
    """The flow of a packet that was seen: of real traffic."""
    if packet.kind == "tcp":
        return Flow("tcp", sequence=packet.seq)
    return Flow(packet.kind, token=packet.payload[:64])


def sightings(frames: Iterable[Captured], flow: Flow, near: Iterable[str]) -> list[Sighting]:
    """In order of time. near: addresses whose ARP is of interest besides those of the packet.

    Frames of one namespace come in the order in which they passed; equal times keep it.
    """
    read = [(one, parse(one.data)) for one in sorted(frames, key=lambda one: one.at)]
    found = [
        (one, packet, flow.role(packet))
        for one, packet in read
        if packet is not None and packet.kind != "arp"
    ]
    mine = {id(one): role for one, _, role in found if role}
    wanted = {*near, *(end for ends in flow.known for end in (ends[0], ends[2]))}
    for one, packet in read:
        if packet is not None and packet.kind == "arp" and packet.dst in wanted:
            mine[id(one)] = "arp"
    return list(
        _told((one, packet, mine[id(one)]) for one, packet in read if packet and id(one) in mine)
    )


def _told(found: Iterable[tuple[Captured, Packet, Role]]) -> Iterator[Sighting]:
    before: dict[str, Sighting] = {}
    seen: set[tuple[object, ...]] = set()
    for one, packet, role in found:
        last = before.get(role)
        key = (
            *(one.space, one.link, one.outgoing, role, packet.kind, packet.ends, packet.code),
            *(packet.seq, packet.flags, packet.payload),
        )
        sighting = Sighting(
            *(one.at, one.space, one.link, one.outgoing, role, packet),
            changes=changes(last.packet, packet) if last else (),
            took=one.at - last.at if last else 0,
            again=key in seen,
        )
        seen.add(key)
        before[role] = sighting
        yield sighting


def changes(old: Packet, new: Packet) -> tuple[str, ...]:
    """What is other in `new`, in words; of ARP nothing."""
    if "arp" in (old.kind, new.kind):
        return ()
    pairs = (
        ("from", f"{old.src}:{old.sport}", f"{new.src}:{new.sport}"),
        ("to", f"{old.dst}:{old.dport}", f"{new.dst}:{new.dport}"),
        ("TTL", str(old.ttl), str(new.ttl)),
        ("MAC from", old.smac, new.smac),
        ("MAC to", old.dmac, new.dmac),
    )
    return tuple(f"{name} {a} -> {b}" for name, a, b in pairs if a != b)
