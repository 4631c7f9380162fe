"""How many addresses a cluster takes, from which range, in each way of giving pods theirs. Pure.

Sources: Microsoft's AKS pages "Configure Azure CNI" (a node takes 1 + max-pods addresses when it is
made), "Azure CNI pod subnet" (batches of 16), "Azure CNI Overlay" (a /24 of the pod CIDR for each
node), "Use kubenet" (the same, and a route for each node in a table of 400).

An upgrade surges one pool at a time, so it costs what its most expensive pool costs. That follows
Azure/AKS#1795: an upgrade of one of two pools was refused for 276 addresses, a number that both
pools' surge explains, and this was fixed as a bug.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network

from podwire.model.node_pool import Pool
from podwire.model.vnet import SMALLEST_SUBNET, Subnet, usable

BATCH = 16
"""Addresses that a node takes of a pod subnet at a time; the first batch when it starts."""
NODE_PREFIX = 24
"""The block of the pod CIDR that every node has in overlay and kubenet."""
NODE_BLOCK = 1 << (32 - NODE_PREFIX)
CLUSTER_NODES = 5000


class PodsFrom(StrEnum):
    """Which range pods have their addresses from."""

    SUBNET = "subnet"
    POD_SUBNET = "pod subnet"
    POD_CIDR = "pod CIDR"


class Moment(StrEnum):
    """NOW: as asked for. MAXIMUM: every pool as large as its autoscaler may make it, all full."""

    NOW = "now"
    UPGRADE = "upgrade"
    MAXIMUM = "maximum"
    MAXIMUM_UPGRADE = "maximum_upgrade"

    @property
    def at_maximum(self) -> bool:
        return self in (Moment.MAXIMUM, Moment.MAXIMUM_UPGRADE)

    @property
    def upgrading(self) -> bool:
        return self in (Moment.UPGRADE, Moment.MAXIMUM_UPGRADE)

    @property
    def settled(self) -> Moment:
        """The same, with no upgrade under way."""
        return Moment.MAXIMUM if self.at_maximum else Moment.NOW


@dataclass(frozen=True, slots=True)
class Mode:
    """default_max_pods: what AKS takes when a pool names none; node_limit: of the whole cluster."""

    name: str
    pods_from: PodsFrom
    default_max_pods: int
    node_limit: int = CLUSTER_NODES

    def node_cost(self, pool: Pool) -> int:
        """Addresses of the subnet that a node of this pool takes when it is made."""
        return 1 + pool.max_pods if self.pods_from is PodsFrom.SUBNET else 1

    def pods_cost(self, pool: Pool, *, full: bool) -> int:
        """Addresses of the pods' own range. full: with max-pods pods on the node, else none yet."""
        if self.pods_from is PodsFrom.POD_CIDR:
            return NODE_BLOCK
        if self.pods_from is PodsFrom.POD_SUBNET:
            return BATCH * (-(-pool.max_pods // BATCH) if full else 1)
        return 0


NODE_SUBNET = Mode("node-subnet", PodsFrom.SUBNET, 30)
POD_SUBNET = Mode("pod-subnet", PodsFrom.POD_SUBNET, 250)
OVERLAY = Mode("overlay", PodsFrom.POD_CIDR, 250)
KUBENET = Mode("kubenet", PodsFrom.POD_CIDR, 110, node_limit=400)
MODES = (NODE_SUBNET, POD_SUBNET, OVERLAY, KUBENET)


@dataclass(frozen=True, slots=True)
class Ranges:
    """What the cluster may take from. None: not chosen yet, so nothing is refused for its size."""

    subnet: Subnet | None = None
    pod_subnet: Subnet | None = None
    pod_cidr: IPv4Network | None = None


def subnet_need(mode: Mode, pools: Iterable[Pool], moment: Moment) -> int:
    """Addresses of the subnet at that moment."""
    sized = _sized(pools, moment)
    return _need(sized, [mode.node_cost(one) for one in sized], moment)


def pods_need(mode: Mode, pools: Iterable[Pool], moment: Moment) -> int:
    """Addresses of the pods' own range at that moment; 0 when they have none."""
    sized = _sized(pools, moment)
    return _need(sized, [mode.pods_cost(one, full=moment.at_maximum) for one in sized], moment)


def _sized(pools: Iterable[Pool], moment: Moment) -> list[Pool]:
    return [one.at_maximum() if moment.at_maximum else one for one in pools]


def _need(pools: Sequence[Pool], costs: Sequence[int], moment: Moment) -> int:
    both = list(zip(pools, costs, strict=True))
    surge = max((one.surge_nodes * cost for one, cost in both), default=0)
    return sum(one.count * cost for one, cost in both) + (surge if moment.upgrading else 0)


def smallest_subnet(need: int) -> int:
    """The longest prefix whose subnet has `need` addresses to hand out, as in 24."""
    return next(one for one in range(SMALLEST_SUBNET, -1, -1) if usable(one) >= need)


def smallest_pod_cidr(need: int) -> int:
    """The longest prefix of a pod CIDR, of which Azure keeps nothing back, as in 16."""
    return next(one for one in range(NODE_PREFIX, -1, -1) if 1 << (32 - one) >= need)
