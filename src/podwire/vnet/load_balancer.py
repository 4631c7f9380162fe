"""The load balancers of one fabric: put, probed, kept up to date with its NICs.

Must not know who wants them. What they are in the kernel says `load_balancer_rules`, whether a
backend is healthy `load_balancer_probes`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from podwire.kernel import nft, wire
from podwire.model.errors import InvalidInputError, KernelError
from podwire.model.load_balancer import LoadBalancer, Rule, check_load_balancer
from podwire.model.wiring import Wiring
from podwire.vnet.fabric import Fabric, Port
from podwire.vnet.load_balancer_probes import Check, Prober
from podwire.vnet.load_balancer_rules import (
    TABLE,
    Loaded,
    Marks,
    Service,
    return_wiring,
    script,
    services,
)
from podwire.vnet.segments import FABRIC

_LOOK_AGAIN = 1.0
"""Seconds after which a NIC that was plugged in anew has its frontends, if nobody told."""


@dataclass(frozen=True, slots=True)
class BackendHealth:
    """balancer: its key; probe: a name. detail: why the last attempt failed, or ""."""

    balancer: str
    probe: str
    backend: str
    up: bool
    detail: str


class LoadBalancers:
    """Those of one VNet. To be used on one event loop, which must run; `close` before the fabric.

    tell: is given what cannot be raised to anybody: a change of health that nft refuses.
    """

    def __init__(self, fabric: Fabric, tell: Callable[[str], None] = print) -> None:
        self._fabric, self._tell = fabric, tell
        self._balancers: dict[str, LoadBalancer] = {}
        self._dirty = asyncio.Event()
        self._prober = Prober(fabric.namespace, self._dirty.set)
        self._marks = Marks()
        self._loaded = Loaded()
        self._wiring = Wiring()
        self._ports: tuple[Port, ...] | None = ()
        self._lock = asyncio.Lock()
        self._keeper: asyncio.Task[None] | None = None

    async def put(self, lb: LoadBalancer) -> None:
        """Have this balancer, in the place of one of the same key; equal already: nothing.

        Known flows stay where they are, unless their backend has left the pool. Raises
        InvalidInputError when it is malformed or a frontend's address is another's, KernelError
        when the kernel refuses; what was there before stays then.
        """
        check_load_balancer(lb)
        self._refuse_taken(lb)
        if self._balancers.get(lb.key) != lb:
            await self._become({**self._balancers, lb.key: lb})

    async def remove(self, key: str) -> None:
        """Unknown: nothing. Raises KernelError."""
        if key in self._balancers:
            await self._become({k: lb for k, lb in self._balancers.items() if k != key})

    def balancers(self) -> tuple[LoadBalancer, ...]:
        return tuple(self._balancers.values())

    def frontends(self) -> tuple[str, ...]:
        """The addresses that are the balancers': no NIC may have one."""
        return tuple(one.address for lb in self._balancers.values() for one in lb.frontends)

    def health(self) -> tuple[BackendHealth, ...]:
        """Every probe of every backend, as it is now."""
        return tuple(
            BackendHealth(check.balancer, check.probe.name, check.backend, one.up, one.detail)
            for check, one in self._prober.states.items()
        )

    async def refresh(self) -> None:
        """A NIC was plugged in or out: backends that are there now can be reached at once."""
        if self._balancers:
            await self._apply(self._balancers)

    async def close(self) -> None:
        """End the probes; what is in the fabric goes with it."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None
        await self._prober.close()

    def _refuse_taken(self, lb: LoadBalancer) -> None:
        owners = {one: nic.name for nic in self._fabric.nics() for one in nic.addresses}
        for other in self._balancers.values():
            if other.key != lb.key:
                owners.update((one.address, other.name) for one in other.frontends)
        for frontend in lb.frontends:
            if owner := owners.get(frontend.address):
                raise InvalidInputError(
                    f"load balancer {lb.name} cannot have {frontend.address}: {owner} has it; "
                    "take another address",
                    code="PrivateIPAddressIsAllocated",
                    target=frontend.name,
                )

    async def _become(self, balancers: dict[str, LoadBalancer]) -> None:
        before = self._balancers
        self._balancers = balancers
        self._prober.watch(_checks(balancers.values()))
        try:
            await self._apply(balancers)
        except KernelError:
            self._balancers = before
            self._prober.watch(_checks(before.values()))
            raise
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep())

    async def _apply(self, balancers: dict[str, LoadBalancer]) -> None:
        async with self._lock:
            self._dirty.clear()
            ports = self._fabric.ports()
            balanced = services(balancers.values(), self._is_healthy)
            frontends = [one.address for lb in balancers.values() for one in lb.frontends]
            await asyncio.to_thread(self._load, frontends, balanced, ports)
            self._ports = ports

    def _is_healthy(self, lb: LoadBalancer, rule: Rule, backend: str) -> bool:
        probe = lb.probe_of(rule)
        return probe is None or self._prober.is_up(Check(lb.key, backend, probe))

    def _load(
        self, frontends: list[str], balanced: tuple[Service, ...], ports: tuple[Port, ...]
    ) -> None:
        """The way back first, then the rules that lead there."""
        space = {FABRIC: self._fabric.namespace}
        wanted = return_wiring(balanced, ports)
        stale = set(self._wiring).difference(wanted)
        wire.unwire(Wiring.of(one for one in self._wiring if one in stale), space)
        self._wiring = wanted
        wire.realise(wanted, space)
        text, after = script(frontends, balanced, self._marks, self._loaded)
        if text:
            nft.run(self._fabric.namespace, text, what=f"table ip {TABLE}")
        self._loaded = after
        self._marks.forget_all_but(target for one in balanced for target in one.targets)

    async def _keep(self) -> None:
        """Follow the probes, and NICs that came or went without a word."""
        while True:
            try:
                async with asyncio.timeout(_LOOK_AGAIN):
                    await self._dirty.wait()
            except TimeoutError:
                if self._ports == self._fabric.ports():
                    continue
            try:
                await self._apply(self._balancers)
            except KernelError as error:
                self._tell(f"load balancers of VNet {self._fabric.vnet.name}: {error}")
                self._ports = None  # look again


def _checks(balancers: Iterable[LoadBalancer]) -> set[Check]:
    return {
        Check(lb.key, backend, probe)
        for lb in balancers
        for rule in lb.rules
        if (probe := lb.probe_of(rule)) is not None
        for backend in lb.backends
    }
