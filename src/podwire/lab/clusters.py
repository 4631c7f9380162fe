"""The clusters of a lab: made, changed, stopped and removed as asked for, each as one work."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from podwire.cluster.vm_access_settings import VmAccess
from podwire.lab import bringup, upgrade
from podwire.lab.cluster import Cluster, ClusterFacts
from podwire.lab.lab_node import LabNode
from podwire.lab.networks import Networks
from podwire.lab.nics import forget_cluster, pool_row, settle
from podwire.lab.steps import Emit, one_step
from podwire.lab.store import Access, Grant, WantedCluster
from podwire.lab.work import Run, Work
from podwire.model.cluster import ClusterSpec
from podwire.model.errors import InvalidInputError


class Clusters(Networks):
    """By key, as VNets. What is asked for is written to the store before anything is done."""

    def __init__(self) -> None:
        super().__init__()
        self._clusters: dict[str, Cluster] = {}

    def clusters(self) -> dict[str, ClusterFacts]:
        return {key: one.facts() for key, one in self._clusters.items()}

    def kubeconfig(self, key: str) -> dict[str, Any]:
        """The user's, with everything in it. Raises InvalidInputError: no such cluster."""
        return self.find_cluster(key).kubeconfig()

    def find_cluster(self, key: str) -> Cluster:
        """Raises InvalidInputError when there is no such cluster."""
        if key not in self._clusters:
            have = ", ".join(self._clusters) or "none"
            raise InvalidInputError(f"the lab has no cluster {key!r}; it has: {have}")
        return self._clusters[key]

    def find_node(self, name: str) -> tuple[Cluster, LabNode]:
        """Raises InvalidInputError when no cluster has a node of that name."""
        for cluster in self._clusters.values():
            if name in cluster.nodes:
                return cluster, cluster.nodes[name]
        raise InvalidInputError(f"the lab has no node {name!r}; see `podwire status`")

    async def put_cluster(self, spec: ClusterSpec, emit: Emit, *, workload: bool = False) -> None:
        """Make the cluster, or change it into this (pools, their counts); done when all runs.

        The caller has checked it (`model.aks_rules.check_cluster`). Raises InvalidInputError
        (SubnetIsFull) with nothing changed, BusyError, StepFailedError.
        """
        await self.begin_cluster(spec, workload=workload).follow(emit)

    def begin_cluster(self, spec: ClusterSpec, *, workload: bool = False) -> Work:
        """The same, not waited for."""
        self.works.refuse_busy(spec.key)
        old = self._clusters.get(spec.key)
        wanted = replace(old.wanted, spec=spec) if old else WantedCluster(spec, workload=workload)
        settle(self.site, wanted, self.network(spec.vnet).vnet)
        cluster = old or self.add_cluster(wanted)
        cluster.wanted = wanted
        return self.build(cluster, "updating" if cluster.api else "creating")

    async def delete_cluster(self, key: str, emit: Emit) -> None:
        """Unknown: nothing. Its nodes, control plane, rows and files are gone afterwards."""
        cluster = self._clusters.get(key)
        if cluster is None:
            return
        if (work := self.works.current(key)) is not None:
            await work.cancel()

        async def act(tell: Emit) -> None:
            async with one_step(tell, "delete", f"Deleting cluster {cluster.spec.name}"):
                await cluster.end()
                await cluster.release_balancers()
                await cluster.remove_files()
                forget_cluster(self.site.store, key)
                self.site.store.delete_setting(cluster.port_setting)
                del self._clusters[key]

        await self._begin(cluster, "deleting", act).follow(emit)
        self.works.forget(key)

    async def stop_cluster(self, key: str, emit: Emit) -> None:
        """Switch its machines off; disks, addresses and what etcd has stay."""
        cluster = self.find_cluster(key)

        async def act(tell: Emit) -> None:
            async with one_step(tell, "stop", f"Stopping cluster {cluster.spec.name}"):
                self._want(cluster, stopped=True)
                await cluster.end(keep_disks=True)
                cluster.state = "stopped"

        await self._begin(cluster, "stopping", act).follow(emit)

    async def start_cluster(self, key: str, emit: Emit) -> None:
        """Switch its machines on again; of one that runs: nothing."""
        cluster = self.find_cluster(key)
        if cluster.wanted.stopped or cluster.api is None:
            self.works.refuse_busy(key)
            self._want(cluster, stopped=False)
            await self.build(cluster, "starting").follow(emit)

    async def upgrade_pool(self, key: str, pool: str, emit: Emit, version: str = "") -> None:
        """Replace every node of the pool by a new one of the same name, surge nodes first.

        version: as in v1.20.2, "" for what is here. Raises InvalidInputError for another one than
        the lab has, and (SubnetIsFull) when a surge node does not fit; nothing is changed then.
        """
        cluster = self.find_cluster(key)
        self.works.refuse_busy(key)
        plan = upgrade.plan(cluster, pool, version)
        await self._begin(cluster, "updating", plan.carry_out).follow(emit)

    async def grant_access(
        self, key: str, pool: str, wish: VmAccess, instances: tuple[int, ...] | None = None
    ) -> None:
        """Do what VMAccessForLinux was asked for, on these nodes of the pool; None: on every one,
        also those to come."""
        cluster = self.find_cluster(key)
        name = pool_row(cluster.spec, cluster.spec.pool(pool).name)
        have = self.site.store.get(Access, name) or Access()
        self.site.store.put(name, have.granted(Grant(wish, instances)))
        nodes = [
            one
            for one in cluster.nodes.values()
            if one.pool == pool and (instances is None or one.instance in instances)
        ]
        await asyncio.gather(*(one.grant((wish,)) for one in nodes))

    def add_cluster(self, wanted: WantedCluster) -> Cluster:
        cluster = Cluster(self.site, self.network(wanted.spec.vnet), wanted)
        self._clusters[cluster.key] = cluster
        return cluster

    def build(self, cluster: Cluster, state: str) -> Work:
        """Begin to make it as it shall be. state: the cluster's meanwhile."""

        async def act(emit: Emit) -> None:
            fresh = cluster.api is None
            try:
                await bringup.converge(cluster, emit)
            except BaseException:
                if fresh:  # nothing of it runs then, and the next try starts afresh
                    await cluster.end()
                raise
            cluster.state = "running"

        return self._begin(cluster, state, act)

    def _want(self, cluster: Cluster, *, stopped: bool) -> None:
        cluster.wanted = replace(cluster.wanted, stopped=stopped)
        self.site.store.put(cluster.key, cluster.wanted)

    def _begin(self, cluster: Cluster, state: str, run: Run) -> Work:
        async def act(emit: Emit) -> None:
            cluster.error = ""
            try:
                await run(emit)
            except BaseException as error:
                cluster.state, cluster.error = "failed", str(error) or "interrupted"
                raise

        work = self.works.begin(cluster.key, state, act)
        cluster.state = state
        return work
