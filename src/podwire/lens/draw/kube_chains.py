"""What a node's iptables make of a service: KUBE-SERVICES, KUBE-SVC-..., KUBE-SEP-..., DNAT.

Reads the rules that kube-proxy wrote, in the nat table of a space; knows no service but by its
address, protocol and port. Source: kube-proxy's iptables mode, and docs of iptables-save.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from podwire.lens.snapshot import IptablesRule, Space

_JUMP = re.compile(r"(?:^|\s)-[jg] (\S+)")
_DESTINATION = re.compile(r"(?:^|\s)-d (\S+)")
_PROTOCOL = re.compile(r"(?:^|\s)-p (\S+)")
_PORT = re.compile(r"--dport (\d+)")
_CHANCE = re.compile(r"--probability ([0-9.]+)")
_DNAT = re.compile(r"--to-destination (\S+)")


@dataclass(frozen=True, slots=True)
class Backend:
    """chain: KUBE-SEP-...; target: ADDRESS:PORT, "" when its chain has no DNAT. chance: how often
    it is chosen, of all connections; packets: that its DNAT has counted."""

    chain: str
    target: str
    chance: float
    packets: int = 0


@dataclass(frozen=True, slots=True)
class Chains:
    """The nat tables of a space, of IPv4."""

    rules: dict[str, tuple[IptablesRule, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, space: Space) -> Chains:
        tables = (one for one in space.iptables if one.name == "nat" and one.family == 4)
        return cls({chain.name: chain.rules for table in tables for chain in table.chains})

    def of_service(self, address: str, protocol: str, port: int) -> str:
        """The chain that KUBE-SERVICES leads to for what goes there; "" for none."""
        wanted = (f"{address}/32", protocol.lower(), str(port))
        for rule in self.rules.get("KUBE-SERVICES", ()):
            found = (_one(_DESTINATION, rule), _one(_PROTOCOL, rule), _one(_PORT, rule))
            target = _one(_JUMP, rule)
            if found == wanted and target.startswith("KUBE-SVC-"):
                return target
        return ""

    def backends(self, chain: str) -> tuple[Backend, ...]:
        """In the order of the rules; a rule's probability is of what the ones before left."""
        found, left = [], 1.0
        for rule in self.rules.get(chain, ()):
            target = _one(_JUMP, rule)
            if not target.startswith("KUBE-SEP-"):
                continue
            said = _one(_CHANCE, rule)
            chance = left * float(said) if said else left
            left -= chance
            found.append(self._backend(target, chance))
        return tuple(found)

    def _backend(self, chain: str, chance: float) -> Backend:
        for rule in self.rules.get(chain, ()):
            if target := _one(_DNAT, rule):
                return Backend(chain, target, chance, rule.packets)
        return Backend(chain, "", chance)


def _one(pattern: re.Pattern[str], rule: IptablesRule) -> str:
    found = pattern.search(rule.text)
    return found.group(1) if found else ""
