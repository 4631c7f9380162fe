"""Whether a packet matches a rule of iptables.

What is not understood raises NotUnderstoodError: it is said, never guessed. Sources: iptables(8),
iptables-extensions(8); the text is iptables-save's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from podwire.lens.explain.routing import within
from podwire.lens.explain.skb import Skb
from podwire.lens.explain.world import Stack
from podwire.lens.iptrule import Option, Rule

_EXACT = re.compile(r"(?:^|[^!] )-d (\d+\.\d+\.\d+\.\d+)/32")


class NotUnderstoodError(Exception):
    """A part of a rule that explain has no meaning for; its text is that part."""


def certainly_other(text: str, destination: str) -> bool:
    """Whether the rule is for one other destination: seen without parsing it."""
    found = _EXACT.search(text)
    return found is not None and found[1] != destination


def matches(rule: Rule, skb: Skb, stack: Stack) -> bool:
    """Raises NotUnderstoodError for the first option that decides and is unknown."""
    unknown = ""
    for one in rule.matches:
        test = _TESTS.get(one.name)
        if test is None:
            module = f"-m {one.module} " if one.module else ""
            unknown = unknown or f"{module}{one.name} {one.value}".strip()
        elif test(one.value, skb, stack, one) == one.inverted:
            return False
    if unknown:
        raise NotUnderstoodError(unknown)
    return True


_Test = Callable[[str, Skb, Stack, Option], bool]


def _protocol(value: str, skb: Skb, *_rest: object) -> bool:
    names = {"6": "tcp", "17": "udp", "1": "icmp"}
    return value in ("all", "0") or names.get(value, value) == skb.protocol


def _link(have: str, pattern: str) -> bool:
    return have.startswith(pattern[:-1]) if pattern.endswith("+") else have == pattern


def _port(port: int, ports: str) -> bool:
    """ports: "80", "80:90", "80,443:450"."""
    for one in ports.split(","):
        first, _, last = one.partition(":")
        if int(first or 0) <= port <= int(last if ":" in one and last else first or 65535):
            return True
    return False


def _mark(value: str, skb: Skb, *_rest: object) -> bool:
    wanted, _, mask = value.partition("/")
    return skb.mark & int(mask or "0xffffffff", 0) == int(wanted, 0)


def ct_states(skb: Skb) -> set[str]:
    """What conntrack says of the packet, in iptables' words."""
    if skb.state == "untracked" or skb.flow is None:
        return {"UNTRACKED" if skb.state == "untracked" else "NEW"}
    found = {"ESTABLISHED" if skb.state == "established" else "NEW"}
    found |= {"DNAT"} if skb.flow.translated_destination else set()
    return found | ({"SNAT"} if skb.flow.translated_source else set())


def _address_type(address: str, types: str, stack: Stack) -> bool:
    if address in stack.local or address.startswith("127."):
        kind = "LOCAL"
    elif address == "255.255.255.255":
        kind = "BROADCAST"
    else:
        kind = "MULTICAST" if within(address, "224.0.0.0/4") else "UNICAST"
    return kind in types.split(",")


def _in_set(value: str, skb: Skb, stack: Stack, _option: Option) -> bool:
    """ipset's entries are addresses, networks, ADDRESS,PROTOCOL:PORT and the like."""
    name, _, flags = value.partition(" ")
    entries = stack.space.ipsets.get(name)
    if entries is None:
        raise NotUnderstoodError(f"--match-set {value}: the snapshot has no such set")
    wanted = [_set_part(one, skb) for one in flags.split(",")]
    return any(_entry_fits(entry, wanted) for entry in entries)


def _set_part(flag: str, skb: Skb) -> str:
    is_port = (f"{skb.protocol}:{skb.sport}", f"{skb.protocol}:{skb.dport}")
    return {"src": skb.src, "dst": skb.dst}.get(flag, "") or is_port[flag.startswith("dst")]


def _entry_fits(entry: str, wanted: list[str]) -> bool:
    parts = entry.split(" ")[0].split(",")
    if len(parts) != len(wanted):
        return False
    for have, want in zip(parts, wanted, strict=True):
        fits = within(want, have) if have[:1].isdigit() and "." in want else have == want
        if not fits:
            return False
    return True


def _flags(value: str, skb: Skb, *_rest: object) -> bool:
    """The first packet of a TCP connection has SYN alone, its answer SYN and ACK."""
    mask, _, wanted = value.partition(" ")
    have = {"SYN", "ACK"} if skb.reply else {"SYN"}
    every = {"FIN", "SYN", "RST", "PSH", "ACK", "URG"}
    looked = every if mask == "ALL" else set(mask.split(","))
    return skb.protocol == "tcp" and (have & looked) == set(wanted.split(",")) - {"NONE"}


def _always(*_: object) -> bool:
    return True


def _recent(*_: object) -> bool:
    """Session affinity remembers nothing of a new client."""
    return False


def _range(address: str, value: str) -> bool:
    first, _, last = value.partition("-")
    key = [int(one) for one in address.split(".")]
    low, high = ([int(one) for one in end.split(".")] for end in (first, last or first))
    return low <= key <= high


_TESTS: Mapping[str, _Test] = {
    "-s": lambda v, skb, *_: within(skb.src, v),
    "-d": lambda v, skb, *_: within(skb.dst, v),
    "-p": _protocol,
    "-i": lambda v, skb, *_: _link(skb.iif, v),
    "-o": lambda v, skb, *_: _link(skb.oif, v),
    "--dport": lambda v, skb, *_: _port(skb.dport, v),
    "--sport": lambda v, skb, *_: _port(skb.sport, v),
    "--dports": lambda v, skb, *_: _port(skb.dport, v),
    "--sports": lambda v, skb, *_: _port(skb.sport, v),
    "--ports": lambda v, skb, *_: _port(skb.dport, v) or _port(skb.sport, v),
    "--mark": _mark,
    "--ctstate": lambda v, skb, *_: bool(ct_states(skb) & set(v.split(","))),
    "--state": lambda v, skb, *_: bool(ct_states(skb) & set(v.split(","))),
    "--dst-type": lambda v, skb, stack, _: _address_type(skb.dst, v, stack),
    "--src-type": lambda v, skb, stack, _: _address_type(skb.src, v, stack),
    "--match-set": _in_set,
    "--physdev-in": lambda v, skb, *_: _link(skb.physin, v),
    "--physdev-out": lambda v, skb, *_: _link(skb.physout, v),
    "--physdev-is-bridged": lambda _v, skb, *_: bool(skb.physin and skb.physout),
    "--physdev-is-in": lambda _v, skb, *_: bool(skb.physin),
    "--physdev-is-out": lambda _v, skb, *_: bool(skb.physout),
    "--tcp-flags": _flags,
    "--syn": lambda _v, skb, *_: skb.protocol == "tcp" and not skb.reply,
    "--src-range": lambda v, skb, *_: _range(skb.src, v),
    "--dst-range": lambda v, skb, *_: _range(skb.dst, v),
    "--icmp-type": lambda v, skb, *_: v in ("any", "0" if skb.reply else "8"),
    "--rcheck": _recent,
    "--update": _recent,
    "--set": _always,
    "--name": _always,
    "--seconds": _always,
    "--reap": _always,
    "--mask": _always,
    "--rsource": _always,
    "--comment": _always,
    "--mode": _always,  # of statistic: the walk chooses (iptables.Choice)
    "--probability": _always,
    "--every": _always,
    "--packet": _always,
    "--limit": _always,  # a first packet is within any limit
    "--limit-burst": _always,
}
