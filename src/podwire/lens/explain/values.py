"""What explain says, as values: packet, hop, deciding entry, culprit, the whole explanation.

The interface for those who show or prove an explanation (trace, the page, the command line). Must
not know how anything is decided.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from podwire.lens.names import Target, Thing

Verdict: TypeAlias = Literal["delivered", "dropped", "refused", "unknown"]
"""refused: the sender is told (ICMP error or TCP reset). unknown: something on the way is not in
the snapshot, or is not understood."""


@dataclass(frozen=True, slots=True)
class Packet:
    """What is on the way. protocol: "tcp", "udp", "icmp"; ports: 0 for none; mark: nft's meta mark.

    smac, dmac: of the frame that carries it, "" where it is in none. size: bytes of the IP packet,
    0 for a small one. reply: it answers.
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


@dataclass(frozen=True, slots=True)
class Entry:
    """What decides at a hop: a route, a rule, an element, a flag.

    kind: "route", "rule" (of policy routing), "neighbour", "fdb", "link", "port", "iptables",
    "nft", "sysctl", "address", "socket", "conntrack", "nsg", "udr", "nic", "balancer", "service",
    "endpoint", "resolv.conf". text: as the tool prints it. object: the `data-object` of the thing
    that it belongs to, as in "link node/n1 azure0". show: the command that shows it.
    """

    kind: str
    text: str
    object: str = ""
    show: str = ""


@dataclass(frozen=True, slots=True)
class Hop:
    """One step. place: a short machine name such as "node route", "bridge table", "iptables nat",
    "fabric nsg". space: the id of the network namespace. packet: as it is after this hop.

    link_in, link_out: by which links it comes and goes, "" for none. verdict: "" when it goes on.
    notes: what was not understood, and what is worth knowing.
    """

    place: str
    space: str
    text: str
    packet: Packet
    link_in: str = ""
    link_out: str = ""
    entry: Entry | None = None
    verdict: Verdict | Literal[""] = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Culprit:
    """Why a packet does not arrive.

    fault: a stable name of the kind of fault, as in "pod-route-missing" (all: `faults.FAULTS`).
    place: the hop's. object: the `data-object` of the thing to blame. text: what is wrong, naming
    it. show: the exact command that shows it; mend: what would mend it, "" when nothing is known.
    """

    fault: str
    text: str
    place: str
    space: str
    object: str
    entry: Entry | None = None
    show: str = ""
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Branch:
    """One backend of a service, as the rules of the node choose it. backend: address:port.

    probability: of this backend, 0 to 1. pod: namespace/name, "" for none. rule: the rule that
    chooses it. culprit: why it fails, None when it serves.
    """

    backend: str
    probability: float
    rule: str
    pod: str = ""
    chosen: bool = False
    verdict: Verdict = "delivered"
    culprit: Culprit | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """The way there and back. verdict: of both, "delivered" only when the answer arrives as well.

    culprit: set unless delivered; it may be on the way back. mtu: the least on the way, bytes.
    branches: backends of the service that is asked, none when none is. warnings: what does not stop
    this packet: MTUs that differ, backends that fail, what the snapshot could not read.
    """

    source: Thing
    target: Target
    hops: tuple[Hop, ...]
    reply: tuple[Hop, ...]
    verdict: Verdict
    culprit: Culprit | None = None
    branches: tuple[Branch, ...] = ()
    warnings: tuple[str, ...] = ()
    mtu: int = 0
    suspects: tuple[Culprit, ...] = ()
    """What is wrong and does not stop this packet; warnings has their texts."""
