"""The node's card, when its addresses go to the bridge and when they come back: what it had is
noted before, so that its routes and its DNS follow both ways.

Each step only makes what is wanted, whatever is there: a call that was killed in one is finished
by the next. A link's DNS is taken from it only when the other one has it, and resolved uses it.
Must not know pods, nor why the card is moved.
"""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from dataclasses import dataclass

from podwire.cni import resolved
from podwire.cni.resolved import LinkDns
from podwire.ipam.ledger import Ledger
from podwire.kernel.netns import NetNamespace
from podwire.kernel.rtnetlink import RtNetlink
from podwire.kernel.wire import realise, unwire
from podwire.model.bridge_mode import DEFAULT_ROUTE, HOST, PLATFORM_ROUTES, Uplink
from podwire.model.dual_stack import DEFAULT_ROUTE6
from podwire.model.errors import UnavailableError
from podwire.model.wiring import Address, Bridge, BridgePort, Route, Wiring

_ROUTES, _ADDRESSES6, _DNS = "routes of", "ipv6 of", "dns of"
"""Before a card's name, the notes of what it had."""
_BY_KERNEL = 2
WAY_OUT = (
    "mend systemd-resolved (`resolvectl status`, `systemctl restart systemd-resolved`), or stop it "
    "when nothing on the node uses it"
)


def keep(uplink: Uplink, ledger: Ledger, host: NetNamespace, *, dns: bool) -> None:
    """Remember routes, and DNS if asked, of a card outside the bridge, before they go there.

    Raises UnavailableError when systemd-resolved runs, and does not tell.
    """
    with RtNetlink(host) as door:
        card = door.link(uplink.name)
        if card is None or card.master:
            return
        found = door.routes(index=card.ifindex)
        if uplink.addresses6:
            found += door.routes(socket.AF_INET6, card.ifindex)
    routes = [
        [one.dst, one.via, one.onlink, one.metric] for one in found if one.protocol != _BY_KERNEL
    ]
    if routes:
        ledger.remember(f"{_ROUTES} {uplink.name}", json.dumps(routes))
    if routes and uplink.addresses6:
        ledger.remember(f"{_ADDRESSES6} {uplink.name}", json.dumps(uplink.addresses6))
    if dns and not _dns(uplink, ledger).given:  # else it lost the bridge that has them
        settings = resolved.read(uplink.name) if resolved.runs() else {}
        _note(uplink, ledger, _Dns(False, settings))


def offer_dns(uplink: Uplink, wiring: Wiring, ledger: Ledger, host: NetNamespace) -> None:
    """The node's bridge, alone, gets the settings that the card has, if any, before it is moved.

    resolved forgets a card's settings when it leaves a bridge: what it will refuse must be known
    before. Not for a bridge that is made again: its pods come first. Raises UnavailableError.
    """
    kept = _dns(uplink, ledger)
    if kept.given or not _tells(kept.settings) or not resolved.runs():
        return
    for bridge in (one for one in wiring if isinstance(one, Bridge)):
        realise(Wiring.of([bridge]), {HOST: host})
        resolved.give(bridge.name, kept.settings, used=False)


def give_dns(uplink: Uplink, bridge: str, ledger: Ledger) -> bool:
    """The bridge gets the DNS settings that the card had, if any. Raises UnavailableError.

    The card must lose them: resolved goes on asking by it, though its addresses are gone.
    """
    kept = _dns(uplink, ledger)
    if not _tells(kept.settings) or not resolved.runs():
        return False
    resolved.give(bridge, kept.settings)
    resolved.revert(uplink.name)
    _note(uplink, ledger, _Dns(True, kept.settings))
    return True


