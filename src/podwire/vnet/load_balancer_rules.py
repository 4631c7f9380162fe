"""What load balancers are in the fabric, as values: nft text and wiring. No I/O.

A packet to a frontend is looked up three times and hashed at most once, however many balancers,
rules and backends there are:
- `rules` maps (address, protocol, port) to the rule's own chain;
- a flow that is known keeps its target: `tcp_flows` and `udp_flows` hold (client, frontend) ->
  target, as long as the rule's idle timeout; any other is hashed to one of the healthy;
- a target is a packet mark (its own number for each rule and backend). For a floating IP the
  destination becomes the backend's address while the fabric routes, and is put back in the forward
  hook, where security rules then see it as in Azure: the packet leaves through the backend's link,
  where a permanent neighbour says that the frontend has the backend's MAC. No connection is
  tracked. For a rule without a floating IP a nat chain translates, and tracks.

The answer goes straight from the backend to the client, with the frontend as its source: the guard
knows (link, MAC, frontend) of every backend. The marks are above those of route tables, and set
after those, so that a packet to a frontend is routed by the fabric's main table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, collapse_addresses
from itertools import count

from podwire.model.load_balancer import LoadBalancer, Persistence, Rule, Transport
from podwire.model.wiring import Element, Neighbour, Wiring
from podwire.vnet.fabric import Port
from podwire.vnet.segments import FABRIC, FAMILIES, OWNED
from podwire.vnet.segments import TABLE as VNET_TABLE

TABLE = "balancer"
FIRST_MARK = 0x1000_0000
_FLOWS = 65536
_SEED = 0x5EED
"""Of the hash: one flow has the same backend whenever the fabric is made anew."""
_FLOW_KEY = "ip saddr . ip daddr . th sport . th dport"
_HASHED: dict[Persistence, str] = {
    "Default": f"{_FLOW_KEY} . ip protocol",
    "SourceIP": "ip saddr . ip daddr",
    "SourceIPProtocol": "ip saddr . ip daddr . ip protocol",
}
_FLOW_MAP = (
    "{ type ipv4_addr . ipv4_addr . inet_service . inet_service : mark; "
    f"flags dynamic,timeout; size {_FLOWS}; timeout 4m; }}"
)


@dataclass(frozen=True, slots=True)
class Target:
    """Where a rule's packets may go: one of its backends."""

    frontend: str
    protocol: Transport
    port: int
    backend: str
    backend_port: int
    floating: bool


@dataclass(frozen=True, slots=True)
class Service:
    """A rule of any balancer, with the targets that it has and those that are healthy."""

    rule: Rule
    address: str
    targets: tuple[Target, ...]
    healthy: tuple[Target, ...]

    @property
    def keep(self) -> tuple[Target, ...]:
        """Whose known flows go on: a TCP connection outlives its backend's failed probes, and
        all probes down (Standard SKU); UDP goes to another backend."""
        return self.targets if self.rule.protocol == "tcp" else self.healthy


@dataclass(frozen=True, slots=True)
class Loaded:
    """What of the table in the kernel the next script must take away."""

    chains: int = 0
    translating: bool = False
    present: bool = False


class Marks:
    """The numbers of targets. A number is never another target's: flows remember it."""

    def __init__(self) -> None:
        self._numbers: dict[Target, int] = {}
        self._next = count(FIRST_MARK)

    def of(self, target: Target) -> str:
        if target not in self._numbers:
            self._numbers[target] = next(self._next)
        return hex(self._numbers[target])

    def forget_all_but(self, targets: Iterable[Target]) -> None:
        """A target that comes back later is a new one: its old flows are gone."""
        kept = set(targets)
        self._numbers = {one: mark for one, mark in self._numbers.items() if one in kept}


def services(
    balancers: Iterable[LoadBalancer], is_healthy: Callable[[LoadBalancer, Rule, str], bool]
) -> tuple[Service, ...]:
    """Every rule. is_healthy: whether a backend (address) passes the rule's probe now."""
    return tuple(_service(lb, rule, is_healthy) for lb in balancers for rule in lb.rules)


