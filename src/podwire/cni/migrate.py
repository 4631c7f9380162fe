"""Moving a live node, its card and all its pods, from one mode to the other; and off the node.

The note of the node's mode is the journal: it says "moving to MODE" from before the first step
until after the last. Each step only makes what is wanted and removes what is not, whatever is
there: run again after a kill, in either direction, the migration goes on from where the node is.
Calls that come meanwhile are told to try again. A pod keeps its veth pair, address and MAC, so that
its connections live; it is changed while its lease cannot change. Until a pod is all transparent,
its lease has a bridge: a DEL in between removes the objects of both modes.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import astuple, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from podwire.cni import card, install, modes, pods
from podwire.cni.log import Log
from podwire.cni.modes import BRIDGE, MODES, TRANSPARENT
from podwire.cni.node import Node, find_node
from podwire.cni.settings import Settings
from podwire.ipam.lease import ATTACHED, Lease, Survivor
from podwire.ipam.ledger import Ledger
from podwire.ipam.lock import locked
from podwire.kernel.netns import NetNamespace
from podwire.kernel.pods import wired_pods
from podwire.kernel.wire import describe, observe, realise, unwire
from podwire.model.bridge_mode import HOST, POD, Uplink, pod_mac
from podwire.model.cni import Request
from podwire.model.cni_error import TRY_AGAIN, CniError
from podwire.model.errors import InvalidInputError, KernelError, UnavailableError
from podwire.model.netconf import NetConf
from podwire.model.wiring import (
    Address,
    KernelObject,
    Sysctl,
    Veth,
    Wiring,
    diff,
)

_JOURNAL = "migration"
_ASIDE = "uninstalling"
"""After its name, the conflist of a node that an uninstallation works on, or died on."""


@dataclass(frozen=True, slots=True)
class Moved:
    """changes: kernel objects, as in "+ route host 10.220.2.5/32 azv..."."""

    before: str
    after: str
    pods: int
    changes: tuple[str, ...]


def migrate(to: str, settings: Settings, conflist: Path, *, dry_run: bool = False) -> Moved:
    """Bring this network namespace's node into mode `to`, and the conflist with it.

    Raises InvalidInputError (no such mode or conflist, a pod that cannot be entered), CniError 11
    (another call takes too long), KernelError; after the last two run it again. Raises
    UnavailableError when DNS could not be moved; the node is back in its mode then.
    """
    modes.supported(to)
    document, conf = _read(conflist)
    with _node(conf, settings) as move:
        before = modes.node_mode(move.ledger, move.host, conf.bridge)
        if before == to:
            return _finished(Moved(before, to, 0, ()), document, conflist, to, dry_run)
        with move.entered():
            changes = move.changes(to)
            if not dry_run:
                move.begin(to)
                move.run_or_undo(to)
            moved = Moved(before, to, len(move.places), changes)
        _finished(moved, document, conflist, to, dry_run)
        if not dry_run:
            modes.set_node_mode(move.ledger, to)
        return moved


def uninstall(
    settings: Settings, *, bin_dir: str, conf_dir: str, lib_dir: str, force: bool = False
) -> Moved:
    """Take the plugins off the node: the card gets back its addresses and routes.

    force: also while pods are wired, which lose their network. Raises InvalidInputError without;
    UnavailableError when DNS could not be moved: the node is still wired then, but for its pods.
    """
    conflist = Path(conf_dir) / install.CONFLIST
    aside = conflist.with_name(f"{install.CONFLIST}.{_ASIDE}")  # no runtime's, but the next call's
    known = next((one for one in (conflist, aside) if one.exists()), None)
    conf = _read(known)[1] if known else NetConf("azure", mode=BRIDGE, bridge=modes.DEFAULT_BRIDGE)
    with _node(conf, settings) as move:
        before = modes.node_mode(move.ledger, move.host, conf.bridge)
        wired = [one for one in move.ledger.leases() if one.host_link]
        if wired and not force:
            raise InvalidInputError(
                f"{len(wired)} pods are wired ({_names(wired)}); drain the node first, or use "
                "--force: they lose their network"
            )
        if conflist.exists():
            conflist.replace(aside)  # first of all: no new pods
        for lease in wired:
            pods.remove(move.ledger, lease, move.request, move.host, move.log)
        if before not in ("", TRANSPARENT):
            try:
                move.begin(TRANSPARENT)
                move.release_card(before)
            except UnavailableError:
                if aside.exists():
                    aside.replace(conflist)
                raise
        modes.set_node_mode(move.ledger, "")
        install.remove(Path("/"), bin_dir=bin_dir, lib_dir=lib_dir)
        aside.unlink(missing_ok=True)
    return Moved(before, "", len(wired), ())


class _Move:
    """One migration under the node's lock. places: the namespaces of the pods, by lease id."""

    def __init__(
        self, conf: NetConf, settings: Settings, ledger: Ledger, host: NetNamespace
    ) -> None:
        self.settings, self.ledger, self.host = settings, ledger, host
        self.log = Log.of(settings, "azure-vnet")
        self.request = Request("DEL", config={"name": conf.name, "type": "azure-vnet"})
        self.places: dict[int, NetNamespace] = {}
        told = ledger.recall(_JOURNAL)
        self._moving = modes.node_mode(ledger, host, conf.bridge).startswith(modes.MOVING)
        if told and self._moving:  # the kernel may be between the two now
            bridge, *values = json.loads(told)
            uplink = Uplink.of(values)
            wiring = MODES[BRIDGE].node_wiring(uplink, bridge, conf.ips_to_route_via_host)
            self.node = Node(uplink, bridge, wiring)
        else:
            self.node = find_node(replace(conf, mode=BRIDGE), ledger, host)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Opens each pod's namespace. Raises InvalidInputError for one that cannot be."""
        with ExitStack() as stack:
            for lease in self._pods():
                self.places[lease.id] = stack.enter_context(_enter(lease))
            yield

    def begin(self, to: str) -> None:
        """From here on calls are refused; waits for those that are under way."""
        self.ledger.remember(_JOURNAL, json.dumps([self.node.bridge, *astuple(self.node.uplink)]))
        if to == BRIDGE and not self._moving:  # what a dead move left halfway is not the card's
            self._keep_card()
        modes.set_node_mode(self.ledger, modes.MOVING + to)
        self.log.write(f"[cni-net] Moving the node to {to} mode.")
        deadline = time.monotonic() + self.settings.lock_wait
        while busy := [one for one in self.ledger.leases() if one.state != ATTACHED]:
            pods.recover(self.ledger, self.request, self.host, self.log)
            if time.monotonic() > deadline:
                raise CniError(TRY_AGAIN, f"other calls still work on {_names(busy)}; run it again")
            time.sleep(0.02)

    def _keep_card(self) -> None:
        try:
            card.keep(self.node.uplink, self.ledger, self.host, dns=True)
        except UnavailableError as error:
            raise UnavailableError(card.dns_failed(error, "nothing was changed")) from error

    def run_or_undo(self, to: str) -> None:
        """Raises UnavailableError when DNS could not be moved; the node is in its old mode then."""
        try:
            self.run(to)
        except UnavailableError as error:
            back = TRANSPARENT if to == BRIDGE else BRIDGE
            modes.set_node_mode(self.ledger, modes.MOVING + back)
            self.run(back, dns=False)
            card.undo_dns(self.node.uplink, self.ledger, bridged=back == BRIDGE)
            modes.set_node_mode(self.ledger, back)
            raise UnavailableError(
                card.dns_failed(error, f"the node is back in {back} mode")
            ) from error

    def run(self, to: str, *, dns: bool = True) -> None:
        """Pods cannot do without forwarding or their bridge, so that is there before they come.

        dns=False: undoing a move that DNS did not follow, where each link still has its own.
        """
        if dns and to == BRIDGE:
            card.offer_dns(self.node.uplink, self.node.wiring, self.ledger, self.host)
        realise(self._new_node(to), {HOST: self.host})
        if dns and to == BRIDGE:
            card.give_dns(self.node.uplink, self.node.bridge, self.ledger)
        for lease in self._pods():
            if lease.id in self.places:
                self._rewire(lease, to)
        if to == TRANSPARENT:
            self._card_leaves_bridge(dns)
        self.log.write(f"[cni-net] Moved the node to {to} mode.")

    def release_card(self, before: str) -> None:
        """Out of the bridge, for good. before: the node's mode, which it keeps when DNS stays.

        Raises UnavailableError.
        """
        try:
            self._card_leaves_bridge(dns=True)
        except UnavailableError as error:
            realise(self.node.wiring, {HOST: self.host})
            card.undo_dns(self.node.uplink, self.ledger, bridged=True)
            modes.set_node_mode(self.ledger, before)
            state = "the plugins stay, and the node's card is in their bridge"
            raise UnavailableError(card.dns_failed(error, state)) from error

    def _card_leaves_bridge(self, dns: bool) -> None:
        """The bridge goes when nothing needs it."""
        uplink, bridge = self.node.uplink, self.node.bridge
        card.leave_bridge(uplink, bridge, self.ledger, self.host)
        if dns:
            card.take_dns_back(uplink, bridge, self.ledger, self.host)
        unwire(self.node.wiring, {HOST: self.host})

    def changes(self, to: str) -> tuple[str, ...]:
        """What a migration now would do, one object a line."""
        found = list(_lines(self._new_node(to), Wiring(), {HOST: self.host}))
        for lease in self._pods():
            new, old = self._wirings(lease, to)
            found += _lines(new, old, {HOST: self.host, POD: self.places[lease.id]})
        if to == TRANSPARENT:
            uplink = self.node.uplink
            back: list[KernelObject] = [
                *(Address(HOST, uplink.name, one) for one in uplink.cidrs),
                *card.routes(uplink, self.ledger),
            ]
            gone = Wiring.of(one for one in self.node.wiring if not getattr(one, "absent", False))
            found += _lines(Wiring.of(back), gone, {HOST: self.host})
        return tuple(found)

    def _pods(self) -> list[Lease]:
        return [one for one in self.ledger.leases() if pods.has_link(one)]

    def _new_node(self, to: str) -> Wiring:
        return (
            MODES[to].node_wiring(self.node.uplink, self.node.bridge, ())
            if (to == TRANSPARENT)
            else self.node.wiring
        )

    def _wirings(self, lease: Lease, to: str) -> tuple[Wiring, Wiring]:
        """What the pod is to have, and what of the other mode's it must not keep."""
        other = TRANSPARENT if to == BRIDGE else BRIDGE
        args = (self.node.uplink, self.node.bridge, pods.network(lease))
        new = Wiring.of(_explicit(one, lease) for one in MODES[to].pod_wiring(*args))
        keys = {one.key for one in new}
        return new, Wiring.of(
            one
            for one in MODES[other].pod_wiring(*args)
            if one.key not in keys and not isinstance(one, Veth | Sysctl)
        )

    def _rewire(self, lease: Lease, to: str) -> None:
        new, old = self._wirings(lease, to)
        places = {HOST: self.host, POD: self.places[lease.id]}
        held: Lease | None = lease
        if to == BRIDGE:
            held = self.ledger.rebridge(lease, self.node.bridge)
        if held and self.ledger.while_held(held, partial(_exchange, new, old, places)):
            self.ledger.rebridge(held, MODES[to].bridge(self.node.bridge))
            self.log.write(f"[cni-net] Moved {lease.address} of {lease.host_link} to {to} mode.")


