"""The node's part of a pod's network: the card, and in bridge mode the bridge that it is moved to
on the first ADD.

Must not know pods. The kernel is the truth: every call compares, and repairs under a lock what
somebody changed.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass, replace
from ipaddress import ip_interface

from podwire.cni import card, modes
from podwire.cni.log import Log
from podwire.cni.modes import DEFAULT_BRIDGE as DEFAULT_BRIDGE
from podwire.cni.narrate import Narrator
from podwire.cni.workbench import Workbench
from podwire.ipam.lease import MainPool
from podwire.ipam.ledger import Ledger
from podwire.ipam.lock import locked
from podwire.kernel import sysctl
from podwire.kernel.netns import NetNamespace
from podwire.kernel.rtnetlink import RtNetlink
from podwire.kernel.uplink import find_uplink
from podwire.kernel.wire import observe, realise, unwire
from podwire.model.bridge_mode import HOST, Uplink
from podwire.model.cni_error import NO_UPLINK, TRY_AGAIN, CniError
from podwire.model.dual_stack import NEXT_HOP6
from podwire.model.errors import KernelError, UnavailableError
from podwire.model.netconf import NetConf
from podwire.model.wiring import KernelObject, Wiring, diff


@dataclass(frozen=True, slots=True)
class Node:
    """A node whose pods can be wired. wiring: what of it must be in the kernel.

    bridge: "" in a mode without one.
    """

    uplink: Uplink
    bridge: str
    wiring: Wiring


def find_node(conf: NetConf, ledger: Ledger, host: NetNamespace) -> Node:
    """The node as it is to be. Raises CniError 102 when its card cannot be told."""
    mac = _uplink_mac(conf, ledger, host)
    try:
        uplink = find_uplink(host, mac, conf.bridge or DEFAULT_BRIDGE)
        bridge = conf.bridge or f"azure{socket.if_nametoindex(uplink.name)}"
        if bridge != (conf.bridge or DEFAULT_BRIDGE):
            uplink = find_uplink(host, mac, bridge)
    except KernelError as error:
        raise CniError(NO_UPLINK, "Failed to find the master interface", str(error)) from error
    uplink = _completed(uplink, ledger)
    if ledger.pool().dual_stack and sysctl.has_ipv6(host):
        uplink = _completed6(replace(uplink, dual_stack=True), ledger)
    return _node(conf, uplink, bridge)


def _node(conf: NetConf, uplink: Uplink, bridge: str) -> Node:
    mode = modes.supported(conf.mode)
    bridge = mode.bridge(bridge)
    return Node(uplink, bridge, mode.node_wiring(uplink, bridge, conf.ips_to_route_via_host))


def wire_node(
    conf: NetConf,
    ledger: Ledger,
    pool: MainPool,
    host: NetNamespace,
    bench: Workbench,
    log: Log,
    restore: Callable[[], None],
) -> Node:
    """The node with its wiring in the kernel. Raises CniError 11 when another call takes too long
    and when the node is wired in another mode: also when it begins to move to one meanwhile, the
    caller must `modes.agree` again when its lease is in the ledger.

    Looks without a lock; only a node that is not as wanted is looked at again, and wired, with it.
    The card is searched among all links only when the one of the call before does not fit: what a
    call costs must not grow with the pods. A process that stays believes what it saw as long as
    the kernel tells of no change.

    restore: makes again what a repair of the node took from the pods that are there. The node is
    remembered only after that: a call that is killed before leaves it to the next one.
    """
    key, cache = _key(conf, pool), bench.nodes
    known: Node | None = cache.get(key) if cache else None
    if known:
        return known
    state = cache.state() if cache else 0
    node = _wired(conf, ledger, host, bench, log, restore)
    if cache:
        links = (node.uplink.name, *([node.bridge] if node.bridge else []))
        cache.put(key, node, links, state)
    return node


def _wired(
    conf: NetConf,
    ledger: Ledger,
    host: NetNamespace,
    bench: Workbench,
    log: Log,
    restore: Callable[[], None],
) -> Node:
    places = {HOST: host}
    noted = modes.agree(conf.mode, ledger, host, conf.bridge)
    remembered = _remembered(conf, ledger) if noted else None
    if remembered and not diff(remembered.wiring, observe(remembered.wiring, places)):
        return remembered
    lock, wait = os.path.join(bench.settings.state_dir, "node.lock"), bench.settings.lock_wait
    log.flush()
    with locked(lock, wait=wait, inherited=True):
        modes.agree(conf.mode, ledger, host, conf.bridge)
        node, key = find_node(conf, ledger, host), _key(conf, ledger.pool())
        if diff(node.wiring, observe(node.wiring, places)):
            ledger.remember(key, "")
            _keep_card(node, ledger, host)
            _offer_dns(node, ledger, host)
            _realise(conf.name, node, places, log)
        if not ledger.recall(key):
            _move_dns(node, ledger, host, log)
            restore()
        modes.set_node_mode(ledger, conf.mode)
        ledger.remember(key, json.dumps([node.bridge, *astuple(node.uplink)]))
    return node


def known_node(conf: NetConf, ledger: Ledger, host: NetNamespace) -> Node:
    """The node as the last ADD wired it, else as it is to be. Raises CniError 102."""
    return _remembered(conf, ledger) or find_node(conf, ledger, host)


def _remembered(conf: NetConf, ledger: Ledger) -> Node | None:
    """The node as the last call that wired it found it."""
    text = ledger.recall(_key(conf, ledger.pool()))
    if not text:
        return None
    bridge, *uplink = json.loads(text)
    return _node(conf, Uplink.of(uplink), bridge)


def _keep_card(node: Node, ledger: Ledger, host: NetNamespace) -> None:
    try:
        card.keep(node.uplink, ledger, host, dns=bool(node.bridge))
    except UnavailableError as error:
        raise CniError(TRY_AGAIN, card.dns_failed(error, "nothing was changed")) from error


def _offer_dns(node: Node, ledger: Ledger, host: NetNamespace) -> None:
    try:
        card.offer_dns(node.uplink, node.wiring, ledger, host)
    except UnavailableError as error:
        raise _undone(node, ledger, host, error) from error


def _move_dns(node: Node, ledger: Ledger, host: NetNamespace, log: Log) -> None:
    try:
        if node.bridge and card.give_dns(node.uplink, node.bridge, ledger):
            log.write(f"[net] Applied dns config of {node.uplink.name} on {node.bridge}.")
    except UnavailableError as error:
        raise _undone(node, ledger, host, error) from error


def _undone(node: Node, ledger: Ledger, host: NetNamespace, error: UnavailableError) -> CniError:
    """What to raise when the bridge gets no DNS, after the card has left it again.

    Not with pods, which would lose their network for it: then the calls that want to wire more of
    them fail until it is done.
    """
    state = "the pods on the node keep their network"
    if not any(one.host_link for one in ledger.leases()):
        card.leave_bridge(node.uplink, node.bridge, ledger, host)
        card.undo_dns(node.uplink, ledger, bridged=False)
        unwire(node.wiring, {HOST: host})
        state = f"{node.uplink.name} has its addresses and routes as before"
    return CniError(TRY_AGAIN, card.dns_failed(error, state))


def _key(conf: NetConf, pool: MainPool) -> str:
    """All that decides which card and bridge it is, and how they are wired."""
    routed = ",".join(conf.ips_to_route_via_host)
    families = "4+6" if pool.dual_stack else "4"
    return f"uplink {conf.mode} {conf.master} {conf.bridge} {routed} {pool.mac} {families}"


def _realise(network: str, node: Node, places: Mapping[str, NetNamespace], log: Log) -> None:
    subnet = ip_interface(node.uplink.addresses[0]).network
    log.write(f"[cni-net] Creating network {network}.")
    log.flush()
    log.write(f"[cni-net] Found master interface {node.uplink.name}.")
    log.write(f"[net] Added ExternalInterface {node.uplink.name} for subnet {subnet}.")
    if node.bridge:
        log.write(f"[net] Connecting interface {node.uplink.name}.")
    realise(node.wiring, places, told=telling(log, Narrator(node.wiring)))
    if node.bridge:
        log.write(f"[net] Connected interface {node.uplink.name} to bridge {node.bridge}.")
    log.write(f"[cni-net] Created network {network} on interface {node.uplink.name}.")


def telling(log: Log, narrator: Narrator) -> Callable[[KernelObject], None]:
    """Writes an object's lines when it is about to be made."""

    def tell(one: KernelObject) -> None:
        for line in narrator.making(one):
            log.write(line)

    return tell


