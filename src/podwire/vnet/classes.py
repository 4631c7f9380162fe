"""What becomes of a packet, as an nft table that only marks: its route table, denied, nobody's.

The whole table is replaced in one transaction when anything in it changes; counters and verdicts
are in the fabric's static table (`segments`). One lookup by link leads into the chains of a NIC's
security groups; NICs whose groups say the same share a chain. Only with a group is there
connection tracking.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from podwire.model.effective_security import (
    BY_SUBNET,
    EffectiveGroup,
    EffectiveRule,
    Ports,
    effective_rules,
)
from podwire.model.prefixes import EVERYTHING, Networks
from podwire.model.security import HIGHEST_PORT, Access, Direction, Protocol, SecurityGroup
from podwire.model.vnet import PLATFORM_RANGE
from podwire.model.wiring import Table
from podwire.vnet.scene import Port, Scene
from podwire.vnet.segments import DENIED, FABRIC, FOREIGN, NOBODYS

CLASSES = "classes"
_NEW = "ct state new,invalid,untracked"
_Maps = dict[tuple[str, Direction], dict[str, str]]


def classes(scene: Scene) -> Table:
    """Raises InvalidInputError when a security rule names what the lab does not know."""
    groups = _Groups(scene)
    lines = [*_steer(scene), *groups.lines(), *_forward(scene, tracked=groups.any)]
    return Table(FABRIC, "ip", CLASSES, "\n".join(lines))


def _steer(scene: Scene) -> Iterator[str]:
    yield "chain steer {"
    yield "type filter hook prerouting priority mangle; policy accept;"
    own = _listed(scene.vnet.prefixes)
    for link in scene.peers.values():
        peering = next((one for name, one in scene.open_peers if name == link), None)
        if peering is None:
            yield f"iifname {link} meta mark set {FOREIGN} accept"
            continue
        if not peering.allow_forwarded:
            remote = _listed(peering.remote_prefixes)
            yield f"iifname {link} ip saddr != {remote} meta mark set {FOREIGN} accept"
        unmarked = f"iifname {link} meta mark 0"  # not by way of one of the VNet's own NICs
        yield f"{unmarked} ip daddr != {own} meta mark set {FOREIGN} accept"
    marks = {
        port.link: str(scene.tables[port.nic.subnet.name].number)
        for port in scene.ports.values()
        if port.nic.subnet.name in scene.tables and not scene.is_platform(port)
    }
    if marks:
        yield f"meta mark set iifname map {_mapped(marks)}"
    yield "}"


def _forward(scene: Scene, *, tracked: bool) -> Iterator[str]:
    yield "chain forward {"
    yield "type filter hook forward priority filter; policy accept;"
    if tracked:
        yield f"{_NEW} jump groups"
    yield f"oifname lo ip daddr {_listed(scene.vnet.prefixes)} meta mark set {NOBODYS}"
    yield "}"
    if tracked:  # what the platform itself sends, as the probes of its load balancer
        yield "chain own {"
        yield "type filter hook output priority filter; policy accept;"
        yield f"{_NEW} jump inbound"
        yield "}"


class _Groups:
    """The chains of all groups, by what is in them, and which links lead into which."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._chains: dict[tuple[str, ...], str] = {}
        self._maps: _Maps = {}
        alike: dict[tuple[str, SecurityGroup | None], list[Port]] = {}
        for port in scene.ports.values():
            if not scene.is_platform(port):
                kind = (port.nic.subnet.name, port.nic.security)
                alike.setdefault(kind, []).append(port)
        for ports in alike.values():
            self._add(ports)

    @property
    def any(self) -> bool:
        return bool(self._chains)

    def _add(self, ports: Sequence[Port]) -> None:
        """Of one subnet and with one group of their own, so that the same rules are for them."""
        for group in effective_rules(ports[0].nic, self._scene.vnet):
            for direction in Direction:
                links = self._maps.setdefault((group.association, direction), {})
                jump = f"jump {self._chain(group, direction)}"
                links.update((port.link, jump) for port in ports)

    def _chain(self, group: EffectiveGroup, direction: Direction) -> str:
        lines = tuple(_rules(group, direction))
        return self._chains.setdefault(lines, f"group{len(self._chains) + 1}")

    def lines(self) -> Iterator[str]:
        if not self.any:
            return
        yield from (f"chain denied {{ meta mark set {DENIED} accept; }}",)
        for rules, name in self._chains.items():
            yield from (f"chain {name} {{", *rules, "}")
        yield from ("chain inbound {", *self._asked(Direction.INBOUND, "oifname"), "}")
        yield "chain groups {"
        yield f"ip saddr {PLATFORM_RANGE} return"
        yield from (*self._asked(Direction.OUTBOUND, "iifname"), "goto inbound", "}")

    def _asked(self, direction: Direction, key: str) -> Iterator[str]:
        """Inbound the subnet's groups first, outbound the NIC's."""
        places = sorted({one for one, _ in self._maps}, key=lambda one: one == BY_SUBNET)
        for place in places if direction == Direction.OUTBOUND else reversed(places):
            yield f"{key} vmap {_mapped(self._maps[place, direction])}"


def _rules(group: EffectiveGroup, direction: Direction) -> Iterator[str]:
    for one in group.of(direction):
        match = _match(one)
        if match is not None:
            verdict = "return" if one.rule.access == Access.ALLOW else "goto denied"
            yield f'{match}{verdict} comment "{_plain(f"{group.group}/{one.rule.name}")}"'


def _match(one: EffectiveRule) -> str | None:
    """nft's words for what the rule matches, with a space behind; None when that is nothing."""
    protocol = one.rule.protocol
    if not (one.sources and one.destinations):
        return None
    parts = [_addresses("saddr", one.sources), _addresses("daddr", one.destinations)]
    if one.every_port:
        parts += [] if protocol == Protocol.ANY else [f"meta l4proto {protocol.lower()} "]
    elif protocol == Protocol.ANY:
        parts += ["meta l4proto { tcp, udp } ", *_ports(one)]
    elif protocol.has_ports:
        parts += [f"meta l4proto {protocol.lower()} ", *_ports(one)]
    else:
        return None
    return "".join(parts)


def _addresses(field: str, networks: Networks) -> str:
    return "" if networks == EVERYTHING else f"ip {field} {_listed(str(one) for one in networks)} "


def _ports(one: EffectiveRule) -> Iterator[str]:
    for field, ports in (("sport", one.source_ports), ("dport", one.destination_ports)):
        if (0, HIGHEST_PORT) not in ports:
            yield f"th {field} {_listed(_range(*one) for one in _merged(ports))} "


def _range(first: int, last: int) -> str:
    return f"{first}-{last}" if last > first else str(first)


def _merged(ports: Ports) -> list[tuple[int, int]]:
    """Sorted ranges without overlaps."""
    merged: list[tuple[int, int]] = []
    for first, last in ports:
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged


def _listed(items: Iterable[str]) -> str:
    return f"{{ {', '.join(items)} }}"


def _mapped(items: dict[str, str]) -> str:
    return _listed(f"{key} : {value}" for key, value in items.items())


def _plain(text: str) -> str:
    """A comment of nft is short, and in quotes."""
    return "".join(one for one in text if one.isalnum() or one in "._-/ ")[:120]