def take_dns_back(uplink: Uplink, bridge: str, ledger: Ledger, host: NetNamespace) -> None:
    """The card gets the DNS settings that the bridge has now. Raises UnavailableError.

    Those that are noted, when the bridge is gone, or was not given all of them.
    """
    if not resolved.runs():
        return
    kept = _dns(uplink, ledger)
    if kept.given or not _tells(kept.settings):
        with RtNetlink(host) as door:
            is_there = door.link(bridge) is not None
        have = resolved.read(bridge) if is_there else {}
        kept = _Dns(False, have if _tells(have) else kept.settings)
        _note(uplink, ledger, kept)
    if _tells(kept.settings):
        resolved.give(uplink.name, kept.settings)


def undo_dns(uplink: Uplink, ledger: Ledger, *, bridged: bool) -> None:
    """After a move of DNS that failed: as far as resolved lets us, the card has what it had.

    bridged: in the bridge, without settings of its own.
    """
    kept = _dns(uplink, ledger)
    if not _tells(kept.settings):
        return
    with suppress(UnavailableError):  # the failure before it is the one to tell
        if bridged:
            resolved.revert(uplink.name)
        else:
            resolved.give(uplink.name, kept.settings)
    _note(uplink, ledger, _Dns(bridged, kept.settings))


@dataclass(frozen=True, slots=True)
class _Dns:
    """given: the bridge has all of them, and may have got others since."""

    given: bool
    settings: LinkDns


def _note(uplink: Uplink, ledger: Ledger, dns: _Dns) -> None:
    ledger.remember(f"{_DNS} {uplink.name}", json.dumps([dns.given, dns.settings]))


def _dns(uplink: Uplink, ledger: Ledger) -> _Dns:
    return _Dns(*json.loads(ledger.recall(f"{_DNS} {uplink.name}") or "[false, {}]"))


def _tells(settings: LinkDns) -> bool:
    """Whether it names a server or a domain: the rest is nothing without."""
    return bool(settings.get("dns") or settings.get("domain"))


def leave_bridge(uplink: Uplink, bridge: str, ledger: Ledger, host: NetNamespace) -> None:
    """Freedom, addresses, routes, in this order. The bridge stays, for it may have DNS settings.

    The addresses come after: resolved takes a port's end for that of its link and forgets what it
    knew of it. Meanwhile the bridge has them too.
    """
    places = {HOST: host}
    unwire(Wiring.of([BridgePort(HOST, uplink.name, bridge)]), places)
    realise(Wiring.of(Address(HOST, uplink.name, one) for one in uplink.cidrs), places)
    realise(Wiring.of(routes(uplink, ledger)), places)


def routes(uplink: Uplink, ledger: Ledger) -> list[Route]:
    """The card's, as they were before the bridge; else those that Azure's DHCP gives."""
    kept = ledger.recall(f"{_ROUTES} {uplink.name}")
    if kept:
        return [
            Route(HOST, dst, uplink.name, via, onlink, metric=metric)
            for dst, via, onlink, metric in sorted(json.loads(kept), key=lambda one: bool(one[1]))
        ]
    all_routes = (DEFAULT_ROUTE, *PLATFORM_ROUTES)
    four = [Route(HOST, one, uplink.name, uplink.gateway) for one in all_routes]
    six = Route(HOST, DEFAULT_ROUTE6, uplink.name, uplink.gateway6, onlink=True)
    return [*four, six] if uplink.gateway6 else four


def kept6(uplink: Uplink, ledger: Ledger) -> tuple[tuple[str, ...], str]:
    """The IPv6 addresses and gateway that the card had before the bridge; (), "" if not known."""
    addresses = json.loads(ledger.recall(f"{_ADDRESSES6} {uplink.name}") or "[]")
    known = json.loads(ledger.recall(f"{_ROUTES} {uplink.name}") or "[]")
    gateways = (via for dst, via, *_ in known if dst == DEFAULT_ROUTE6 and via)
    return tuple(addresses), next(gateways, "")


def dns_failed(error: UnavailableError, state: str) -> str:
    """What to tell of DNS that could not be moved. state: where the node is now."""
    return f"the node's DNS settings cannot be moved: {error}; {state}; {WAY_OUT}, and try again"
