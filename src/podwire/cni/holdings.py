"""Who holds which address: the rows that `podwire ipam show` prints and the metrics count.

Pure: from what the ledger says. Must not know the kernel.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from podwire.ipam.lease import AddressState, Lease

FREE, COOLING, UNLISTED = "free", "cooling", "unlisted"


@dataclass(frozen=True, slots=True)
class Holding:
    """One address. state: a lease's (pending, attached, releasing), free, or cooling.

    listed: whether the source has it; None: another IPAM plugin's, which no source of ours lists.
    seconds: that it is held, or that it goes on cooling; None when free. lease: None when free.
    """

    address: str
    subnet: str
    state: str
    listed: bool | None
    seconds: float | None
    lease: Lease | None


def holdings(
    addresses: Iterable[AddressState], leases: Iterable[Lease], *, now: float, cooling: float
) -> list[Holding]:
    """All addresses in order. now: Unix time; cooling: seconds that a freed address is spared."""
    by_address = {one.address: one for one in leases}
    second = {one.address6: one for one in by_address.values() if one.address6}
    found = []
    for one in addresses:
        lease = by_address.pop(one.address, None) or second.pop(one.address, None)
        found.append(_of(one, lease, now, cooling))
    found += [_held(one.address, one.subnet, one, None, now) for one in by_address.values()]
    found += [_held(one.address6, one.subnet6, one, None, now) for one in second.values()]
    return sorted(found, key=lambda one: _number(one.address))


def count(found: Iterable[Holding]) -> Counter[str]:
    """How many are free, cooling, and held by leases of each state."""
    return Counter(one.state for one in found)


def _of(one: AddressState, lease: Lease | None, now: float, cooling: float) -> Holding:
    if lease is not None:
        return _held(one.address, one.subnet, lease, one.listed, now)
    left = None if one.freed is None else cooling - one.freed
    if left is not None and left > 0:
        return Holding(one.address, one.subnet, COOLING, one.listed, left, None)
    return Holding(one.address, one.subnet, FREE, one.listed, None, None)


def _held(address: str, subnet: str, lease: Lease, listed: bool | None, now: float) -> Holding:
    held = max(0.0, now - lease.since)
    return Holding(address, subnet, lease.state, listed, held, lease)


def _number(address: str) -> tuple[int, int]:
    """IPv4 before IPv6; what has no address yet comes first."""
    parsed = ip_address(address) if address else None
    return (parsed.version, int(parsed)) if parsed else (0, 0)


def document(found: Iterable[Holding]) -> Iterator[dict[str, object]]:
    """As `--output json` lists them."""
    for one in found:
        lease = one.lease
        yield {
            "address": one.address,
            "subnet": one.subnet,
            "state": one.state,
            "listed": one.listed,
            "cooling_seconds": round(one.seconds or 0, 1) if one.state == COOLING else None,
            "since": lease.since if lease else None,
            "pod_namespace": lease.pod_namespace if lease else None,
            "pod_name": lease.pod_name if lease else None,
            "container_id": lease.container_id if lease else None,
            "ifname": lease.ifname if lease else None,
            "netns": lease.netns if lease else None,
            "host_link": lease.host_link if lease else None,
            "mac": lease.mac if lease else None,
            "network": lease.network if lease else None,
            "bridge": lease.bridge if lease else None,
            "ipam": lease.ipam if lease else None,
            "owner_pid": lease.owner_pid if lease else None,
        }
