"""The text of `iptables-save -c` and `ipset save` as values. Pure.

Source: iptables-save(8), ipset(8).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from podwire.lens.snapshot import IptablesChain, IptablesRule, IptablesTable

_COUNTED = re.compile(r"(?:\[(\d+):(\d+)\] )?-A (\S+) ?(.*)")


def parse_iptables(text: str, *, family: int, legacy: bool) -> tuple[IptablesTable, ...]:
    """The tables in their order, chains as they are declared, rules as they are tried."""
    tables: list[IptablesTable] = []
    name, policies, rules = "", dict[str, str](), dict[str, list[IptablesRule]]()
    for line in text.splitlines():
        if line.startswith("*"):
            name, policies, rules = line[1:], {}, {}
        elif line.startswith(":"):
            chain, policy = line[1:].split()[:2]
            policies[chain] = "" if policy == "-" else policy
        elif line == "COMMIT":
            chains = (
                IptablesChain(one, policies[one], tuple(rules.get(one, ()))) for one in policies
            )
            tables.append(IptablesTable(name, tuple(chains), family, legacy))
        elif found := _COUNTED.fullmatch(line):
            packets, size, chain, words = found.groups()
            policies.setdefault(chain, "")
            rule = IptablesRule(words, int(packets or 0), int(size or 0))
            rules.setdefault(chain, []).append(rule)
    return tuple(tables)


def is_untouched(table: IptablesTable) -> bool:
    """Built-in chains that accept all: xtables makes such a table when somebody only looks."""
    return all(one.policy == "ACCEPT" and not one.rules for one in table.chains)


def parse_ipsets(text: str) -> dict[str, tuple[str, ...]]:
    """Name -> elements."""
    return {name: tuple(elements) for name, elements in _ipsets(text.splitlines()).items()}


def _ipsets(lines: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in lines:
        verb, _, rest = line.partition(" ")
        name, _, element = rest.partition(" ")
        if verb == "create":
            found.setdefault(name, [])
        elif verb == "add":
            found.setdefault(name, []).append(element)
    return found
