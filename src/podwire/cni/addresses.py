"""Where a pod's address comes from: the ledger in this process, or another IPAM plugin.

Must not know how a pod is wired.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from contextlib import suppress

from podwire.cni import delegate, execute
from podwire.cni.background import in_background
from podwire.cni.log import Log
from podwire.cni.settings import Settings
from podwire.cni.sources import source_of, wanted
from podwire.ipam.lease import ATTACHED, OWN_IPAM, Glance, Holder, Lease
from podwire.ipam.ledger import Ledger
from podwire.ipam.source import Source
from podwire.model.bridge_mode import DEFAULT_ROUTE
from podwire.model.cni import Request
from podwire.model.cni_error import DELEGATE_FAILED, FAILED, INVALID_CONFIG, TRY_AGAIN, CniError
from podwire.model.cni_result import Dns, IpConfig, PodRoute, Result
from podwire.model.dual_stack import DEFAULT_ROUTE6
from podwire.model.errors import PodwireError, UnavailableError
from podwire.model.vnet import WIRE_SERVER

DNS = (WIRE_SERVER,)


def refresh(
    ledger: Ledger,
    settings: Settings,
    log: Log,
    request: Request | None = None,
    glance: Glance | None = None,
) -> bool:
    """Ask the source when the ledger wants it; without an answer, go on with what is known.

    A call that the ledger can serve waits for nobody: it is asked beside the call. Whether the
    ledger may know other addresses than at the glance. Raises CniError 7 (unknown source), 11 when
    nothing is known.
    """
    source = source_of(request, settings)
    if not ledger.wants_refresh(source.name, glance):
        return False
    if not source.local and request and ledger.can_serve(request.container_id, request.ifname):
        if ledger.begin_refresh():
            log.flush()  # the lines are this call's, not that one's
            in_background(lambda: _refresh_beside(source, settings, log))
        return False
    try:
        _ask(ledger, source, settings, log)
    except UnavailableError as error:
        log.write(f"[ipam] {error}")
        if not ledger.pools():
            raise CniError(
                TRY_AGAIN, f"Failed to allocate pool: Invalid address space: {error}"
            ) from error
    return True


def _ask(ledger: Ledger, source: Source, settings: Settings, log: Log) -> None:
    if source.local:
        log.write(f"[ipam] Refreshing address source: {source.name}")
    else:
        log.write(f"[ipam] Wireserver call {settings.wire_server_url} to retrieve IP List")
    log.flush()
    ledger.merge(source.cards(), source.name)
    log.write("[ipam] merging address space")


def _refresh_beside(source: Source, settings: Settings, log: Log) -> None:
    """In a process or thread of its own, so with a ledger of its own."""
    try:
        with Ledger.open(settings.state_dir, create=False, wait=settings.lock_wait) as ledger:
            _ask(ledger, source, settings, log)
    except PodwireError as error:
        log.write(f"[ipam] {error}")


NEEDS_LINK = frozenset({"dhcp"})
"""IPAM plugins that ask for the address through the pod's link, which must be there before."""


def take(
    ledger: Ledger,
    holder: Holder,
    request: Request,
    settings: Settings,
    *,
    mac: str = "",
    both: bool = True,
) -> Lease:
    """A pending lease with an address of our own; or the attached one that the holder has already.

    mac: the card that it is of; both: whether an IPv6 address goes with it where there is one.
    Raises CniError with the text that azure-vnet gives its caller.
    """
    try:
        subnet, address, address6 = wanted(request)
        return ledger.allocate(
            holder,
            subnet=subnet,
            address=address,
            address6=address6 if both else "",
            mac=mac,
            both=both,
            cooling_seconds=settings.cooling_seconds,
            waiting=request.waiting,
        )
    except CniError as error:
        if error.code == TRY_AGAIN:
            raise
        chain = f"Failed to allocate pool: Failed to delegate: {error.msg}"
        raise CniError(error.code, chain, error.details) from error


def give_back(lease: Lease, request: Request) -> None:
    """Tell the IPAM plugin that gave the address; our own ledger is told by its row's end."""
    if lease.ipam == OWN_IPAM:
        return
    holder = {
        "CNI_CONTAINERID": lease.container_id,
        "CNI_IFNAME": lease.ifname,
        "CNI_NETNS": lease.netns,
    }
    delegate.call(lease.ipam, "DEL", request, holder)


def give_back_unknown(request: Request) -> None:
    """A foreign IPAM plugin hears of a DEL also when no lease tells that it gave an address.

    One that is not there gave none: an ADD that failed for that must be removable.
    """
    ipam = request.config.get("ipam")
    kind = ipam.get("type") if isinstance(ipam, dict) else None
    if isinstance(kind, str) and kind not in ("", OWN_IPAM) and execute.find(kind, request.path):
        delegate.call(kind, "DEL", request)


def ipam_result(lease: Lease, nameservers: tuple[str, ...] = ()) -> Result:
    """What azure-vnet-ipam answers for a lease."""
    ips, routes = ips_and_routes(lease, lease.gateway6)
    return Result(ips=ips, routes=routes, dns=Dns(nameservers or DNS))


def ips_and_routes(
    lease: Lease, gateway6: str, interface: int | None = None
) -> tuple[tuple[IpConfig, ...], tuple[PodRoute, ...]]:
    """A lease's addresses and the routes that lead everywhere, of each family that it has."""
    given = [one for one in ((lease.cidr, lease.gateway), (lease.cidr6, gateway6)) if one[0]]
    return (
        tuple(IpConfig(cidr, gateway, interface) for cidr, gateway in given),
        tuple(PodRoute(_everything(cidr), gateway) for cidr, gateway in given),
    )


def _everything(cidr: str) -> str:
    return DEFAULT_ROUTE6 if ":" in cidr else DEFAULT_ROUTE


def take_from_plugin(
    ledger: Ledger,
    holder: Holder,
    request: Request,
    *,
    link: Callable[[], None],
    undo: Callable[[Lease], object],
) -> Lease:
    """As `take`, of the holder's IPAM plugin.

    link makes the pod's link, for a plugin that needs it; undo takes away all of a lease that got
    no address. The lease is journalled first, so that a death in between gives the address back.
    """
    delegate.find(holder.ipam, request.path)
    if holder.ipam in NEEDS_LINK and not holder.bridge:
        raise CniError(
            INVALID_CONFIG,
            f"network configuration: ipam.type is {holder.ipam!r}, which asks on the pod's link; "
            "in transparent mode no broadcast leaves it: set mode to bridge, or another ipam.type",
        )
    lease = ledger.reserve(holder, request.waiting)
    if lease.state == ATTACHED:
        return lease
    try:
        if holder.ipam in NEEDS_LINK:
            link()
        result = delegate.call(holder.ipam, "ADD", request)
        one = next((ip for ip in (result.ips if result else ()) if ip.family == "4"), None)
        if one is None:
            raise CniError(DELEGATE_FAILED, f"{holder.ipam} gave no IPv4 address")
        subnet = str(ipaddress.ip_interface(one.address).network)
        if not one.gateway:
            raise CniError(FAILED, f"{holder.ipam} gave {one.address} without a gateway")
        return ledger.assign(lease, one.address.partition("/")[0], subnet, one.gateway)
    except BaseException:
        with suppress(PodwireError):  # not given back: the lease stays, and is recovered later
            undo(lease)
        raise
