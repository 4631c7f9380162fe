"""Upgrading a node pool as AKS does: surge nodes come, then node by node is replaced, then they go.

A replaced node keeps its name, its instance number and its addresses; its disk is new. One that
ended half-way is gone on with by the next: nodes that are new stay, surge nodes that are left serve
again. Source: AKS,
"Upgrade an AKS cluster" (max surge; cordon and drain; reimage).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from podwire.lab.bringup import node_steps
from podwire.lab.building import Builder
from podwire.lab.cluster import Cluster
from podwire.lab.nics import Member, instances_of, members, pool_row, put_instances
from podwire.lab.steps import Emit, carry_out, known_needs, one_step
from podwire.model.errors import InvalidInputError, UnavailableError
from podwire.model.node_pool import Pool
from podwire.model.progress import silent


@dataclass(frozen=True, slots=True)
class Plan:
    """surge: nodes that are added for the time of the upgrade; old: those to be replaced."""

    cluster: Cluster
    pool: Pool
    surge: tuple[Member, ...]
    old: tuple[Member, ...]

    async def carry_out(self, emit: Emit) -> None:
        builder = Builder(self.cluster)
        if self.surge:
            await builder.certificates(silent)
            await self._boot(builder, self.surge, emit)
        width = max(1, len(self.surge))
        for at in range(0, len(self.old), width):
            batch = self.old[at : at + width]
            await asyncio.gather(*(self._empty(builder, one, emit) for one in batch))
            await self._boot(builder, batch, emit)
            self._note_renewed(batch)
        for one in self.surge:
            async with one_step(emit, f"{one.nic.name}-leave", f"Node {one.nic.name}: removed"):
                await builder.remove_node(one.nic.name)
        self._forget_progress()
        self.cluster.state = "running"

    async def _boot(self, builder: Builder, batch: Sequence[Member], emit: Emit) -> None:
        missing = [one for one in batch if one.nic.name not in self.cluster.nodes]
        steps = [step for one in missing for step in node_steps(builder, one)]
        await carry_out(known_needs(steps), emit)

    async def _empty(self, builder: Builder, one: Member, emit: Emit) -> None:
        name = one.nic.name
        async with one_step(emit, f"{name}-leave", f"Node {name}: drained, replaced"):
            if name in self.cluster.nodes:
                await builder.drain(name)
                await builder.end_node(name)

    def _note_renewed(self, batch: Sequence[Member]) -> None:
        """So that who goes on after a failure, or a killed daemon, replaces the others alone."""
        store, spec = self.cluster.site.store, self.cluster.spec
        have = instances_of(store, spec, self.pool)
        renewed = have.with_renewed([one.number for one in batch])
        store.put(pool_row(spec, self.pool.name), renewed)

    def _forget_progress(self) -> None:
        store, spec = self.cluster.site.store, self.cluster.spec
        have = instances_of(store, spec, self.pool)
        settled = replace(have.without([one.number for one in self.surge]), renewed=())
        store.put(pool_row(spec, self.pool.name), settled)


def plan(cluster: Cluster, pool_name: str, version: str = "") -> Plan:
    """What is to be done; the surge nodes' NICs are in the store afterwards.

    Raises InvalidInputError, with nothing changed.
    """
    spec, site = cluster.spec, cluster.site
    pool = spec.pool(pool_name)
    if cluster.api is None:
        raise UnavailableError(f"cluster {spec.name} is {cluster.state}; start it first")
    if version and version.lstrip("v") != site.materials.version.lstrip("v"):
        raise InvalidInputError(
            f"Kubernetes {version} is not here; the lab has {site.materials.version}",
            code="K8sVersionNotSupported",
            target="properties.kubernetesVersion",
        )
    have = instances_of(site.store, spec, pool)
    own, left = have.numbers[: pool.count], have.numbers[pool.count :]
    mine = [one for one in members(site.store, spec) if one.pool == pool]
    old = tuple(one for one in mine if one.number in own and one.number not in have.renewed)
    more = pool.surge_nodes - len(left) if old else 0
    grown = have.grown(max(0, more))
    with site.store.transaction():
        put_instances(site, spec, pool, grown, cluster.network.vnet)
    now = [one for one in members(site.store, spec) if one.pool == pool]
    return Plan(cluster, pool, tuple(one for one in now if one.number not in own), old)