def _service(
    lb: LoadBalancer, rule: Rule, is_healthy: Callable[[LoadBalancer, Rule, str], bool]
) -> Service:
    address = lb.frontend(rule.frontend).address
    targets = tuple(
        Target(address, rule.protocol, rule.frontend_port, one, rule.backend_port, rule.floating)
        for one in lb.backends
    )
    healthy = tuple(one for one in targets if is_healthy(lb, rule, one.backend))
    return Service(rule, address, targets, healthy)


def script(
    frontends: Sequence[str], balanced: Sequence[Service], marks: Marks, before: Loaded
) -> tuple[str, Loaded]:
    """One transaction that replaces all but the known flows, and what it leaves.

    frontends: addresses that the balancers own, also those without a rule.
    """
    if not frontends:
        return (f"delete table ip {TABLE}\n" if before.present else ""), Loaded()
    targets = [target for one in balanced for target in one.targets]
    after = Loaded(len(balanced), not all(one.floating for one in targets), present=True)
    commands = [
        *_skeleton(after),
        *_cleared(before, after),
        *(line for n, one in enumerate(balanced) for line in _chain(f"rule{n}", one, marks)),
        *_elements("frontends", frontends),
        *_elements("rules", (_dispatch(n, one) for n, one in enumerate(balanced))),
        *_elements("backend_of", (_pair(marks, one, one.backend) for one in _floating(targets))),
        *_elements("frontend_of", (_pair(marks, one, one.frontend) for one in _floating(targets))),
        *_elements(
            "destinations",
            (
                _pair(marks, one, f"{one.backend} . {one.backend_port}")
                for one in targets
                if not one.floating
            ),
        ),
        *_hooks(after),
    ]
    return "\n".join([*commands, ""]), after


def _floating(targets: Iterable[Target]) -> list[Target]:
    return [one for one in targets if one.floating]


def _skeleton(after: Loaded) -> list[str]:
    """Adding what is there is nothing: the flows stay."""
    chains = {
        "dispatch": "filter hook prerouting priority mangle + 10",
        "restore": "filter hook forward priority mangle",
    }
    if after.translating:
        chains["translate"] = "nat hook prerouting priority dstnat"
    return [
        f"add table ip {TABLE}",
        f"add counter ip {TABLE} unserved",
        f"add set ip {TABLE} frontends {{ type ipv4_addr; }}",
        f"add map ip {TABLE} rules {{ type ipv4_addr . inet_proto . inet_service : verdict; }}",
        f"add map ip {TABLE} backend_of {{ type mark : ipv4_addr; }}",
        f"add map ip {TABLE} frontend_of {{ type mark : ipv4_addr; }}",
        f"add map ip {TABLE} destinations {{ type mark : ipv4_addr . inet_service; }}",
        *(f"add map ip {TABLE} {one}_flows {_FLOW_MAP}" for one in ("tcp", "udp")),
        *(f"add chain ip {TABLE} {name} {{ type {hook}; }}" for name, hook in chains.items()),
    ]


def _cleared(before: Loaded, after: Loaded) -> list[str]:
    old = [f"rule{number}" for number in range(before.chains)]
    gone = ["translate"] if before.translating and not after.translating else []
    kept = ["dispatch", "restore", *(["translate"] if after.translating else [])]
    maps = ("rules", "backend_of", "frontend_of", "destinations")
    return [
        f"flush set ip {TABLE} frontends",
        *(f"flush map ip {TABLE} {one}" for one in maps),
        *(f"flush chain ip {TABLE} {one}" for one in [*kept, *old, *gone]),
        *(f"delete chain ip {TABLE} {one}" for one in [*old, *gone]),
    ]


def _hooks(after: Loaded) -> list[str]:
    """The rules that every packet passes."""
    rules = [
        "dispatch ip daddr != @frontends accept",
        "dispatch ip daddr . ip protocol . th dport vmap @rules",
        "dispatch counter name unserved drop",
        "restore ip daddr set meta mark map @frontend_of",
    ]
    if after.translating:
        for protocol in ("tcp", "udp"):
            to = "dnat ip addr . port to meta mark map @destinations"
            rules.append(f"translate meta l4proto {protocol} {to}")
    return [f"add rule ip {TABLE} {rule}" for rule in rules]


