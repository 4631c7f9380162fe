"""Foreign packet filters that drop what pods send or get: iptables and nftables rules, and the
policies of their chains. Pure.

A rule is looked at when a packet of a pod can come to it and it names a pod's address, or nothing
that would leave pods out. Chains of Kubernetes, CNI plugins and network policies are theirs to
fill: what they drop is wanted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_network
from typing import Any

from podwire.lens.doctor.catalog import found
from podwire.lens.doctor.seen import nft_objects
from podwire.lens.doctor.values import Finding
from podwire.lens.iptrule import Rule, parse
from podwire.lens.snapshot import IptablesChain, IptablesTable, Space
from podwire.model.bridge_mode import TABLE_FAMILY, TABLE_NAME

KNOWN = ("KUBE-", "CNI-", "IP-MASQ", "cali-", "AZURE-NPM", "CILIUM", "DOCKER", "PODWIRE")
_PASSED = ("PREROUTING", "FORWARD", "POSTROUTING")
"""Chains that packets between pods and others pass."""
_ENDS = ("INPUT", "OUTPUT")
"""Of the node's own packets: looked at only for rules that name pods."""
_KILLERS = ("DROP", "REJECT")


def findings(space: Space, node: str, addresses: Iterable[str]) -> Iterator[Finding]:
    """addresses: the pods' on this node, CIDRs; without any there is nobody to drop."""
    pods = tuple(addresses)
    if not pods:
        return
    for table in space.iptables:
        yield from _of_table(table, space, node, pods)
    yield from _of_nft(space, node, pods)


def overlaps(one: str, others: Iterable[str]) -> str:
    """The first of `others` that shares an address with `one`, "" for none. CIDRs."""
    net = ip_network(one, strict=False)
    for other in others:
        theirs = ip_network(other, strict=False)
        if net.version == theirs.version and net.overlaps(theirs):
            return other
    return ""


def _of_table(
    table: IptablesTable, space: Space, node: str, pods: tuple[str, ...]
) -> Iterator[Finding]:
    tool = "iptables" if table.family == 4 else "ip6tables"
    tool += "-legacy" if table.legacy else ""
    pods = tuple(one for one in pods if (":" in one) == (table.family == 6))
    chains = {one.name: one for one in table.chains}
    for chain, named in _reached(chains):
        for rule in chain.rules:
            if pods and _kills(rule.text, space, pods, named):
                yield found(
                    "foreign-drop",
                    f"space {space.id}",
                    f"{tool} -t {table.name} -A {chain.name} {rule.text} ({rule.packets} packets)",
                    f"{tool} -t {table.name} -D {chain.name} {rule.text}",
                    node=node,
                )
    forward = chains.get("FORWARD")
    if pods and forward and forward.policy == "DROP" and not _lets(forward, pods):
        yield found(
            "foreign-drop",
            f"space {space.id}",
            f"{tool} -t {table.name}: the policy of FORWARD is DROP, and no rule accepts pods",
            f"{tool} -t {table.name} -P FORWARD ACCEPT",
            node=node,
        )


def _reached(chains: Mapping[str, IptablesChain]) -> Iterator[tuple[IptablesChain, bool]]:
    """Chains that a pod's packet may come to, and whether a rule there must name pods."""
    seen: set[str] = set()
    for named, begins in ((False, _PASSED), (True, _ENDS)):
        waiting = [one for one in begins if one in chains]
        while waiting:
            name = waiting.pop(0)
            if name in seen or name.startswith(KNOWN):
                continue
            seen.add(name)
            yield chains[name], named
            targets = (_jump(parse(rule.text)) for rule in chains[name].rules)
            waiting += [one for one in targets if one in chains]


def _kills(text: str, space: Space, pods: tuple[str, ...], named: bool) -> bool:
    rule = parse(text)
    if _jump(rule) not in _KILLERS or "INVALID" in text:
        return False
    words = _named(rule)
    ours = [words[one] for one in ("-s", "-d") if one in words]
    if ours and not any(overlaps(one, pods) for one in ours):
        return False
    links = {one.name for one in space.links}
    if any(words.get(one, "lo") not in links and one in words for one in ("-i", "-o")):
        return words.get("-i", "").endswith("+") or words.get("-o", "").endswith("+")
    if "lo" in (words.get("-i"), words.get("-o")):
        return False
    return bool(ours) or not named


def _lets(forward: IptablesChain, pods: tuple[str, ...]) -> bool:
    """Whether a rule accepts all that any pod sends or gets."""
    rules = [parse(one.text) for one in forward.rules]
    accepting = [one for one in rules if _jump(one) == "ACCEPT"]
    plain = (_named(one) for one in accepting if not any(each.module for each in one.matches))
    open_ones = (one for one in plain if "-p" not in one)
    return any(
        not {"-s", "-d"} & set(one)
        or any(overlaps(one[word], pods) for word in ("-s", "-d") if word in one)
        for one in open_ones
    )