def _exchange(new: Wiring, old: Wiring, places: dict[str, NetNamespace]) -> None:
    realise(new, places)
    unwire(old, places)


def _explicit(one: KernelObject, lease: Lease) -> KernelObject:
    """With the values that bridge mode leaves to the kernel and the other mode does not."""
    if isinstance(one, Address) and one.prefix_route is None:
        return replace(one, prefix_route=True)
    if isinstance(one, Veth) and one.mac is None:
        return replace(one, mac=pod_mac("host", lease.container_id, lease.ifname))
    return one


def _lines(new: Wiring, old: Wiring, places: dict[str, NetNamespace]) -> Iterator[str]:
    for one in diff(new, observe(new, places)):
        gone = getattr(one.wanted, "absent", False)
        yield f"{'-' if gone else '~' if one.seen else '+'} {describe(one.wanted)}"
    for seen in observe(old, places):
        yield f"- {describe(seen)}"


def _enter(lease: Lease) -> NetNamespace:
    try:
        if lease.container_id and lease.netns:
            return NetNamespace.open(lease.netns)
        why = "only the kernel tells of it"
    except KernelError as error:
        why = str(error)
    raise InvalidInputError(
        f"the pod {_names([lease])} of {lease.address} cannot be moved: {why}; delete it, "
        "and run this again"
    )