def _chain(name: str, service: Service, marks: Marks) -> list[str]:
    """What is done with a packet to this rule's port.

    A TCP flow begins with its first SYN, whatever used the same ports before.
    """
    rule, flows = service.rule, f"@{service.rule.protocol}_flows"
    steps = []
    if sources := _sources(rule):
        steps.append(f"ip saddr != {{ {sources} }} counter name unserved drop")
    if rule.protocol == "tcp":
        first = "tcp flags & (fin | syn | rst | ack) == syn"
        steps.append(f"{first} delete {flows} {{ {_FLOW_KEY} : meta mark }}")
    steps.append("meta mark set 0")
    steps.append(f"meta mark set {_FLOW_KEY} map {flows}")
    steps.append(f"{_unless_kept(service, marks)}{_choice(service, marks)}")
    idle = f"timeout {rule.idle_minutes}m"
    steps.append(f"update {flows} {{ {_FLOW_KEY} {idle} : meta mark }}")
    if rule.floating:
        steps.append("ip daddr set meta mark map @backend_of")
    steps.append("accept")
    chain = f"ip {TABLE} {name}"
    return [f"add chain {chain}", *(f"add rule {chain} {step}" for step in steps)]


def _unless_kept(service: Service, marks: Marks) -> str:
    kept = ", ".join(marks.of(one) for one in service.keep)
    return f"meta mark != {{ {kept} }} " if kept else ""


def _choice(service: Service, marks: Marks) -> str:
    """A healthy target by the hash of what the rule's persistence says; none: the packet's end."""
    healthy = [marks.of(one) for one in service.healthy]
    if not healthy:
        return "counter name unserved drop"
    if len(healthy) == 1:  # the hash of one is no hash to nft
        return f"meta mark set {healthy[0]}"
    slots = ", ".join(f"{slot} : {mark}" for slot, mark in enumerate(healthy))
    hashed = f"jhash {_HASHED[service.rule.persistence]} mod {len(healthy)} seed {_SEED:#x}"
    return f"meta mark set {hashed} map {{ {slots} }}"


def _sources(rule: Rule) -> str:
    """The clients' ranges as a set; "" when they are everybody."""
    ranges = list(collapse_addresses(IPv4Network(one, strict=False) for one in rule.sources))
    everybody = any(one.prefixlen == 0 for one in ranges)
    return "" if everybody else ", ".join(str(one) for one in ranges)


def _dispatch(number: int, service: Service) -> str:
    rule = service.rule
    where = f"{service.address} . {rule.protocol} . {rule.frontend_port}"
    return f"{where} : goto rule{number}"


def _pair(marks: Marks, target: Target, value: str) -> str:
    return f"{marks.of(target)} : {value}"


def _elements(name: str, items: Iterable[str]) -> list[str]:
    listed = ", ".join(items)
    return [f"add element ip {TABLE} {name} {{ {listed} }}"] if listed else []


def return_wiring(balanced: Iterable[Service], ports: Iterable[Port]) -> Wiring:
    """What lets backends receive packets to a frontend, and answer with it as their source."""
    plugged = {address: port for port in ports for address in port.nic.addresses}
    pairs = {
        (one.frontend, plugged[one.backend])
        for service in balanced
        for one in service.targets
        if one.floating and one.backend in plugged
    }
    ordered = sorted(pairs, key=lambda pair: (pair[0], pair[1].link))
    return Wiring.of(one for address, port in ordered for one in _return_path(address, port))


def _return_path(frontend: str, port: Port) -> tuple[Element | Neighbour, ...]:
    """ARP too: a backend that holds the frontend asks with it, as Linux does (arp_announce 0)."""
    mac = port.nic.mac
    item = f"{port.link} . {mac} . {frontend}"
    return (
        *(Element(FABRIC, family, VNET_TABLE, OWNED, item) for family in FAMILIES),
        Neighbour(FABRIC, port.link, frontend, mac),
    )
