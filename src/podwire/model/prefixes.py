"""Sets of IPv4 addresses as sorted, disjoint networks. No idea what they are for."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, collapse_addresses
from typing import TypeAlias

Networks: TypeAlias = tuple[IPv4Network, ...]
EVERYTHING: Networks = (IPv4Network("0.0.0.0/0"),)


def union(networks: Iterable[IPv4Network]) -> Networks:
    """The fewest networks that hold the same addresses, in order."""
    return tuple(collapse_addresses(networks))


@lru_cache(maxsize=256)
def without(networks: Networks, holes: Networks) -> Networks:
    """The addresses of `networks` that are in none of `holes`."""
    left = list(networks)
    for hole in holes:
        left = [part for one in left for part in _cut(one, hole)]
    return union(left)


def _cut(network: IPv4Network, hole: IPv4Network) -> Iterable[IPv4Network]:
    if not network.overlaps(hole):
        return (network,)
    return () if network.subnet_of(hole) else network.address_exclude(hole)


def holds(networks: Networks, address: str) -> bool:
    one = IPv4Address(address)
    return any(one in network for network in networks)


def overlapping(some: Iterable[str], others: Iterable[str]) -> tuple[str, ...]:
    """Those CIDRs of `some` that share an address with one of `others`."""
    rest = [IPv4Network(one) for one in others]
    return tuple(one for one in some if any(IPv4Network(one).overlaps(other) for other in rest))
