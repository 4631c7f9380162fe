"""A packet while it is walked: what hooks look at and change, and the connections they remember.

Named after the kernel's sk_buff. Must not know where it is walked.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from podwire.lens.explain.values import Entry, Packet

Tuple: TypeAlias = tuple[str, int, str, int]
"""Source, source port, destination, destination port."""
CtState: TypeAlias = Literal["new", "established", "untracked", ""]
BROADCAST = "ff:ff:ff:ff:ff:ff"
EPHEMERAL = 40000
"""The source port that a walked packet has; any would do."""


@dataclass(slots=True)
class Flow:
    """A connection of one namespace: its first packet as it came and as it went."""

    protocol: str
    original: Tuple
    final: Tuple

    @property
    def reply(self) -> Tuple:
        src, sport, dst, dport = self.final
        return dst, dport, src, sport

    @property
    def translated_destination(self) -> bool:
        return self.original[2:] != self.final[2:]

    @property
    def translated_source(self) -> bool:
        return self.original[:2] != self.final[:2]


@dataclass(slots=True)
class Arp:
    """asked: the address that is asked for; operation: "request" or "reply"."""

    operation: str
    sender_ip: str
    sender_mac: str
    target_ip: str
    target_mac: str = "00:00:00:00:00:00"


@dataclass(slots=True)
class Skb:
    """protocol, src, ...: as in values.Packet. iif, oif: the links that hooks see; physin, physout:
    the ports of a bridged packet. flow, state: what connection tracking of this namespace says.
    seen: the prerouting hooks have been passed already, as a bridged packet.
    """

    protocol: str
    src: str
    dst: str
    sport: int = 0
    dport: int = 0
    mark: int = 0
    smac: str = ""
    dmac: str = ""
    size: int = 0
    reply: bool = False
    iif: str = ""
    oif: str = ""
    physin: str = ""
    physout: str = ""
    pkttype: str = "host"
    flow: Flow | None = None
    state: CtState = ""
    seen: bool = False
    arp: Arp | None = None
    dmac_by: Entry | None = None
    """What said that dmac is the next hop's."""
    fdb_by: Entry | None = None
    """The forwarding entry of the last bridge."""
    route_by: Entry | None = None
    """The route that brought it to where it is."""

    @property
    def tuple(self) -> Tuple:
        return self.src, self.sport, self.dst, self.dport

    def packet(self) -> Packet:
        return Packet(
            protocol=self.protocol,
            src=self.src,
            dst=self.dst,
            sport=self.sport,
            dport=self.dport,
            mark=self.mark,
            smac=self.smac,
            dmac=self.dmac,
            size=self.size,
            reply=self.reply,
        )

    def enter(self) -> None:
        """Another namespace knows nothing of what the last one noted (skb_scrub_packet)."""
        self.mark, self.flow, self.state, self.seen = 0, None, "", False
        self.iif = self.oif = self.physin = self.physout = ""
        self.pkttype = "broadcast" if self.dmac == BROADCAST else "host"

    def answer(self) -> Skb:
        """What comes back from where this one arrived."""
        return replace(
            self._bare(), src=self.dst, dst=self.src, sport=self.dport, dport=self.sport, reply=True
        )

    def _bare(self) -> Skb:
        return Skb(self.protocol, self.src, self.dst, self.sport, self.dport, size=self.size)
