"""A base chain of nftables run over a packet: which rule decides, and what rules do to it.

Must not know in which order chains are asked (that is `hooks`). Sources: nft(8),
libnftables-json(5).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from podwire.lens.explain.iptables import ACCEPT, DROP, REJECT, Nat
from podwire.lens.explain.iptrules import NotUnderstoodError
from podwire.lens.explain.nftexpr import AbsentError, Context, Sets, Value
from podwire.lens.explain.routing import within
from podwire.lens.explain.skb import Skb
from podwire.lens.explain.world import Stack
from podwire.lens.nfttext import expression, rule_text

_NOTHING = {"counter", "log", "limit", "comment", "quota", "set", "flow", "notrack", "last"}
_RETURN = "return"
DEDUP = "KUBE-DEDUP"
_DEEPEST = 16


@dataclass(frozen=True, slots=True)
class Chain:
    """A base chain, or one that is jumped to. hook, priority: of a base chain."""

    family: str
    table: str
    name: str
    hook: str = ""
    priority: int = 0
    policy: str = ACCEPT
    device: str = ""
    kind: str = "filter"


@dataclass(slots=True)
class NftOutcome:
    """As iptables.Outcome. changed: the rules that changed the packet, in nft's words; missed: the
    map lookups that found nothing, as (map, key)."""

    chain: Chain
    verdict: str = ACCEPT
    rule: str = ""
    nat: Nat | None = None
    notrack: bool = False
    changed: list[str] = field(default_factory=list)
    missed: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        where = f"{self.chain.family} {self.chain.table} {self.chain.name}"
        done = self.rule or (self.changed[-1] if self.changed else "")
        return f"{where}: {done or f'policy {self.chain.policy}'}"


class Ruleset:
    """A namespace's nft objects, by chain."""

    def __init__(self, stack: Stack) -> None:
        self.objects = stack.space.nft
        self.sets = Sets(self.objects)

    @cached_property
    def chains(self) -> Mapping[tuple[str, str, str], Chain]:
        bodies = (one["chain"] for one in self.objects if "chain" in one)
        return {(b["family"], b["table"], b["name"]): _chain(b) for b in bodies}

    @cached_property
    def rules(self) -> Mapping[tuple[str, str, str], list[Mapping[str, Any]]]:
        found: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
        for one in self.objects:
            if body := one.get("rule"):
                key = (body["family"], body["table"], body["chain"])
                found.setdefault(key, []).append(body)
        return found

    def base_chains(self, families: tuple[str, ...], hook: str) -> list[Chain]:
        have = [one for one in self.chains.values() if one.hook == hook and one.family in families]
        return sorted(have, key=lambda one: one.priority)


def _chain(body: Mapping[str, Any]) -> Chain:
    return Chain(
        body["family"],
        body["table"],
        body["name"],
        body.get("hook", ""),
        int(body.get("prio", 0)),
        body.get("policy", ACCEPT),
        str(body.get("dev", "")),
        body.get("type", "filter"),
    )