def _names(leases: list[Lease]) -> str:
    known = (f"{one.pod_namespace}/{one.pod_name}" if one.pod_name else one for one in leases)
    named = (one if isinstance(one, str) else one.container_id[:12] or one.address for one in known)
    return ", ".join(named)


@contextmanager
def _node(conf: NetConf, settings: Settings) -> Iterator[_Move]:
    bridge = conf.bridge or modes.DEFAULT_BRIDGE
    with NetNamespace.current() as host:

        def survivors() -> list[Survivor]:
            found = wired_pods(host, bridge)
            return [Survivor(*one) for one in found]

        with Ledger.open(settings.state_dir, survivors=survivors) as ledger:
            lock = os.path.join(settings.state_dir, "node.lock")
            with locked(lock, wait=settings.lock_wait, inherited=True):
                yield _Move(conf, settings, ledger, host)


def _read(conflist: Path) -> tuple[dict[str, Any], NetConf]:
    """The list, and azure-vnet's entry of it."""
    try:
        document = json.loads(conflist.read_text())
        entry = next(one for one in document["plugins"] if one["type"] == "azure-vnet")
    except OSError as error:
        raise InvalidInputError(
            f"cannot read {conflist}: {error.strerror}; `podwire cni install` writes it"
        ) from error
    except (ValueError, LookupError, TypeError, StopIteration) as error:
        raise InvalidInputError(f"{conflist} is no list with a plugin azure-vnet") from error
    return document, NetConf.parse({"name": document.get("name"), **entry})


def _finished(
    moved: Moved, document: dict[str, Any], conflist: Path, to: str, dry_run: bool
) -> Moved:
    """The conflist says the node's mode."""
    entries = [one for one in document["plugins"] if one["type"] == "azure-vnet"]
    if not dry_run and any(one.get("mode") != to for one in entries):
        for one in entries:
            one["mode"] = to
        install.write_whole(conflist, json.dumps(document, indent=2).encode() + b"\n", 0o644)
    return moved
