"""What `doctor --fix` does on a node: its wiring, its pods' wirings, its leaked leases.

Only what is provably this product's: what the plugins' next ADD would make again, the wirings of
leases whose pods live, and the leaks that `podwire ipam gc` ends. It looks at the live kernel
itself just before, since a snapshot is old by then; each step makes only what is wanted, so that
one that was killed is finished by the next. Never touches what others made.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from podwire.cni import leaks, pods
from podwire.cni import mend as gc
from podwire.cni.containers import Containers, look
from podwire.cni.log import Log
from podwire.cni.networklist import CONF_DIR, NetworkList
from podwire.cni.node import Node, known_node, wire_node
from podwire.cni.settings import Settings
from podwire.cni.survey import require_here, survey
from podwire.cni.workbench import Workbench
from podwire.ipam.keeper import Keeper
from podwire.ipam.lease import ATTACHED, Lease
from podwire.kernel.inhabitants import inhabited
from podwire.kernel.netns import NetNamespace
from podwire.kernel.wire import describe, observe, realise
from podwire.lens.doctor.wiring import thing
from podwire.model.errors import KernelError, PodwireError
from podwire.model.netconf import NetConf
from podwire.model.pod_network import HOST, POD
from podwire.model.wiring import Wiring, diff

_PLUGIN = "azure-vnet"


@dataclass(frozen=True, slots=True)
class Done:
    """thing: a data-object id. action: what was done to it, "" when nothing could be; why: then."""

    thing: str
    action: str
    why: str = ""


def mend(settings: Settings, name: str, conf_dir: str = CONF_DIR) -> list[Done]:
    """On the node whose namespaces this process is in. name: how the node is called.

    Raises UnavailableError without a ledger, InvalidInputError for another node's, KernelError.
    """
    log = Log.of(settings, _PLUGIN)
    with NetNamespace.current() as host, Keeper.open(settings.state_dir, create=False) as keeper:
        require_here(keeper)
        containers = look()
        done: list[Done] = []
        conf = _configuration(conf_dir)
        if conf is not None:
            node = known_node(conf, keeper, host)
            done += _node(conf, node, keeper, host, settings, log, name)
            for lease in keeper.leases():
                done += _pod(lease, node, keeper, host, containers)
        done += _leaks(keeper, host, containers, log)
    return done


def _configuration(conf_dir: str) -> NetConf | None:
    """The plugin's own; None where the runtime uses another."""
    with suppress(PodwireError, OSError):
        listed = NetworkList.load(conf_dir)
        for one in listed.plugins:
            if one["type"] == _PLUGIN:
                return NetConf.parse(listed.configuration(one, {}))
    return None


def _node(  # the parts that a call of the plugin works with, and the node's name
    conf: NetConf,
    node: Node,
    keeper: Keeper,
    host: NetNamespace,
    settings: Settings,
    log: Log,
    name: str,
) -> Iterator[Done]:
    """As the next ADD does it."""
    wrong = _wrong(node.wiring, {HOST: host})
    if not wrong:
        return
    restored: list[Done] = []
    try:
        wire_node(
            conf,
            keeper,
            keeper.pool(),
            host,
            Workbench(settings),
            log,
            restore=lambda: restored.extend(_restore(keeper, host, log)),
        )
        yield Done(f"node {name}", f"made again: {', '.join(wrong)}")
        yield from restored
    except PodwireError as error:
        yield Done(f"node {name}", "", str(error))


def _restore(keeper: Keeper, host: NetNamespace, log: Log) -> list[Done]:
    """What pods have on the host, as the plugin does it; told, for a person asked for it."""
    wrong = {
        one: _wrong(pods.host_objects(one), {HOST: host})
        for one in keeper.leases()
        if one.state == ATTACHED and pods.has_link(one)
    }
    pods.restore(keeper, host, log)
    return [
        Done(thing(one), f"made again: {', '.join(lacks)}") for one, lacks in wrong.items() if lacks
    ]


def _pod(
    lease: Lease, node: Node, keeper: Keeper, host: NetNamespace, containers: Containers
) -> Iterator[Done]:
    if lease.state != ATTACHED or not lease.address or not lease.host_link or not lease.netns:
        return
    try:
        with NetNamespace.open(lease.netns) as pod:
            if pod.inode == host.inode or not _lives(lease, pod, containers):
                return
            wiring, places = pods.wiring_of(lease, node), {HOST: host, POD: pod}
            if wrong := _wrong(wiring, places):
                if keeper.while_held(lease, partial(realise, wiring, places)):
                    yield Done(thing(lease), f"made again: {', '.join(wrong)}")
                else:
                    yield Done(thing(lease), "", "a call of the runtime works on it now")
    except KernelError as error:
        if not pods.is_leaked(lease):
            yield Done(thing(lease), "", str(error))


def _lives(lease: Lease, pod: NetNamespace, containers: Containers) -> bool:
    """A pod whose link is gone gets a new one only when it is surely in use."""
    if pods.has_link(lease):
        return True
    return pod.inode in inhabited() and not containers.lacks(lease.container_id)


def _wrong(wiring: Wiring, places: dict[str, NetNamespace]) -> list[str]:
    return [describe(one.wanted) for one in diff(wiring, observe(wiring, places))]


def _leaks(keeper: Keeper, host: NetNamespace, containers: Containers, log: Log) -> Iterator[Done]:
    found = leaks.findings(survey(keeper, host, containers), now=time.time())
    for one in gc.mend([one for one in found if one.gc], keeper, host, log):
        yield Done(_leaked(one.finding), _ACTIONS.get(one.action, one.action), one.why)


def _leaked(one: leaks.Finding) -> str:
    return thing(one.lease) if one.lease else f"link host {one.host_link or one.address}"


_ACTIONS = {
    leaks.FREE: "freed its address, with what was left of its network",
    leaks.REMOVE: "removed what was left of a pod",
    leaks.ADOPT: "made it a lease",
}