def _uplink_mac(conf: NetConf, ledger: Ledger, host: NetNamespace) -> str | None:
    """Of the configuration's master, else of the source's primary card; None: nobody told."""
    if not conf.master:
        return ledger.pool().mac or None
    with RtNetlink(host) as door:
        link = door.link(conf.master)
    if link is None:
        raise CniError(
            NO_UPLINK,
            "Failed to find the master interface",
            f"the configuration's master is {conf.master}, and there is no such link",
        )
    return link.mac


def _completed(uplink: Uplink, ledger: Ledger) -> Uplink:
    """A card whose addresses went with a deleted bridge gets those that the source told of it."""
    if uplink.addresses and uplink.gateway:
        return uplink
    for pool in ledger.pools():
        if pool.mac == uplink.mac and pool.primary:
            own = (f"{pool.primary}/{pool.subnet.partition('/')[2]}",)
            addresses, gateway = uplink.addresses or own, uplink.gateway or pool.gateway
            return replace(uplink, addresses=addresses, gateway=gateway)
    raise CniError(
        NO_UPLINK,
        "Failed to find the master interface",
        f"{uplink.name} has no IPv4 address or no default route, and the wire server tells none",
    )


def _completed6(uplink: Uplink, ledger: Ledger) -> Uplink:
    """The same of IPv6, as the card had it when it was seen, else as Azure has it.

    Also for a card on which nothing has set up its IPv6 yet.
    """
    pool = ledger.pool()
    pools = (one for one in ledger.pools() if (one.mac, one.subnet) == (pool.mac, pool.subnet6))
    primary = [f"{one.primary}/128" for one in pools if one.primary]
    addresses, gateway = card.kept6(uplink, ledger)
    return replace(
        uplink,
        addresses6=uplink.addresses6 or addresses or tuple(primary),
        gateway6=uplink.gateway6 or gateway or NEXT_HOP6,
    )
