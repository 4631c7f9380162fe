"""What AKS refuses about node pools and their addresses. Pure; `model/aks_rules.py` has the rest.

Each check raises InvalidInputError with Azure's code, text and target; code "" where Azure's is not
known. Sources: AKS networking pages, and the threads in which users met the texts: Azure/AKS#456
(InsufficientSubnetSize), #2119 and #2531 (SubnetIsFull), #931 (maxPods), AKS-Construction#701 (the
overlay's pod CIDR).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Network

from podwire.model.errors import InvalidInputError, invalid_parameter
from podwire.model.ip_modes import (
    KUBENET,
    NODE_BLOCK,
    Mode,
    Moment,
    PodsFrom,
    Ranges,
    pods_need,
    subnet_need,
)
from podwire.model.node_pool import SYSTEM, Pool
from podwire.model.vnet import Subnet, subnet_is_full

MAX_PODS_FLOOR, MAX_PODS_CEILING = 10, 250
MIN_PODS_PER_POOL = 30
POOL_NODES = 1000
VNET_ADDRESSES = 65536
"""Private addresses that one virtual network carries."""
POD_CIDR_TARGET = "networkProfile.podCIDR"
_COUNT_TARGET = "agentPoolProfile.count"
_POOL_NAME = re.compile(r"[a-z][a-z0-9]{0,11}")
_AUTOSCALER = (
    " If Autoscaler is enabled, the max-count from each nodepool is counted towards this total "
    "(which means that pre-allocated IPs count represents a theoretical max value, not the actual "
    "number of IPs requested). http://aka.ms/aks/insufficientsubnetsize"
)


def check_pool(pool: Pool) -> None:
    """A pool by itself: its name, max-pods, the autoscaler's bounds."""
    check_pool_name(pool.name)
    low = pool.count if pool.min_count is None else pool.min_count
    if not low <= pool.count <= pool.largest:
        raise invalid_parameter(
            _COUNT_TARGET,
            f"count {pool.count} of node pool {pool.name} is not within the autoscaler's "
            f"{low} to {pool.largest}",
        )
    _check_max_pods(pool)


def check_pool_name(name: str) -> None:
    if not _POOL_NAME.fullmatch(name):
        raise invalid_parameter(
            "agentPoolProfile.name",
            f"'{name}' is not 1 to 12 lower-case letters and digits, a letter first",
        )


def _check_max_pods(pool: Pool) -> None:
    """At least 30 pods over the pool's nodes, unless it has none."""
    enough = pool.largest == 0 or pool.max_pods * pool.largest >= MIN_PODS_PER_POOL
    if not (MAX_PODS_FLOOR <= pool.max_pods <= MAX_PODS_CEILING and enough):
        raise invalid_parameter(
            "agentPoolProfile.maxPods",
            f"maxPods was {pool.max_pods} on each of {pool.largest} nodes. It must be "
            f"{MAX_PODS_FLOOR} to {MAX_PODS_CEILING}, and at least {MIN_PODS_PER_POOL} over the "
            "whole pool",
        )


def check_create(mode: Mode, pools: Sequence[Pool], ranges: Ranges) -> None:
    """What is refused when a cluster is made, a pool added or scaled.

    The autoscaler's maximum counts, an upgrade's surge does not.
    """
    _check_counts(mode, pools)
    need = subnet_need(mode, pools, Moment.MAXIMUM)
    if ranges.subnet is not None:
        _check_size(ranges.subnet, need)
    if mode.pods_from is PodsFrom.POD_SUBNET:
        need += pods_need(mode, pools, Moment.NOW)
    if need > VNET_ADDRESSES:
        raise InvalidInputError(
            f"The cluster takes {need} private addresses; a virtual network carries at most "
            f"{VNET_ADDRESSES}. Lower max-pods, or choose overlay.",
            target=_COUNT_TARGET,
        )
    if mode.pods_from is PodsFrom.POD_CIDR and mode is not KUBENET:
        _check_pod_cidr_size(ranges.pod_cidr, pods_need(mode, pools, Moment.MAXIMUM))


