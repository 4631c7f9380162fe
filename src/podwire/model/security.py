"""Network security groups as values: rules, their defaults, what may stand in them.

What they say of one NIC's packets: effective_security. Source: Azure's network security groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from podwire.model.errors import InvalidInputError

ANY = "*"
HIGHEST_PORT = 65535


class _Word(StrEnum):
    """One of Azure's words, read in any case of letters."""

    @classmethod
    def _missing_(cls, value: object) -> _Word | None:
        return next((one for one in cls if one.lower() == str(value).lower()), None)


class Direction(_Word):
    """As seen from the NIC."""

    INBOUND = "Inbound"
    OUTBOUND = "Outbound"


class Access(_Word):
    ALLOW = "Allow"
    DENY = "Deny"


class Protocol(_Word):
    ANY = "*"
    TCP = "Tcp"
    UDP = "Udp"
    ICMP = "Icmp"
    ESP = "Esp"
    AH = "Ah"

    @property
    def has_ports(self) -> bool:
        return self in (Protocol.TCP, Protocol.UDP)


def port_range(text: str) -> tuple[int, int]:
    """First and last port of "80", "8000-8080" or "*". Raises InvalidInputError."""
    if text == ANY:
        return 0, HIGHEST_PORT
    first, _, last = text.partition("-")
    try:
        low, high = int(first), int(last or first)
    except ValueError:
        low, high = -1, -1
    if not 0 <= low <= high <= HIGHEST_PORT:
        raise InvalidInputError(
            f"Security rule has invalid Port range. Value provided: {text}. Value should be an "
            f"integer OR integer range with '-' delimiter. Valid range 0-{HIGHEST_PORT}.",
            code="SecurityRuleInvalidPortRange",
        )
    return low, high


@dataclass(frozen=True, slots=True)
class SecurityRule:
    """One rule; of those that match a packet the one with the lowest priority number decides.

    priority: 100 to 4096, unique in its group and direction. sources, destinations: CIDRs,
    addresses, service tags or "*". source_ports, destination_ports: "80", "8000-8080" or "*".
    Raises InvalidInputError for other ports.
    """

    name: str
    priority: int
    direction: Direction
    access: Access
    protocol: Protocol = Protocol.ANY
    sources: tuple[str, ...] = (ANY,)
    destinations: tuple[str, ...] = (ANY,)
    source_ports: tuple[str, ...] = (ANY,)
    destination_ports: tuple[str, ...] = (ANY,)

    def __post_init__(self) -> None:
        for one in (*self.source_ports, *self.destination_ports):
            port_range(one)


@dataclass(frozen=True, slots=True)
class SecurityGroup:
    """rules: the user's, in any order; the six default ones come after them."""

    name: str
    rules: tuple[SecurityRule, ...] = ()

    def rules_of(self, direction: Direction) -> tuple[SecurityRule, ...]:
        """All rules of one direction, the first that matches decides."""
        every = (*self.rules, *DEFAULT_RULES)
        mine = (one for one in every if one.direction == direction)
        return tuple(sorted(mine, key=lambda one: one.priority))


def _default(
    name: str, priority: int, direction: Direction, source: str, destination: str, access: Access
) -> SecurityRule:
    return SecurityRule(
        name, priority, direction, access, sources=(source,), destinations=(destination,)
    )


_IN, _OUT = Direction.INBOUND, Direction.OUTBOUND
_VNET = "VirtualNetwork"
DEFAULT_RULES = (
    _default("AllowVnetInBound", 65000, _IN, _VNET, _VNET, Access.ALLOW),
    _default("AllowAzureLoadBalancerInBound", 65001, _IN, "AzureLoadBalancer", ANY, Access.ALLOW),
    _default("DenyAllInBound", 65500, _IN, ANY, ANY, Access.DENY),
    _default("AllowVnetOutBound", 65000, _OUT, _VNET, _VNET, Access.ALLOW),
    _default("AllowInternetOutBound", 65001, _OUT, ANY, "Internet", Access.ALLOW),
    _default("DenyAllOutBound", 65500, _OUT, ANY, ANY, Access.DENY),
)
"""What every group ends with; no user's rule has so high a number."""
