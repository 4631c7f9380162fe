"""A chain of iptables run over a packet: which rules decide, and what they do to it.

Must not know in which order tables are asked (that is `hooks`). Sources: iptables-extensions(8),
kubernetes 1.20 pkg/proxy/iptables/proxier.go (what the KUBE- chains are for).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from podwire.lens.explain.iptrules import NotUnderstoodError, certainly_other, matches
from podwire.lens.explain.skb import Skb
from podwire.lens.explain.world import Stack
from podwire.lens.iptrule import Rule, parse
from podwire.lens.kube_chains import Backend, Chains
from podwire.lens.snapshot import IptablesChain

ACCEPT, DROP, REJECT = "accept", "drop", "reject"
_GOES_ON = {
    "LOG",
    "NFLOG",
    "TRACE",
    "CT",
    "TCPMSS",
    "CONNMARK",
    "CHECKSUM",
    "TOS",
    "DSCP",
    "CLASSIFY",
}
_DEEPEST = 32


@dataclass(slots=True)
class Nat:
    """What a nat rule asks for. kind: "dnat", "snat", "masquerade", "redirect"; to: "" or
    address[:port]."""

    kind: str
    to: str = ""


@dataclass(slots=True)
class Choice:
    """Which backend random rules lead to. wanted: address:port, "" for the first.

    seen: the backends of the chain where a choice was made, filled while walking.
    """

    wanted: str = ""
    seen: tuple[Backend, ...] = ()


@dataclass(slots=True)
class Outcome:
    """verdict: ACCEPT, DROP, REJECT. chain, rule: what decided, rule None for the policy.

    trail: "CHAIN: rule" of each rule that matched; marked: of those that set a mark.
    """

    table: str
    verdict: str = ACCEPT
    chain: str = ""
    rule: Rule | None = None
    nat: Nat | None = None
    notrack: bool = False
    marked: str = ""
    trail: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        if self.rule is None:
            return f"-P {self.chain} {self.verdict.upper()}"
        return f"-A {self.chain} {self.rule.text}"


class Run:
    """One hook's chain of one table over one packet."""

    def __init__(self, stack: Stack, table: str, skb: Skb, choice: Choice) -> None:
        self._stack, self._skb, self._choice = stack, skb, choice
        self._chains: Mapping[str, IptablesChain] = stack.chains.get(table, {})
        self._out = Outcome(table)

    def hook(self, name: str) -> Outcome:
        """name: of the built-in chain, as in "FORWARD"."""
        chain = self._chains[name]
        if not self._chain(chain, 0):
            self._out.chain = name
            self._out.verdict = DROP if chain.policy == "DROP" else ACCEPT
        return self._out

    def _chain(self, chain: IptablesChain, depth: int) -> bool:
        """Whether something in it decided."""
        if depth > _DEEPEST:
            self._out.notes.append(f"not understood: chains nested deeper than {_DEEPEST}")
            return False
        for one in chain.rules:
            if certainly_other(one.text, self._skb.dst):
                continue
            rule = parse(one.text)
            if not self._matches(chain, rule):
                continue
            self._note(chain, rule)
            if rule.target == "RETURN":
                return False
            if self._decided(chain, rule, depth):
                return True
            if rule.goto:
                return False
        return False

    def _matches(self, chain: IptablesChain, rule: Rule) -> bool:
        try:
            if not matches(rule, self._skb, self._stack):
                return False
        except NotUnderstoodError as unknown:
            self._out.notes.append(f"not understood: {unknown} in -A {chain.name} {rule.text}")
            return False
        return "--probability" not in rule.text or self._choose(chain, rule)

    def _choose(self, chain: IptablesChain, rule: Rule) -> bool:
        ways = self._ways(chain)
        if not ways:
            self._out.notes.append(f"by chance: -A {chain.name} {rule.text}")
            return True
        self._choice.seen = ways
        mine = next((one for one in ways if one.rule == rule.text), None)
        wanted = self._choice.wanted
        if wanted not in {one.target for one in ways}:
            return True
        return mine is not None and mine.target == wanted

    def _ways(self, chain: IptablesChain) -> tuple[Backend, ...]:
        """The backends that a chain chooses among."""
        found = Chains(self._chains).backends(chain.name)
        return tuple(one for one in found if one.target)

    def _note(self, chain: IptablesChain, rule: Rule) -> None:
        self._out.trail.append(f"-A {chain.name} {rule.text}")
        if chain.name.startswith("KUBE-SVC-") and not self._choice.seen:
            self._choice.seen = self._ways(chain)

    def _decided(self, chain: IptablesChain, rule: Rule, depth: int) -> bool:
        target = rule.target
        if target in self._chains:
            return self._chain(self._chains[target], depth + 1)
        if target == "MARK":
            self._skb.mark = _marked(self._skb.mark, rule.options)
            self._out.marked = f"-A {chain.name} {rule.text}"
            return False
        if target == "CT" and "--notrack" in rule.text:
            self._out.notrack = True
            return False
        if target in _GOES_ON or not target:
            return False
        return self._ends(chain, rule)

    def _ends(self, chain: IptablesChain, rule: Rule) -> bool:
        verdicts = {"ACCEPT": ACCEPT, "DROP": DROP, "REJECT": REJECT}
        if rule.target in verdicts:
            self._out.verdict = verdicts[rule.target]
        elif (nat := _nat(rule)) is not None:
            self._out.nat = nat
        else:
            self._out.notes.append(f"not understood: -A {chain.name} {rule.text}")
            return False
        self._out.chain, self._out.rule = chain.name, rule
        return True


def _marked(mark: int, options: Mapping[str, str]) -> int:
    """Source: iptables-extensions(8), MARK."""
    for name, given in options.items():
        value, _, mask = given.partition("/")
        bits, zeroed = int(value, 0), int(mask or "0xffffffff", 0)
        if name == "--set-xmark":
            return (mark & ~zeroed & 0xFFFFFFFF) ^ bits
        if name == "--set-mark":
            return (mark & ~(zeroed | bits) & 0xFFFFFFFF) | bits
        if name == "--or-mark":
            return mark | bits
        if name == "--and-mark":
            return mark & bits
        if name == "--xor-mark":
            return mark ^ bits
    return mark


def _nat(rule: Rule) -> Nat | None:
    options = {
        "DNAT": ("dnat", "--to-destination"),
        "SNAT": ("snat", "--to-source"),
        "MASQUERADE": ("masquerade", ""),
        "REDIRECT": ("redirect", "--to-ports"),
    }
    if rule.target not in options:
        return None
    kind, name = options[rule.target]
    return Nat(kind, rule.options.get(name, ""))
