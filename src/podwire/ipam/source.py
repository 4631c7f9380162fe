"""What a source of addresses says: the node's network cards with their subnets and addresses.

Source of the document's shape: the answer of Azure's wire server to getinterfaceinfov1.
Must not know who holds an address, nor how the document was fetched.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Protocol

from podwire.model.errors import UnavailableError

LARGEST = 4 << 20
"""Bytes of a source's answer that are read at most; a real one has some thousands."""


@dataclass(frozen=True, slots=True)
class SubnetAddresses:
    """One subnet of a card. subnet: CIDR; primary: the node's own address, never handed out.

    addresses: the secondary ones, which pods get, in the document's order.
    router: the gateway when it is not where Azure has it.
    """

    subnet: str
    primary: str
    addresses: tuple[str, ...]
    router: str = ""

    @property
    def gateway(self) -> str:
        """Azure's gateway is the subnet's first host."""
        return self.router or str(ipaddress.ip_network(self.subnet).network_address + 1)


@dataclass(frozen=True, slots=True)
class Card:
    """mac: lower case with colons, "" for any card; primary: the one that the node's traffic
    takes."""

    mac: str
    primary: bool
    subnets: tuple[SubnetAddresses, ...]


class Source(Protocol):
    """Somebody who knows which addresses the node has."""

    @property
    def name(self) -> str:
        """For messages, and to tell whether what is cached came from here."""

    @property
    def local(self) -> bool:
        """Whether asking costs next to nothing, so that there is no need to ask beside a call."""

    def cards(self) -> tuple[Card, ...]:
        """The node's cards now. Raises UnavailableError with the source and the reason."""


def parse_interfaces(document: bytes) -> tuple[Card, ...]:
    """The cards of a getinterfaceinfov1 document. Raises UnavailableError when it makes no sense.

    A document without any address is refused too: believed, it would empty the pool. One with a
    DOCTYPE is refused where that begins, so that no entity is ever expanded.
    """
    from pyexpat import ExpatError, ParserCreate  # late: most calls ask nothing

    reader, parser = _Reader(), ParserCreate()
    parser.StartElementHandler = reader.start
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(document, True)
        cards = reader.cards()
    except (ExpatError, ValueError) as error:
        raise UnavailableError(
            f"the wire server's answer cannot be read: {error}; it begins {document[:80]!r}"
        ) from error
    return require_addresses(cards, "the wire server's answer")


def require_addresses(cards: tuple[Card, ...], what: str) -> tuple[Card, ...]:
    """`cards`, unless they have no address for pods: then UnavailableError."""
    if not any(subnet.addresses for card in cards for subnet in card.subnets):
        raise UnavailableError(f"{what} lists no secondary address; give the node's NIC some")
    return cards


class _Reader:
    """Collects cards from a document's elements; keeps no tree."""

    def __init__(self) -> None:
        self._cards: list[tuple[str, bool, list[tuple[str, list[tuple[str, bool]]]]]] = []

    def start(self, name: str, has: dict[str, str]) -> None:
        primary = has.get("IsPrimary", "").lower() == "true"
        if name == "Interface":
            self._cards.append((has.get("MacAddress", ""), primary, []))
        elif name == "IPSubnet" and self._cards:
            self._cards[-1][2].append((has.get("Prefix", ""), []))
        elif name == "IPAddress" and self._cards and self._cards[-1][2]:
            self._cards[-1][2][-1][1].append((has.get("Address", ""), primary))

    def cards(self) -> tuple[Card, ...]:
        return tuple(
            Card(parse_mac(mac), primary, tuple(make_subnet(*one) for one in subnets))
            for mac, primary, subnets in self._cards
        )


def _refuse_doctype(*_: object) -> None:
    raise ValueError("it has a DOCTYPE, which the wire server never sends")


def make_subnet(prefix: str, addresses: list[tuple[str, bool]]) -> SubnetAddresses:
    """addresses: each with whether it is the primary one. Raises ValueError."""
    network = ipaddress.ip_network(prefix)
    primary, others = "", []
    for text, is_primary in addresses:
        address = ipaddress.ip_address(text)
        if address not in network:
            raise ValueError(f"{address} is not in {network}")
        if is_primary:
            primary = str(address)
        else:
            others.append(str(address))
    return SubnetAddresses(str(network), primary, tuple(others))


def parse_mac(text: str) -> str:
    """Twelve hex digits, with or without separators. Raises ValueError."""
    digits = bytes.fromhex(text.replace(":", "").replace("-", ""))
    if len(digits) != 6:
        raise ValueError(f"MacAddress {text!r} is not 12 hex digits")
    return digits.hex(":")
