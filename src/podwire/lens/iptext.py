"""Objects of a snapshot as the tools print them that people know: ip, bridge, nft, iptables.

One object, one line, whatever else a tool would add. Must not choose what is shown.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from podwire.lens.nfttext import expression
from podwire.lens.snapshot import (
    DEFAULT,
    LOCAL,
    MAIN,
    Address,
    Connection,
    FdbEntry,
    IptablesTable,
    Link,
    Neighbour,
    PolicyRule,
    Route,
    Socket,
    Space,
)

_TABLES = {DEFAULT: "default", MAIN: "main", LOCAL: "local"}
_PROTOCOLS = {2: "kernel", 3: "boot", 4: "static"}


def ip_link(one: Link) -> str:
    """As `ip link`, with what `bridge -d link` adds for a port."""
    peer = f"@{one.peer[1]}" if one.peer else f"@if{one.peer_index}" if one.peer_index else ""
    flags = ["UP"] * one.up + ["LOWER_UP"] * one.carrier + ["NO-CARRIER"] * (not one.carrier)
    said = f"{one.ifindex}: {one.name}{peer}: <{','.join(flags)}> mtu {one.mtu}"
    said += f" master {one.master}" * bool(one.master)
    said += f" state {'UP' if one.up and one.carrier else 'DOWN'} link/ether {one.mac}"
    port = [one.port_state] * bool(one.port_state)
    for name in ("hairpin", "neigh_suppress", "proxy_arp"):
        port += [f"{name} on"] * getattr(one, name)
    return said + (f" port: {', '.join(port)}" if port else "")


def ip_address(one: Address) -> str:
    family = "inet6" if ":" in one.cidr else "inet"
    return f"{family} {one.cidr} scope {one.scope} {one.link}"


def ip_route(one: Route) -> str:
    words = [] if one.kind == "unicast" else [one.kind]
    words.append("default" if one.dst in ("0.0.0.0/0", "::/0") else one.dst)
    words += ["via", one.via] * bool(one.via) + ["dev", one.link] * bool(one.link)
    if one.table != MAIN:
        words += ["table", _TABLES.get(one.table, str(one.table))]
    if one.protocol in _PROTOCOLS:
        words += ["proto", _PROTOCOLS[one.protocol]]
    words += ["src", one.source] * bool(one.source)
    words += ["metric", str(one.metric)] * bool(one.metric) + ["onlink"] * one.onlink
    return " ".join(words)


def ip_rule(one: PolicyRule) -> str:
    words = [f"{one.priority}:", *["not"] * one.inverted, "from", one.source or "all"]
    words += ["to", one.destination] * bool(one.destination)
    if one.mark or one.mask:
        words += ["fwmark", f"{one.mark:#x}/{one.mask:#x}"]
    words += ["iif", one.iif] * bool(one.iif) + ["oif", one.oif] * bool(one.oif)
    words.append(one.action)
    return " ".join([*words, *[_TABLES.get(one.table, str(one.table))] * (one.action == "lookup")])


def ip_neighbour(one: Neighbour) -> str:
    if one.proxy:
        return f"{one.ip} dev {one.link} proxy"
    return f"{one.ip} dev {one.link} {f'lladdr {one.mac} ' if one.mac else ''}{one.state}"


def bridge_fdb(one: FdbEntry) -> str:
    return f"{one.mac} dev {one.port} master {one.bridge}{' permanent' if one.local else ''}"


def connection(one: Connection) -> str:
    """As `conntrack -L`."""

    def way(four: tuple[str, int, str, int]) -> str:
        return f"src={four[0]} dst={four[2]} sport={four[1]} dport={four[3]}"

    return f"{one.protocol} {one.state} {way(one.original)} {way(one.reply)}".replace("  ", " ")


def listener(one: Socket) -> str:
    """As `ss -ltunp`."""
    where = f"[{one.address}]" if ":" in one.address else one.address
    return f"{one.protocol} {where}:{one.port} {one.process}".rstrip()


def iptables_save(tables: Collection[IptablesTable], words: Collection[str]) -> Iterator[str]:
    """The rules in which one of the words stands, as `iptables-save -c` prints them."""
    for table in tables:
        for chain in table.chains:
            for rule in chain.rules:
                if any(mentions(rule.text, word) for word in words):
                    counted = f"[{rule.packets}:{rule.bytes}]"
                    yield f"{counted} -t {table.name} -A {chain.name} {rule.text}"


def nft_elements(space: Space, words: Collection[str]) -> Iterator[str]:
    """The elements of sets and maps in which one of the words stands."""
    for one in space.nft:
        for kind in ("set", "map"):
            if isinstance(found := one.get(kind), dict):
                yield from _elements(kind, found, words)


def mentions(text: str, word: str) -> bool:
    """As a word of its own: 10.0.0.4 does not stand in 10.0.0.40."""
    at = text.find(word) if word else -1
    while at >= 0:
        around = text[at - 1 : at] + text[at + len(word) : at + len(word) + 1]
        if not any(one.isalnum() for one in around):
            return True
        at = text.find(word, at + 1)
    return False


def _elements(kind: str, found: Mapping[str, Any], words: Collection[str]) -> Iterator[str]:
    where = f"{kind} {found.get('family')} {found.get('table')} {found.get('name')}"
    for element in found.get("elem", ()):
        text = _element(element)
        if any(mentions(text, word) for word in words):
            yield f"{where} {{ {text} }}"


def _element(one: Any) -> str:
    """A map's is a pair. Source: libnftables-json(5)."""
    parts = one if isinstance(one, list) else [one]
    return " : ".join(expression(part) for part in parts)
