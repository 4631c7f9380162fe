"""The packet filters of a space: each rule once, by the program that its maker would list it with.

A table that iptables made in nf_tables is iptables'; everything else in nf_tables is nft's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from podwire.kernel import rulesets
from podwire.kernel.netns import NetNamespace
from podwire.lens.collect.iptables import is_untouched, parse_ipsets, parse_iptables
from podwire.lens.collect.reading import Reading
from podwire.lens.snapshot import IptablesTable, Space


@dataclass(frozen=True, slots=True)
class Filters:
    """As the fields of Space."""

    nft: tuple[Mapping[str, Any], ...] = ()
    iptables: tuple[IptablesTable, ...] = ()
    ipsets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)


def read_filters(namespace: NetNamespace, *, deep: bool = True) -> Filters:
    """No program is started for what is not there; only `deep` for sets that no rule uses."""
    reading = Reading()
    tables = reading.part("nft", rulesets.nft_tables, namespace) or []
    iptables = [
        one for family in rulesets.FAMILIES for one in _iptables(namespace, family, tables, reading)
    ]
    theirs = {(rulesets.FAMILIES[one.family], one.name) for one in iptables if not one.legacy}
    own = [one for one in tables if one not in theirs]
    nft = reading.part("nft", rulesets.nft_objects, namespace, own) or ()
    sets = reading.part("ipsets", _ipsets, namespace) if deep or iptables else None
    return Filters(tuple(nft), tuple(iptables), sets or {}, reading.unread)


def with_filters(space: Space, filters: Filters) -> Space:
    return replace(
        space,
        nft=filters.nft,
        iptables=filters.iptables,
        ipsets=filters.ipsets,
        unread={**space.unread, **filters.unread},
    )


def _iptables(
    namespace: NetNamespace, family: int, tables: Iterable[tuple[str, str]], reading: Reading
) -> Iterator[IptablesTable]:
    name = rulesets.FAMILIES[family]
    if any(of == name and table in rulesets.IPTABLES_TABLES for of, table in tables):
        yield from reading.part(f"{name}tables", _in_nf_tables, namespace, family) or ()
    yield from reading.part(f"{name}tables-legacy", _legacy, namespace, family) or ()


def _in_nf_tables(namespace: NetNamespace, family: int) -> tuple[IptablesTable, ...]:
    return parse_iptables(rulesets.iptables_nft(namespace, family), family=family, legacy=False)


def _legacy(namespace: NetNamespace, family: int) -> tuple[IptablesTable, ...]:
    found = parse_iptables(rulesets.iptables_legacy(namespace, family), family=family, legacy=True)
    return tuple(one for one in found if not is_untouched(one))


def _ipsets(namespace: NetNamespace) -> dict[str, tuple[str, ...]]:
    return parse_ipsets(rulesets.ipsets(namespace))