def _named(rule: Rule) -> dict[str, str]:
    """Option -> its value; what is negated names nobody in particular."""
    return {one.name: one.value for one in rule.matches if not one.inverted}


def _jump(rule: Rule) -> str:
    """The target of -j, "" for none."""
    return "" if rule.goto else rule.target


def _of_nft(space: Space, node: str, pods: tuple[str, ...]) -> Iterator[Finding]:
    """Tables that are nobody's we know."""
    ours = (TABLE_FAMILY, TABLE_NAME)
    for family, table in {(one["family"], one["name"]) for one in nft_objects(space, "table")}:
        if (family, table) != ours:
            yield from _of_nft_table(space, node, pods, family, table)


def _of_nft_table(
    space: Space, node: str, pods: tuple[str, ...], family: str, table: str
) -> Iterator[Finding]:
    mine = (family, table)
    chains = {
        one["name"]: one
        for one in nft_objects(space, "chain")
        if (one["family"], one["table"]) == mine
    }
    rules = [one for one in nft_objects(space, "rule") if (one["family"], one["table"]) == mine]
    for name, named in _reached_nft(chains, rules):
        for rule in rules:
            if rule["chain"] == name and _kills_nft(rule["expr"], space, pods, named):
                yield _nft_finding(space, node, rule)
        if not named and chains[name].get("policy") == "drop":
            what = f"{family} {table} {name}"
            yield found(
                "foreign-drop",
                f"space {space.id}",
                f"nft: the policy of chain {what} (hook {chains[name].get('hook')}) is drop",
                f"nft chain {what} '{{ policy accept; }}'",
                node=node,
            )


def _nft_finding(space: Space, node: str, rule: Mapping[str, Any]) -> Finding:
    where = f"{rule['family']} {rule['table']} {rule['chain']}"
    return found(
        "foreign-drop",
        f"space {space.id}",
        f"nft: rule {rule['handle']} of chain {where} drops: {_shown(rule['expr'])}",
        f"nft delete rule {where} handle {rule['handle']}",
        node=node,
    )


def _reached_nft(
    chains: Mapping[str, Mapping[str, Any]], rules: list[Mapping[str, Any]]
) -> Iterator[tuple[str, bool]]:
    seen: set[str] = set()
    for named, hooks in (
        (False, ("ingress", "prerouting", "forward", "postrouting", "egress")),
        (True, ("input", "output")),
    ):
        waiting = [name for name, one in chains.items() if one.get("hook") in hooks]
        while waiting:
            name = waiting.pop(0)
            if name in seen or name not in chains or name.startswith(KNOWN):
                continue
            seen.add(name)
            yield name, named
            waiting += [to for one in rules if one["chain"] == name for to in _targets(one["expr"])]


def _targets(expr: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    return (str(one[word]["target"]) for one in expr for word in ("jump", "goto") if word in one)


def _kills_nft(
    expr: list[Mapping[str, Any]], space: Space, pods: tuple[str, ...], named: bool
) -> bool:
    if not any("drop" in one or "reject" in one for one in expr):
        return False
    names = False
    for match in (one["match"] for one in expr if "match" in one):
        left, right = match["left"], match["right"]
        field = left.get("payload", {}).get("field") if isinstance(left, Mapping) else None
        if field in ("saddr", "daddr") and left["payload"]["protocol"] in ("ip", "ip6"):
            nets = list(_nets(right))
            if match["op"] != "!=" and nets:
                if not any(overlaps(one, pods) for one in nets):
                    return False
                names = True
        elif _names_other(left, right, space) or "invalid" in str(right):
            return False
    return names or not named


def _names_other(left: Any, right: Any, space: Space) -> bool:
    """A link that is not there, or loopback."""
    key = left.get("meta", {}).get("key") if isinstance(left, Mapping) else None
    if key not in ("iifname", "oifname") or not isinstance(right, str):
        return False
    links = {one.name for one in space.links} - {"lo"}
    return not any(
        one.startswith(right[:-1]) if right.endswith("*") else one == right for one in links
    )


def _nets(right: Any) -> Iterator[str]:
    """The addresses of a match's right side, as far as they are there in words."""
    if isinstance(right, str) and not right.startswith("@"):
        yield right
    elif isinstance(right, Mapping) and "prefix" in right:
        yield f"{right['prefix']['addr']}/{right['prefix']['len']}"
    elif isinstance(right, Mapping) and "set" in right:
        for one in right["set"]:
            yield from _nets(one)


def _shown(expr: list[Mapping[str, Any]]) -> str:
    """The matches in words, as far as they are simple."""
    said = []
    for match in (one["match"] for one in expr if "match" in one):
        left = match["left"]
        field = " ".join(
            str(value)
            for one in left.values()
            if isinstance(one, Mapping)
            for value in one.values()
        )
        said.append(f"{field} {match['op']} {', '.join(_nets(match['right'])) or match['right']}")
    return "; ".join(said) or "every packet"
