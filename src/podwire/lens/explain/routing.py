"""Which way a packet goes: policy rules, the routing tables, the reverse path.

Sources: ip-rule(8), net/ipv4/fib_rules.c, net/ipv4/fib_frontend.c (__fib_validate_source),
net/ipv4/route.c (ip_route_input_slow, ip_route_output_key_hash_rcu).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network

from podwire.lens.explain.skb import Skb
from podwire.lens.explain.world import Stack
from podwire.lens.snapshot import DEFAULT, LOCAL, MAIN, PolicyRule, Route

_KERNELS_OWN = (PolicyRule(0, LOCAL), PolicyRule(32766, MAIN), PolicyRule(32767, DEFAULT))
"""The rules of a namespace that nobody has changed."""
_FATAL = ("blackhole", "unreachable", "prohibit")


@dataclass(frozen=True, slots=True)
class Found:
    """A route and the rule that led to it. kind "none": there is no route."""

    kind: str
    route: Route | None = None
    rule: PolicyRule | None = None

    @property
    def fatal(self) -> bool:
        return self.kind in (*_FATAL, "none")

    @property
    def link(self) -> str:
        return self.route.link if self.route else ""

    def next_hop(self, destination: str) -> str:
        return (self.route.via if self.route else "") or destination

    @property
    def text(self) -> str:
        return route_text(self.route) if self.route else _rule_text(self.rule)


def lookup(stack: Stack, skb: Skb) -> Found:
    """Where the packet goes. iif of a packet that this stack sends itself is ""."""
    destination = IPv4Address(skb.dst)
    if skb.dst in stack.local or skb.dst.startswith("127."):
        link = stack.local.get(skb.dst, "lo")
        return Found("local", Route(f"{skb.dst}/32", link, table=LOCAL, kind="local"))
    for rule in _rules(stack):
        if not _applies(rule, skb):
            continue
        if rule.action != "lookup":
            if rule.action in _FATAL:
                return Found(rule.action, rule=rule)
            continue
        route = _in_table(stack, rule.table, destination)
        if route is not None and route.kind != "throw":
            return Found(route.kind, route, rule)
    return Found("none")


def reverse_path(stack: Stack, skb: Skb, link: str) -> tuple[bool, Found]:
    """Whether rp_filter of `link`, as it is set, accepts the packet's source; the route back to it.

    0: any; 1, strict: the route back goes through this link; 2, loose: there is a route back.
    Source: net/ipv4/fib_frontend.c; ip-sysctl.rst, rp_filter.
    """
    mode = stack.conf(link, "rp_filter")
    back = Skb(skb.protocol, skb.dst, skb.src, mark=0)
    found = lookup(stack, back)
    if not mode:
        return True, found
    if mode == 2:
        return not found.fatal, found
    return not found.fatal and found.link == link, found


def forwarding(stack: Stack, link: str) -> bool:
    """Whether the stack sends on what comes in by this link."""
    every = stack.sysctl("net.ipv4.ip_forward", "0")
    return stack.sysctl(f"net.ipv4.conf.{link}.forwarding", every) == "1"


def source_of(stack: Stack, found: Found) -> str:
    """The source address of what this stack sends by a route; "" when it has none.

    Source: net/ipv4/fib_semantics.c (fib_result_prefsrc), inet_select_addr.
    """
    route = found.route
    if route is None:
        return ""
    if found.kind == "local":
        return route.dst.partition("/")[0]
    if route.source:
        return route.source
    own = [one for one in stack.space.addresses if one.scope == "global" and ":" not in one.cidr]
    first = [one.ip for one in own if one.link == route.link]
    return next(iter([*first, *(one.ip for one in own)]), "")


def asking_address(stack: Stack, link: str) -> str:
    """Whose answer a stack waits for that asks on this link for somebody else's packet; a link
    without an address asks with another's. Source: net/ipv4/arp.c (arp_solicit, arp_announce 0).
    """
    own = [one for one in stack.space.addresses if one.scope == "global" and ":" not in one.cidr]
    own.sort(key=lambda one: one.link != link)
    return next((one.ip for one in own), "0.0.0.0")


def route_text(route: Route) -> str:
    """As `ip route` prints it."""
    words = [] if route.kind == "unicast" else [route.kind]
    words.append("default" if route.dst == "0.0.0.0/0" else route.dst.removesuffix("/32"))
    words += ["via", route.via] if route.via else []
    words += ["dev", route.link] if route.link else []
    words += ["table", str(route.table)] if route.table not in (MAIN, LOCAL) else []
    return " ".join(words)


def _rule_text(rule: PolicyRule | None) -> str:
    return "no route" if rule is None else f"rule {rule.priority}: {rule.action}"


def _rules(stack: Stack) -> Sequence[PolicyRule]:
    mine = [one for one in stack.space.rules if one.family == 4]
    return sorted(mine, key=lambda one: one.priority) if mine else _KERNELS_OWN


def _applies(rule: PolicyRule, skb: Skb) -> bool:
    return all(_conditions(rule, skb)) != rule.inverted


def _conditions(rule: PolicyRule, skb: Skb) -> Iterator[bool]:
    if rule.mark or rule.mask:
        yield (skb.mark & (rule.mask or 0xFFFFFFFF)) == rule.mark
    if rule.source:
        yield within(skb.src, rule.source) if skb.src else False
    if rule.destination:
        yield within(skb.dst, rule.destination)
    if rule.iif:
        yield rule.iif == (skb.iif or "lo")
    if rule.oif:
        yield rule.oif == skb.oif


def _in_table(stack: Stack, table: int, destination: IPv4Address) -> Route | None:
    for network, route in stack.tables.get(table, ()):
        if destination in network:
            return route
    return None


@lru_cache(maxsize=4096)
def _network(text: str) -> IPv4Network:
    return IPv4Network(text, strict=False)


def within(address: str, cidr: str) -> bool:
    """Whether an address is of a network, which may be one address."""
    return IPv4Address(address) in _network(cidr)
