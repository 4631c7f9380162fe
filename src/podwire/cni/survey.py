"""What ledger, kernel and runtime say of the node's pods at one moment, as one value.

Changes nothing. Must not judge: leaks.py does.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

from podwire.cni import modes, pods
from podwire.cni.azure_state import NodeState
from podwire.cni.containers import Containers
from podwire.cni.modes import DEFAULT_BRIDGE
from podwire.ipam.keeper import Keeper
from podwire.ipam.lease import ATTACHED, AddressState, Lease
from podwire.kernel.inhabitants import inhabited, sees_all
from podwire.kernel.netns import NetNamespace
from podwire.kernel.pods import PodObjects, pod_objects
from podwire.kernel.rtnetlink import Link, RtNetlink
from podwire.kernel.uplink import find_uplink
from podwire.kernel.wire import describe, observe
from podwire.model.bridge_mode import HOST
from podwire.model.errors import InvalidInputError, KernelError, UnavailableError
from podwire.model.wiring import diff

_TRIES = 5


@dataclass(frozen=True, slots=True)
class Survey:
    """leases: those that did not change while the kernel was looked at; others: those that did.

    has_ledger: whether there is one of this boot. bridge: the node's. By lease id: leaked, nobody
    can use it; missing, what its pod lacks on the host; inside, the addresses in its pod.
    empty: by link, or lease id where there is no link: no process lives in the pod.
    """

    leases: tuple[Lease, ...]
    addresses: tuple[AddressState, ...]
    kernel: PodObjects
    containers: Containers
    bridge: str = DEFAULT_BRIDGE
    others: tuple[Lease, ...] = ()
    has_ledger: bool = True
    leaked: frozenset[int] = frozenset()
    missing: dict[int, tuple[str, ...]] = field(default_factory=dict)
    inside: dict[int, frozenset[str]] = field(default_factory=dict)
    empty: frozenset[int | str] = frozenset()


def survey(keeper: Keeper, host: NetNamespace, containers: Containers) -> Survey:
    """Of the node whose namespace the caller is in.

    Raises InvalidInputError when the ledger is another namespace's, CniError, KernelError.
    """
    try:
        _leases(keeper)
    except UnavailableError:
        seen = pod_objects(host, DEFAULT_BRIDGE)
        return Survey((), (), seen, containers, has_ledger=False)
    for _ in range(_TRIES):
        before = _leases(keeper)
        bridge = next((one.bridge for one in before if one.bridge), DEFAULT_BRIDGE)
        seen = pod_objects(host, bridge)
        leaked = frozenset(one.id for one in before if pods.is_leaked(one))
        missing = {one.id: _missing(one, host) for one in before if _is_wired(one)}
        after = _leases(keeper)
        if after == before:
            break
    same = tuple(one for one in before if one in after)
    changed = {one.id: one for one in (*before, *after) if one not in same}
    inside, inodes = _inside((one for one in same if one.id not in leaked), host)
    return Survey(
        same,
        tuple(keeper.addresses()),
        seen,
        containers,
        bridge,
        tuple(changed.values()),
        True,
        leaked & {one.id for one in same},
        {one.id: missing[one.id] for one in same if missing.get(one.id)},
        inside,
        _empty(host, inodes, seen.links.values()),
    )


def azure_state(keeper: Keeper, host: NetNamespace, now: float) -> NodeState:
    """What Azure's state documents tell of the node. now: Unix time.

    Raises InvalidInputError as `survey`, UnavailableError without a ledger, KernelError.
    """
    leases = tuple(_leases(keeper))
    pools, mode = tuple(keeper.pools()), modes.node_mode(keeper, host, "")
    bridge = next((one.bridge for one in leases if one.bridge), DEFAULT_BRIDGE)
    with RtNetlink(host) as door:
        cards = {one.mac: one.name for one in reversed(door.links()) if one.kind != "bridge"}
    uplink = find_uplink(host, keeper.pool().mac or None, bridge) if mode else None
    if uplink:
        cards[uplink.mac] = uplink.name  # not its accelerated twin, which has the same MAC
    return NodeState(
        uplink,
        mode.removeprefix(modes.MOVING),
        bridge,
        leases,
        pools,
        tuple(keeper.addresses()),
        cards,
        now,
    )


def require_here(keeper: Keeper) -> None:
    """Raises InvalidInputError for the ledger of another namespace, whose pods all look dead."""
    if not keeper.is_of_here():
        raise InvalidInputError(
            "this ledger is of another network namespace than this shell's, where none of its "
            "pods can be seen; run it on the node itself (nsenter --net=..., or --node NODE)"
        )


def _leases(keeper: Keeper) -> list[Lease]:
    found = keeper.leases()
    require_here(keeper)
    return found


def _is_wired(lease: Lease) -> bool:
    return lease.state == ATTACHED and bool(lease.address) and pods.has_link(lease)


def _missing(lease: Lease, host: NetNamespace) -> tuple[str, ...]:
    """Of the host's side: what is not there, or other. Its link is another question."""
    wanted, places = pods.host_objects(lease), {HOST: host}
    return tuple(describe(one.wanted) for one in diff(wanted, observe(wanted, places)))


def _inside(
    leases: Iterable[Lease], host: NetNamespace
) -> tuple[dict[int, frozenset[str]], dict[int, int]]:
    """By lease id: the addresses in its pod, the pod's namespace's inode.

    A path below /proc may lead to another process by now: the host's own is no pod.
    """
    addresses, inodes = {}, {}
    for lease in leases:
        if lease.netns:
            with suppress(KernelError), NetNamespace.open(lease.netns) as pod:
                if pod.inode == host.inode:
                    continue
                inodes[lease.id] = pod.inode
                with RtNetlink(pod) as door:
                    found = door.addresses()
                addresses[lease.id] = frozenset(
                    one.cidr.partition("/")[0] for one in found if one.scope == 0
                )
    return addresses, inodes


def _empty(
    host: NetNamespace, inodes: dict[int, int], links: Iterable[Link]
) -> frozenset[int | str]:
    lived = inhabited()
    if not sees_all(lived):
        return frozenset()
    empty: set[int | str] = {one for one, inode in inodes.items() if inode not in lived}
    with ExitStack() as stack, RtNetlink(host) as door:
        numbers = set()
        for pid in lived.values():
            with suppress(KernelError):  # it ended meanwhile
                numbers.add(door.nsid(stack.enter_context(NetNamespace.open(pid))))
    empty |= {one.name for one in links if one.peer_nsid is None or one.peer_nsid not in numbers}
    return frozenset(empty)
