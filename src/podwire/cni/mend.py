"""Ending leaks: what `gc` does with each finding, and freeing one lease by hand.

A lease and its network go together, by the plugins' own code (pods.remove). Must not judge what is
a leak: leaks.py does; this looks once more just before it acts.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from functools import partial

from podwire.cni import pods
from podwire.cni.leaks import ADOPT, FREE, Finding, pod_name
from podwire.cni.log import Log
from podwire.ipam.keeper import Keeper
from podwire.ipam.lease import ATTACHED, OWN_IPAM, Lease
from podwire.kernel.netns import NetNamespace
from podwire.kernel.wire import unwire
from podwire.model.bridge_mode import HOST, PORT_LOOPS, TABLE_FAMILY, TABLE_NAME
from podwire.model.cni import Request
from podwire.model.errors import InvalidInputError, PodwireError
from podwire.model.wiring import Element, Wiring

LEFT = "not proven to be of nobody"
_REQUEST = Request("DEL")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a finding. action: leaks' FREE, REMOVE, ADOPT, or "" when it is left;
    why: for "" only."""

    finding: Finding
    action: str
    why: str = ""


def mend(found: list[Finding], keeper: Keeper, host: NetNamespace, log: Log) -> list[Outcome]:
    """What can be of what is proven; one that fails stops no other."""
    return [_mended(one, keeper, host, log) for one in found]


def _mended(one: Finding, keeper: Keeper, host: NetNamespace, log: Log) -> Outcome:
    if not one.gc:
        return Outcome(one, "", LEFT)
    log.write(f"[ipam] gc: {one.gc} {one.address or one.host_link}: {one.cause}.")
    try:
        if _act(one, keeper, host, log):
            return Outcome(one, one.gc)
        return Outcome(one, "", "a call of the runtime works on it now")
    except PodwireError as error:
        return Outcome(one, "", str(error))


def _act(one: Finding, keeper: Keeper, host: NetNamespace, log: Log) -> bool:
    if one.gc == FREE and one.lease is not None:
        if one.kind != "unknown-container" and not pods.is_leaked(one.lease):
            return False
        return pods.remove(keeper, one.lease, _REQUEST, host, log)
    if one.survivor is not None:
        lease = keeper.adopt(one.survivor)
        if lease is None or one.gc == ADOPT:
            return lease is not None
        return pods.remove(keeper, lease, _REQUEST, host, log)
    return keeper.while_no_lease(one.host_link, partial(_unwire, one, host))


def _unwire(one: Finding, host: NetNamespace) -> None:
    """A link, and its place in the MAC NAT's set of ports."""
    if one.kind == "stray-link":
        pods.unwire_link(one.host_link, "", host)
    port = f"{one.host_link} . {one.host_link}"
    unwire(Wiring.of([Element(HOST, TABLE_FAMILY, TABLE_NAME, PORT_LOOPS, port)]), {HOST: host})


def chosen(keeper: Keeper, which: str) -> Lease:
    """The lease of ADDRESS or CONTAINER[/IFNAME]; a container's id may be shortened.

    Raises InvalidInputError naming what was given and what there is.
    """
    leases = keeper.leases()
    container, _, ifname = which.partition("/")
    try:
        address = str(ipaddress.ip_address(which))
        found = [one for one in leases if address in (one.address, one.address6)]
        what = f"address {address}"
    except ValueError:
        found = [
            one
            for one in leases
            if container and one.container_id.startswith(container) and ifname in ("", one.ifname)
        ]
        exact = [one for one in found if one.container_id == container]
        found, what = exact or found, f"container {which}"
    if len(found) > 1:
        names = ", ".join(f"{one.address} ({one.container_id[:12]}/{one.ifname})" for one in found)
        raise InvalidInputError(f"{what} has {len(found)} leases: {names}; name one by its address")
    if not found:
        raise InvalidInputError(f"{what} {_why_none(keeper, which)}")
    return found[0]


def _why_none(keeper: Keeper, which: str) -> str:
    known = next((one for one in keeper.addresses() if one.address == which), None)
    if known is not None:
        return "is held by nobody: it is free already (`podwire ipam show`)"
    return "is not in the ledger: nobody holds it (`podwire ipam show` lists who holds what)"


def release(
    keeper: Keeper, lease: Lease, host: NetNamespace, log: Log, *, force: bool = False
) -> None:
    """Free one lease with its pod's network.

    Raises InvalidInputError while its pod is alive, unless `force`, and when a call works on it or
    another IPAM plugin gave its address; KernelError when something cannot be removed.
    """
    if lease.ipam != OWN_IPAM:
        raise InvalidInputError(
            f"{lease.address or 'the lease'} was given by {lease.ipam}, which must be told: "
            f"`podwire cni del --container-id {lease.container_id}` runs its DEL"
        )
    if lease.state != ATTACHED and not lease.abandoned:
        raise InvalidInputError(
            f"{lease.address} is {lease.state}: process {lease.owner_pid} works on it now; wait "
            "for it, or end it"
        )
    if not force and not pods.is_leaked(lease):
        alive = f"its link {lease.host_link} is there"
        if not lease.host_link:
            alive = f"its network namespace {lease.netns or '(not known)'} is there"
        raise InvalidInputError(
            f"{lease.address} is in use by {pod_name(lease) or lease.container_id[:12] or 'a pod'} "
            f"({alive}); delete the pod, or use --force: it loses its network"
        )
    log.write(f"[ipam] Releasing {lease.address} of {lease.container_id[:12]} by hand.")
    if not pods.remove(keeper, lease, _REQUEST, host, log):
        raise InvalidInputError(f"another call works on {lease.address} now; look again")
