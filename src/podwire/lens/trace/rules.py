"""From the kernel's trace events to rules as people know them: of iptables-save, of nft.

An event has a rule's handle alone. A rule of nftables has its handle in the snapshot; one of
iptables-nft is found by its place in its chain, which the kernel tells.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from podwire.kernel.netns import NetNamespace
from podwire.kernel.nfnetlink import NfNetlink
from podwire.kernel.nftrace import Event
from podwire.lens.nfttext import rule_text
from podwire.lens.snapshot import Space
from podwire.lens.trace.flow import Flow
from podwire.lens.trace.packets import parse_ip
from podwire.lens.trace.values import Role, RuleMet
from podwire.model.errors import KernelError

_FAMILIES = {4: "ip", 6: "ip6"}
_DNAT = re.compile(r"(?:--to-destination|dnat(?: ip)? to) (\d+(?:\.\d+){3})")
_Texts = Mapping[tuple[str, str, str, int], str]


def rules_met(
    space: Space, namespace: NetNamespace, events: Iterable[Event], flow: Flow
) -> Iterator[RuleMet]:
    """What the packet and its answer met in one namespace, in order; once however often sent.

    Events of other packets are passed over."""
    listed = list(events)
    texts = _texts(space, namespace, listed)
    roles: dict[int, Role | None] = {}
    told: set[RuleMet] = set()
    for one in listed:
        if one.network:
            packet = parse_ip(one.network + one.transport)
            roles[one.packet] = flow.role_of_cut(packet) if packet else None
        if one.packet in roles and roles[one.packet] is None:
            continue
        met = _met(space.id, one, texts, answer=roles.get(one.packet) == "answer")
        if met is not None and met not in told:
            told.add(met)
            yield met


def translated_to(rules: Iterable[RuleMet]) -> set[str]:
    """The addresses that DNAT rules among them lead to."""
    return {found[1] for one in rules if (found := _DNAT.search(one.text))}


def _met(space: str, one: Event, texts: _Texts, *, answer: bool) -> RuleMet | None:
    """None for what decides nothing: what did not match, a chain that ends without a drop."""
    idle = one.kind == "rule" and not one.handle  # it did not match: a mark of the way past
    if one.kind == "return" or idle or (one.kind == "policy" and one.verdict != "drop"):
        return None
    key = (one.family, one.table, one.chain, one.handle)
    text = "policy" if one.kind == "policy" else texts.get(key, f"rule with handle {one.handle}")
    verdict = f"{one.verdict} {one.target}".strip()
    return RuleMet(space, one.family, one.table, one.chain, text, verdict, answer)


def _texts(space: Space, namespace: NetNamespace, events: Iterable[Event]) -> _Texts:
    texts: dict[tuple[str, str, str, int], str] = {}
    for one in space.nft:
        rule = one.get("rule")
        if rule:
            key = (rule["family"], rule["table"], rule["chain"], rule.get("handle", 0))
            comment = f' comment "{rule["comment"]}"' if rule.get("comment") else ""
            texts[key] = rule_text(rule) + comment
    met = {(one.family, one.table) for one in events}
    for table in space.iptables:
        family = _FAMILIES[table.family]
        if not table.legacy and (family, table.name) in met:
            chains = {one.name: [rule.text for rule in one.rules] for one in table.chains}
            texts |= _of_iptables(namespace, family, table.name, chains)
    return texts


def _of_iptables(
    namespace: NetNamespace, family: str, table: str, chains: Mapping[str, list[str]]
) -> _Texts:
    """Nothing of a chain that has changed since the snapshot."""
    with NfNetlink(namespace) as door:
        try:
            handles = door.rule_handles(family, table)
        except KernelError:
            return {}  # it is gone meanwhile
    by_chain: dict[str, list[int]] = {}
    for chain, handle in handles:
        by_chain.setdefault(chain, []).append(handle)
    return {
        (family, table, chain, handle): text
        for chain, found in by_chain.items()
        if len(found) == len(chains.get(chain, ()))
        for handle, text in zip(found, chains[chain], strict=True)
    }
