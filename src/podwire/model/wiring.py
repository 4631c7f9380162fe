"""Wiring: what a network should be, as a value.

A wiring is an ordered set of kernel objects. Modes are pure functions that return one;
`kernel.wire` realises, unwires and observes it; `diff` compares two. Nothing else describes the
datapath.

Each object says in which `place` it lives: a logical name of a network namespace ("host", "pod",
"fabric", ...), which the caller of the kernel maps to a real one. An object's `key` is its
identity: two objects with one key are the same thing, perhaps with other values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Bridge:
    """A bridge, up, its MAC pinned, STP off."""

    place: str
    name: str
    mac: str
    mtu: int = 1500

    @property
    def key(self) -> tuple[str, ...]:
        return ("link", self.place, self.name)


@dataclass(frozen=True, slots=True)
class Veth:
    """A veth pair, both ends up; the peer is born in its own place (moving a link costs 14 ms).

    mac, peer_mac: None lets the kernel choose; `observe` fills in what it chose.
    index: a wish, no demand: the peer's interface index, this end's being one more. A pair that is
    made in one namespace gets such neighbouring numbers; made across two it gets what is free.
    """

    place: str
    name: str
    peer_place: str
    peer_name: str
    mac: str | None = None
    peer_mac: str | None = None
    mtu: int = 1500
    index: int | None = field(default=None, compare=False)

    @property
    def key(self) -> tuple[str, ...]:
        return ("link", self.place, self.name)


@dataclass(frozen=True, slots=True)
class BridgePort:
    """`link` is a port of `bridge` (IFLA_MASTER), with these flags (IFLA_BRPORT_*)."""

    place: str
    link: str
    bridge: str
    hairpin: bool = False
    neigh_suppress: bool = False

    @property
    def key(self) -> tuple[str, ...]:
        return ("port", self.place, self.link)


@dataclass(frozen=True, slots=True)
class Address:
    """`cidr` (address/prefix length, as in 10.220.2.4/24) on `link`, scope global, no broadcast.

    absent: the address must not be there (an uplink whose addresses moved to the bridge).
    prefix_route: whether its subnet is on the link (the kernel's connected route); None: as the
    kernel does it, which is yes, and not looked at again.
    """

    place: str
    link: str
    cidr: str
    absent: bool = False
    prefix_route: bool | None = None

    @property
    def key(self) -> tuple[str, ...]:
        return ("address", self.place, self.link, self.cidr)


@dataclass(frozen=True, slots=True)
class Route:
    """`dst` (CIDR; 0.0.0.0/0 is the default route) through `link`, by `via` unless on-link.

    onlink: `via` need not be on a connected subnet (RTNH_F_ONLINK). metric: None is made as 0 and
    accepts any.
    """

    place: str
    dst: str
    link: str
    via: str | None = None
    onlink: bool = False
    absent: bool = False
    metric: int | None = None

    @property
    def key(self) -> tuple[str, ...]:
        return ("route", self.place, self.dst, self.link)


@dataclass(frozen=True, slots=True)
class PolicyRoute:
    """A route of another table than main, which packets with the mark `table` follow (PolicyRule).

    link: None sends what takes this route back to the rules, which lead to main (RTN_THROW).
    via: onlink, reached by a Neighbour of `link`. metric: of two routes to `dst` the lower counts.
    """

    place: str
    table: int
    dst: str
    link: str | None = None
    via: str | None = None
    metric: int = 0

    @property
    def key(self) -> tuple[str, ...]:
        return ("policy-route", self.place, str(self.table), self.dst, str(self.metric))


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """Packets with the mark `table` (nft: meta mark) follow the routes of this table, then main."""

    place: str
    table: int

    @property
    def key(self) -> tuple[str, ...]:
        return ("policy-rule", self.place, str(self.table))


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A permanent neighbour entry (NUD_PERMANENT)."""

    place: str
    link: str
    ip: str
    mac: str

    @property
    def key(self) -> tuple[str, ...]:
        return ("neighbour", self.place, self.link, self.ip)


@dataclass(frozen=True, slots=True)
class NeighbourProxy:
    """This place answers on `link` who asks for `ip` (NTF_PROXY), where proxy_ndp lets it."""

    place: str
    link: str
    ip: str

    @property
    def key(self) -> tuple[str, ...]:
        return ("proxy", self.place, self.link, self.ip)


@dataclass(frozen=True, slots=True)
class Sysctl:
    """`name` in slashes below /proc/sys, as in net/ipv6/conf/azure0/accept_ra."""

    place: str
    name: str
    value: str

    @property
    def key(self) -> tuple[str, ...]:
        return ("sysctl", self.place, self.name)


@dataclass(frozen=True, slots=True)
class Table:
    """An nftables table with everything static in it; per-pod facts are `Element`s.

    rules: what stands between the braces of `table FAMILY NAME { ... }` in nft's syntax.
    The table carries a digest of `rules`, so that an old version is seen and replaced.
    """

    place: str
    family: str
    name: str
    rules: str

    @property
    def key(self) -> tuple[str, ...]:
        return ("table", self.place, self.family, self.name)


@dataclass(frozen=True, slots=True)
class Element:
    """An element of a set, or of a map when it has a value.

    item, value: parts joined by " . " when concatenated, in nft's syntax: IPv4 addresses, MACs,
    interface names.
    """

    place: str
    family: str
    table: str
    set: str
    item: str
    value: str | None = None

    @property
    def key(self) -> tuple[str, ...]:
        return ("element", self.place, self.family, self.table, self.set, self.item)


KernelObject: TypeAlias = (
    Bridge
    | Veth
    | BridgePort
    | Address
    | Route
    | PolicyRoute
    | PolicyRule
    | Neighbour
    | NeighbourProxy
    | Sysctl
    | Table
    | Element
)


@dataclass(frozen=True, slots=True)
class Wiring:
    """Kernel objects in the order in which they are made; unmade in the reverse order."""

    objects: tuple[KernelObject, ...] = ()

    def __iter__(self) -> Iterator[KernelObject]:
        return iter(self.objects)

    def __len__(self) -> int:
        return len(self.objects)

    def __add__(self, other: Wiring) -> Wiring:
        return Wiring(self.objects + other.objects)

    @classmethod
    def of(cls, objects: Iterable[KernelObject]) -> Wiring:
        return cls(tuple(objects))


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing in which the kernel is not as wanted. seen: None when it is not there at all.

    fields: the names of the values that differ, empty when the object is missing.
    """

    wanted: KernelObject
    seen: KernelObject | None
    fields: tuple[str, ...] = ()


def diff(wanted: Wiring, seen: Wiring) -> tuple[Difference, ...]:
    """What of `wanted` is missing or other in `seen`. A wanted value of None accepts any."""
    have = {one.key: one for one in seen}
    found: list[Difference] = []
    for want in wanted:
        got = have.get(want.key)
        if getattr(want, "absent", False):
            if got is not None:
                found.append(Difference(want, got, ("absent",)))
        elif got is None:
            found.append(Difference(want, None))
        elif wrong := _unequal(want, got):
            found.append(Difference(want, got, wrong))
    return tuple(found)


def _unequal(want: KernelObject, got: KernelObject) -> tuple[str, ...]:
    if type(want) is not type(got):
        return ("kind",)
    names = [one.name for one in fields(want) if one.compare]
    values = [(name, getattr(want, name), getattr(got, name)) for name in names]
    return tuple(name for name, wanted, seen in values if wanted is not None and wanted != seen)
