"""What a source of addresses says: the node's network cards with their subnets and addresses.

Source of the document's shape: the answer of Azure's wire server to getinterfaceinfov1.
Must not know who holds an address, nor how the document was fetched.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from podwire.model.errors import UnavailableError


@dataclass(frozen=True, slots=True)
class SubnetAddresses:
    """One subnet of a card. subnet: CIDR; primary: the node's own address, never handed out.

    addresses: the secondary ones, which pods get, in the document's order.
    """

    subnet: str
    primary: str
    addresses: tuple[str, ...]

    @property
    def gateway(self) -> str:
        """Azure's gateway is the subnet's first host."""
        return str(ipaddress.ip_network(self.subnet).network_address + 1)


@dataclass(frozen=True, slots=True)
class Card:
    """mac: lower case with colons; primary: the card that the node's traffic takes."""

    mac: str
    primary: bool
    subnets: tuple[SubnetAddresses, ...]


def parse_interfaces(document: bytes) -> tuple[Card, ...]:
    """The cards of a getinterfaceinfov1 document. Raises UnavailableError when it makes no sense.

    A document without any address is refused too: believed, it would empty the pool.
    """
    import xml.etree.ElementTree as Tree  # late: most calls ask nothing

    try:
        root = Tree.fromstring(document)
        cards = tuple(_card(element) for element in root.iter("Interface"))
    except (Tree.ParseError, ValueError) as error:
        raise UnavailableError(
            f"the wire server's answer cannot be read: {error}; it begins {document[:80]!r}"
        ) from error
    if not any(subnet.addresses for card in cards for subnet in card.subnets):
        raise UnavailableError(
            "the wire server's answer lists no secondary address; give the node's NIC some"
        )
    return cards


def _card(element: object) -> Card:
    find, get = element.iterfind, element.get  # type: ignore[attr-defined]
    return Card(
        mac=_mac(get("MacAddress", "")),
        primary=get("IsPrimary", "").lower() == "true",
        subnets=tuple(_subnet(one) for one in find("IPSubnet")),
    )


def _subnet(element: object) -> SubnetAddresses:
    find, get = element.iterfind, element.get  # type: ignore[attr-defined]
    prefix = str(ipaddress.ip_network(get("Prefix", "")))
    primary, others = "", []
    for one in find("IPAddress"):
        address = str(ipaddress.ip_address(one.get("Address", "")))
        if one.get("IsPrimary", "").lower() == "true":
            primary = address
        else:
            others.append(address)
    return SubnetAddresses(prefix, primary, tuple(others))


def _mac(text: str) -> str:
    digits = bytes.fromhex(text.replace(":", "").replace("-", ""))
    if len(digits) != 6:
        raise ValueError(f"MacAddress {text!r} is not 12 hex digits")
    return digits.hex(":")
