"""What a node's iptables make of a service: KUBE-SERVICES, KUBE-SVC-..., KUBE-SEP-..., DNAT.

Reads the rules that kube-proxy wrote, in the nat table of a space; knows no service but by its
address, protocol and port. Source: kubernetes 1.20, pkg/proxy/iptables/proxier.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from podwire.lens.iptrule import Rule, parse
from podwire.lens.snapshot import IptablesChain, Space

SNAT = "kubenet: SNAT for outbound traffic from cluster"
"""The comment of the rule by which kubenet hides its pods."""


@dataclass(frozen=True, slots=True)
class Backend:
    """chain: KUBE-SEP-...; target: ADDRESS:PORT, "" when its chain has no DNAT. chance: how often
    it is chosen, of all connections; rule: by which; packets: that its DNAT has counted."""

    chain: str
    target: str
    chance: float
    packets: int = 0
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Chains:
    """The nat tables of a space, of IPv4: chains by name."""

    chains: Mapping[str, IptablesChain] = field(default_factory=dict)

    @classmethod
    def of(cls, space: Space) -> Chains:
        tables = (one for one in space.iptables if one.name == "nat" and one.family == 4)
        return cls({chain.name: chain for table in tables for chain in table.chains})

    def of_service(self, address: str, protocol: str, port: int) -> str:
        """The chain that KUBE-SERVICES leads to for what goes there; "" for none."""
        wanted = (f"{address}/32", protocol.lower(), str(port))
        for text in self._texts("KUBE-SERVICES"):
            if wanted[0] not in text or "KUBE-SVC-" not in text:
                continue  # most of them: they need not be parsed
            rule = parse(text)
            if _goes_to(rule) == wanted:
                return rule.target
        return ""

    def backends(self, chain: str) -> tuple[Backend, ...]:
        """In the order of the rules; a rule's probability is of what the ones before left.

        Rules that follow a client's last choice (session affinity) are no choice of their own.
        """
        found, left = [], 1.0
        for text in self._texts(chain):
            rule = parse(text)
            if not rule.target.startswith("KUBE-SEP-") or "--rcheck" in text:
                continue
            said = _value(rule, "--probability")
            chance = left * float(said) if said else left
            left -= chance
            found.append(self._backend(rule, chance))
        return tuple(found)

    def _backend(self, rule: Rule, chance: float) -> Backend:
        chain = self.chains.get(rule.target)
        for one in chain.rules if chain else ():
            if target := parse(one.text).options.get("--to-destination"):
                return Backend(rule.target, target, chance, one.packets, rule.text)
        return Backend(rule.target, "", chance, rule=rule.text)

    def _texts(self, name: str) -> list[str]:
        chain = self.chains.get(name)
        return [one.text for one in chain.rules] if chain else []


def _goes_to(rule: Rule) -> tuple[str, str, str]:
    """Destination, protocol and port of what the rule takes."""
    return _value(rule, "-d"), _value(rule, "-p"), _value(rule, "--dport")


def _value(rule: Rule, name: str) -> str:
    return next((one.value for one in rule.matches if one.name == name), "")
