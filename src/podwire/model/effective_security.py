"""What the security groups say of a NIC's packets: the rules with their tags resolved, the verdict.

Inbound the subnet's group is asked first, then the NIC's; outbound the other way round; each that
is there must allow. It is asked of a flow's first packet only: what belongs to a flow that was let
through passes both ways. Source: Azure's network security groups, "how traffic is evaluated".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from podwire.model.prefixes import Networks, holds
from podwire.model.security import (
    HIGHEST_PORT,
    Access,
    Direction,
    Protocol,
    SecurityGroup,
    SecurityRule,
    port_range,
)
from podwire.model.service_tags import PLATFORM, Tags, expand, tags_of
from podwire.model.vnet import Nic, VNet

BY_SUBNET, BY_NIC = "Subnet", "NetworkInterface"
Ports = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Packet:
    """A flow's first packet. protocol: None when it is none of those that rules can name."""

    protocol: Protocol | None
    source: str
    destination: str
    source_port: int = 0
    destination_port: int = 0


@dataclass(frozen=True, slots=True)
class EffectiveRule:
    """A rule with its tags resolved to networks and its ports to ranges (first, last)."""

    rule: SecurityRule
    sources: Networks
    destinations: Networks
    source_ports: Ports
    destination_ports: Ports

    @classmethod
    def of(cls, rule: SecurityRule, tags: Tags) -> EffectiveRule:
        """Raises InvalidInputError."""
        return cls(
            rule,
            expand(rule.sources, tags),
            expand(rule.destinations, tags),
            tuple(sorted(port_range(one) for one in rule.source_ports)),
            tuple(sorted(port_range(one) for one in rule.destination_ports)),
        )

    @property
    def every_port(self) -> bool:
        """What has no ports matches such rules only."""
        whole = (0, HIGHEST_PORT)
        return whole in self.source_ports and whole in self.destination_ports

    def matches(self, packet: Packet) -> bool:
        if self.rule.protocol not in (Protocol.ANY, packet.protocol):
            return False
        if not holds(self.sources, packet.source):
            return False
        return holds(self.destinations, packet.destination) and self._matches_ports(packet)

    def _matches_ports(self, packet: Packet) -> bool:
        if packet.protocol is None or not packet.protocol.has_ports:
            return self.every_port
        return _within(self.source_ports, packet.source_port) and _within(
            self.destination_ports, packet.destination_port
        )


def _within(ports: Ports, port: int) -> bool:
    return any(first <= port <= last for first, last in ports)


@dataclass(frozen=True, slots=True)
class EffectiveGroup:
    """A group where it applies. association: BY_SUBNET or BY_NIC; rules: in their order."""

    group: str
    association: str
    rules: tuple[EffectiveRule, ...]

    def of(self, direction: Direction) -> Iterator[EffectiveRule]:
        return (one for one in self.rules if one.rule.direction == direction)


@dataclass(frozen=True, slots=True)
class Decision:
    """deciders: (group, rule) of each group that was asked, the last one being the one that denied
    when not allowed; none when there is no group."""

    allowed: bool
    deciders: tuple[tuple[str, str], ...] = ()


def effective_rules(nic: Nic, vnet: VNet) -> tuple[EffectiveGroup, ...]:
    """The subnet's group and the NIC's, those that are there. Raises InvalidInputError."""
    subnet = vnet.subnet_of(nic)
    pairs = ((BY_SUBNET, subnet.security if subnet else None), (BY_NIC, nic.security))
    have = [(group, where) for where, group in pairs if group is not None]
    if not have:
        return ()
    tags = tags_of(nic, vnet)
    return tuple(_effective(group, where, tags) for group, where in have)


def _effective(group: SecurityGroup, association: str, tags: Tags) -> EffectiveGroup:
    rules = (one for direction in Direction for one in group.rules_of(direction))
    return EffectiveGroup(
        group.name, association, tuple(EffectiveRule.of(one, tags) for one in rules)
    )


def evaluate(packet: Packet, direction: Direction, nic: Nic, vnet: VNet) -> Decision:
    """Whether the NIC's groups let the packet in or out, and which rules say so.

    What the control plane sends is let in: in AKS it comes through a tunnel that the node opened.
    """
    if holds(PLATFORM, packet.source):
        return Decision(allowed=True)
    groups = effective_rules(nic, vnet)
    deciders: list[tuple[str, str]] = []
    for one in groups if direction == Direction.INBOUND else reversed(groups):
        rule = next(rule.rule for rule in one.of(direction) if rule.matches(packet))
        deciders.append((one.group, rule.name))
        if rule.access == Access.DENY:
            return Decision(allowed=False, deciders=tuple(deciders))
    return Decision(allowed=True, deciders=tuple(deciders))