def check_upgrade(
    mode: Mode, pools: Sequence[Pool], ranges: Ranges, moment: Moment = Moment.UPGRADE
) -> None:
    """What is refused while a pool is upgraded, its surge nodes beside all others.

    moment: UPGRADE, or MAXIMUM_UPGRADE for the largest that the autoscaler may make the pools.
    """
    need = subnet_need(mode, pools, moment)
    if ranges.subnet is not None and need > ranges.subnet.usable:
        raise subnet_is_full(ranges.subnet, need - subnet_need(mode, pools, moment.settled))
    if mode.pods_from is PodsFrom.POD_CIDR and mode is not KUBENET:
        _check_pod_cidr_size(ranges.pod_cidr, pods_need(mode, pools, moment))


def check_pods(mode: Mode, pools: Sequence[Pool], ranges: Ranges) -> None:
    """What no request is refused for, and fails later in the cluster, at its largest."""
    if mode.pods_from is PodsFrom.POD_SUBNET and ranges.pod_subnet is not None:
        need, have = pods_need(mode, pools, Moment.MAXIMUM_UPGRADE), ranges.pod_subnet.usable
        if need > have:
            raise InvalidInputError(
                f"Subnet {ranges.pod_subnet.name} with address prefix {ranges.pod_subnet.prefix} "
                f"has {have} IP addresses; nodes full of pods take {need}. Pods beyond stay in "
                "ContainerCreating.",
                code="NCUpdateSubnetFullError",
            )
    if mode is KUBENET and ranges.pod_cidr is not None:
        nodes = pods_need(mode, pools, Moment.MAXIMUM_UPGRADE) // NODE_BLOCK
        blocks = ranges.pod_cidr.num_addresses // NODE_BLOCK
        if nodes > blocks:
            raise InvalidInputError(
                f"pod CIDR {ranges.pod_cidr} has {blocks} blocks of a /24; {nodes} nodes take one "
                "each. Nodes beyond stay NotReady.",
                code="CIDRNotAvailable",
                target=POD_CIDR_TARGET,
            )


def _check_counts(mode: Mode, pools: Sequence[Pool]) -> None:
    for pool in pools:
        least = 1 if pool.mode == SYSTEM else 0
        if not least <= pool.count <= pool.largest <= POOL_NODES:
            wrong = pool.largest if pool.count >= least else pool.count
            raise invalid_parameter(
                _COUNT_TARGET,
                f"{_COUNT_TARGET} was {wrong}. It must be greater or equal to minCount:{least} "
                f"and less than or equal to maxCount:{POOL_NODES}",
            )
    nodes = sum(one.largest for one in pools)
    if nodes > mode.node_limit:
        why = ", as a route table has 400 routes" if mode is KUBENET else ""
        raise invalid_parameter(
            _COUNT_TARGET,
            f"{nodes} nodes are too many: a {mode.name} cluster has at most {mode.node_limit}{why}",
        )


def _check_size(subnet: Subnet, need: int) -> None:
    if need > subnet.usable:
        raise _insufficient(need, subnet.usable, subnet.prefix, subnet.name, _COUNT_TARGET)


def _check_pod_cidr_size(cidr: IPv4Network | None, need: int) -> None:
    if cidr is not None and need > cidr.num_addresses:
        raise _insufficient(need, cidr.num_addresses, str(cidr), POD_CIDR_TARGET, POD_CIDR_TARGET)


def _insufficient(need: int, have: int, cidr: str, name: str, target: str) -> InvalidInputError:
    return InvalidInputError(
        f"Pre-allocated IPs {need} exceeds IPs available {have} in Subnet Cidr {cidr}, "
        f"Subnet Name {name}.{_AUTOSCALER}",
        code="InsufficientSubnetSize",
        target=target,
    )
