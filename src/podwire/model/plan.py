"""A cluster's addresses planned without building it: what it takes, when it breaks, what would fit.

Every refusal comes of the checks that the lab itself runs (`model/pool_rules.py`,
`model/aks_rules.py`); there is no rule of its own here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from podwire.model.aks_rules import (
    check_dns_service_ip,
    check_pod_cidr,
    check_service_cidr,
    check_vnet,
)
from podwire.model.errors import InvalidInputError
from podwire.model.ip_modes import (
    Mode,
    Moment,
    PodsFrom,
    Ranges,
    pods_need,
    smallest_pod_cidr,
    smallest_subnet,
    subnet_need,
)
from podwire.model.node_pool import Pool
from podwire.model.pool_rules import (
    POOL_NODES,
    check_create,
    check_pods,
    check_pool,
    check_upgrade,
)
from podwire.model.vnet import Subnet, VNet

Check = Callable[[], object]
_PoolsCheck = Callable[[Mode, Sequence[Pool], Ranges], None]
_Error = InvalidInputError | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """when: network, create, upgrade, upgrade at maximum, or pods (late, in the cluster)."""

    when: str
    error: InvalidInputError


@dataclass(frozen=True, slots=True)
class Use:
    """A range and what is taken of it. cidr, usable: None when it is not chosen yet.

    smallest: the longest prefix that holds all of `needs`.
    """

    what: PodsFrom
    cidr: str | None
    usable: int | None
    needs: dict[Moment, int]
    smallest: int

    def fits(self, moment: Moment) -> bool:
        return self.usable is None or self.needs[moment] <= self.usable


@dataclass(frozen=True, slots=True)
class Break:
    """The first count of nodes of `pool` that is refused, all else as it is; None: none is."""

    pool: str
    when: str
    nodes: int | None
    error: InvalidInputError | None


@dataclass(frozen=True, slots=True)
class ModePlan:
    mode: Mode
    pools: tuple[Pool, ...]
    uses: tuple[Use, ...]
    refusals: tuple[Refusal, ...]
    breaks: tuple[Break, ...]

    @property
    def fits(self) -> bool:
        return not self.refusals


def plan_mode(mode: Mode, pools: Sequence[Pool], ranges: Ranges) -> ModePlan:
    """pools: at least one, the first being the system pool."""
    return ModePlan(
        mode,
        tuple(pools),
        tuple(_uses(mode, pools, ranges)),
        tuple(_refusals(mode, pools, ranges)),
        tuple(_breaks(mode, pools, ranges)),
    )


def network_refusals(
    vnet: VNet, service_cidr: str, dns_service_ip: str, pod_cidr: str | None
) -> tuple[Refusal, ...]:
    """What is refused whatever the nodes are. pod_cidr: None where the mode has none."""
    told = [refused(partial(check_vnet, vnet))]
    service = None
    try:
        service = check_service_cidr(service_cidr, vnet)
        check_dns_service_ip(dns_service_ip, service)
    except InvalidInputError as error:
        told.append(error)
    if pod_cidr is not None:
        told.append(refused(partial(check_pod_cidr, pod_cidr, vnet, service)))
    return tuple(Refusal("network", error) for error in told if error)


def refused(check: Check) -> InvalidInputError | None:
    """What `check` refuses, None when it is content."""
    try:
        check()
    except InvalidInputError as error:
        return error
    return None


def _uses(mode: Mode, pools: Sequence[Pool], ranges: Ranges) -> Iterable[Use]:
    needs = {moment: subnet_need(mode, pools, moment) for moment in Moment}
    yield _use_of_subnet(PodsFrom.SUBNET, ranges.subnet, needs)
    needs = {moment: pods_need(mode, pools, moment) for moment in Moment}
    if mode.pods_from is PodsFrom.POD_SUBNET:
        yield _use_of_subnet(mode.pods_from, ranges.pod_subnet, needs)
    elif mode.pods_from is PodsFrom.POD_CIDR:
        cidr = ranges.pod_cidr
        text, size = (str(cidr), cidr.num_addresses) if cidr is not None else (None, None)
        yield Use(mode.pods_from, text, size, needs, smallest_pod_cidr(max(needs.values())))


def _use_of_subnet(what: PodsFrom, subnet: Subnet | None, needs: dict[Moment, int]) -> Use:
    cidr, size = (subnet.prefix, subnet.usable) if subnet is not None else (None, None)
    return Use(what, cidr, size, needs, smallest_subnet(max(needs.values())))


def _refusals(mode: Mode, pools: Sequence[Pool], ranges: Ranges) -> Iterable[Refusal]:
    """What is refused first: an upgrade is looked at when there is something to upgrade."""
    for pool in pools:
        if error := refused(partial(check_pool, pool)):
            yield Refusal("create", error)
    tries: tuple[tuple[str, Check], ...] = (
        ("create", partial(check_create, mode, pools, ranges)),
        ("upgrade", partial(check_upgrade, mode, pools, ranges)),
        (
            "upgrade at maximum",
            partial(check_upgrade, mode, pools, ranges, Moment.MAXIMUM_UPGRADE),
        ),
    )
    found = (Refusal(when, error) for when, check in tries if (error := refused(check)))
    if first := next(found, None):
        yield first
    if error := refused(partial(check_pods, mode, pools, ranges)):
        yield Refusal("pods", error)


def _breaks(mode: Mode, pools: Sequence[Pool], ranges: Ranges) -> Iterable[Break]:
    checks: tuple[tuple[str, _PoolsCheck], ...] = (
        ("create", check_create),
        ("upgrade", check_upgrade),
    )
    for at, pool in enumerate(pools):
        for when, check in checks:

            def refuses(nodes: int, at: int = at, check: _PoolsCheck = check) -> _Error:
                grown = [*pools[:at], pools[at].resized(nodes), *pools[at + 1 :]]
                return refused(partial(check, mode, grown, ranges))

            yield _first_break(pool.name, when, refuses)


def _first_break(pool: str, when: str, refuses: Callable[[int], _Error]) -> Break:
    """More nodes are never refused less, so halving finds the first."""
    counts = range(1, POOL_NODES + 2)
    at = bisect_left(counts, True, key=lambda nodes: refuses(nodes) is not None)
    if at == len(counts):
        return Break(pool, when, None, None)
    return Break(pool, when, counts[at], refuses(counts[at]))