class NftRun:
    """One base chain over one packet, which it changes."""

    def __init__(self, ruleset: Ruleset, stack: Stack, chain: Chain, skb: Skb) -> None:
        self._rules, self._skb = ruleset, skb
        self._context = Context(skb, stack, ruleset.sets, chain.family, chain.table)
        self.out = NftOutcome(chain)

    def run(self) -> NftOutcome:
        if not self._chain(self.out.chain.name, 0):
            self.out.verdict = self.out.chain.policy
        return self.out

    def _chain(self, name: str, depth: int) -> bool:
        """Whether something in it decided."""
        base = self.out.chain
        if depth > _DEEPEST:
            self.out.notes.append(f"not understood: chains nested deeper than {_DEEPEST}")
            return False
        if name == DEDUP:
            return self._deduplicates()
        for rule in self._rules.rules.get((base.family, base.table, name), ()):
            ended = self._rule(rule, depth)
            if ended == _RETURN:
                return False
            if ended:
                return True
        return False

    def _deduplicates(self) -> bool:
        """Kubenet's chain: nft's JSON does not show what its ebtables rules match.

        What the bridge itself sends with its own MAC and a pod's source is a second copy.
        Source: kubernetes 1.20 pkg/kubelet/dockershim/network/kubenet/kubenet_linux.go.
        """
        skb, stack = self._skb, self._context.stack
        bridge = stack.links.get(skb.oif)
        own = [one.cidr for one in stack.space.addresses if one.link == skb.oif]
        copied = skb.arp is None and bridge is not None and skb.smac == bridge.mac
        if not copied or skb.src in stack.local:
            return False
        if not any(":" not in one and within(skb.src, one) for one in own):
            return False
        self.out.verdict, self.out.rule = DROP, f"{DEDUP}: a second copy of {skb.src}'s"
        return True

    def _rule(self, rule: Mapping[str, Any], depth: int) -> str:
        """ "" to go on, _RETURN, or that it decided."""
        try:
            for statement in rule.get("expr", ()):
                ended = self._statement(statement, rule, depth)
                if ended is not None:
                    return ended
        except AbsentError:
            pass
        except NotUnderstoodError as unknown:
            self.out.notes.append(f"not understood: {unknown} in {rule_text(rule)}")
        return ""

    def _statement(self, statement: Any, rule: Mapping[str, Any], depth: int) -> str | None:
        """None to go on in this rule."""
        kind, body = next(iter(statement.items()))
        if kind == "match":
            return None if self._context.matches(body) else ""
        if kind == "mangle":
            self._mangle(body, rule)
            return None
        if kind == "vmap":
            verdict = self._context.lookup(body["key"], body["data"])
            return None if verdict is None else self._verdict(verdict, rule, depth)
        if kind in _NOTHING:
            self.out.notrack = self.out.notrack or kind == "notrack"
            return None
        return self._verdict(statement, rule, depth)

    def _verdict(self, statement: Any, rule: Mapping[str, Any], depth: int) -> str | None:
        kind, body = next(iter(statement.items()))
        if kind == "jump":
            return "decided" if self._chain(body["target"], depth + 1) else None
        if kind == "goto":
            return "decided" if self._chain(body["target"], depth + 1) else _RETURN
        if kind == "return":
            return _RETURN
        if kind == "continue":
            return None
        ends = {"accept": ACCEPT, "drop": DROP, "reject": REJECT}
        if kind in ends:
            self.out.verdict = ends[kind]
        elif kind in ("snat", "dnat", "masquerade", "redirect"):
            self.out.nat = Nat(kind, self._nat_to(body))
        else:
            raise NotUnderstoodError(f"{kind} {body or ''}".strip())
        self.out.rule = rule_text(rule)
        return "decided"

    def _nat_to(self, body: Any) -> str:
        if not isinstance(body, Mapping):
            return ""
        address = self._context.value(body["addr"]) if "addr" in body else ""
        port = self._context.value(body["port"]) if "port" in body else ""
        if isinstance(address, tuple):
            address, port = address
        return f"{address}:{port}" if port else str(address)

    def _mangle(self, body: Mapping[str, Any], rule: Mapping[str, Any]) -> None:
        try:
            value = self._context.value(body["value"])
        except AbsentError:
            self._miss(body["value"])
            raise
        if _store(self._skb, body["key"], value):
            self.out.changed.append(rule_text(rule, value))

    def _miss(self, value: Any) -> None:
        looked = value.get("map") if isinstance(value, Mapping) else None
        if looked and isinstance(looked["data"], str):
            try:
                key = self._context.value(looked["key"])
            except (AbsentError, NotUnderstoodError):
                return
            self.out.missed.append((looked["data"][1:], str(key)))


def _store(skb: Skb, key: Any, value: Value) -> bool:
    """Whether it changed anything. Raises NotUnderstoodError, AbsentError."""
    kind, body = next(iter(key.items()))
    field_name = body.get("field") or body.get("key")
    owner: object = skb
    names = {
        ("ether", "saddr"): "smac",
        ("ether", "daddr"): "dmac",
        ("ip", "saddr"): "src",
        ("ip", "daddr"): "dst",
        ("meta", "mark"): "mark",
        ("meta", "pkttype"): "pkttype",
        ("arp", "saddr ether"): "sender_mac",
        ("arp", "daddr ether"): "target_mac",
        ("arp", "saddr ip"): "sender_ip",
        ("arp", "daddr ip"): "target_ip",
    }
    place = body.get("protocol", kind)
    name = names.get((place, field_name))
    if place == "ct":
        return False
    if name is None:
        raise NotUnderstoodError(f"{expression(key)} set")
    if place == "arp":
        owner = skb.arp
    if owner is None or (place == "ip" and skb.arp is not None):
        raise AbsentError
    before = getattr(owner, name)
    setattr(owner, name, value)
    return bool(before != value)
