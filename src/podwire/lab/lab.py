"""One lab: what it wants (the store), what it has (VNets, clusters, programs), and how it is.

Whoever wants it different calls one of its methods: the daemon for `podwire up`, the ARM endpoint
for `az`. Each writes to the store first, so that a daemon that starts again goes on.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import cattrs

from podwire.cluster.cgroups import LabCgroups
from podwire.kernel.process import Supervisor
from podwire.lab import bringup
from podwire.lab.cluster import Cluster, ClusterFacts
from podwire.lab.lab_node import LabNode
from podwire.lab.materials import Materials
from podwire.lab.network import Network
from podwire.lab.nics import forget_cluster, settle
from podwire.lab.site import Site
from podwire.lab.status import lab_status
from podwire.lab.steps import Emit, one_step
from podwire.lab.store import PluggedNic, Store, WantedCluster
from podwire.lab.work import Run, Work, Works
from podwire.model.cluster import ClusterSpec
from podwire.model.errors import InvalidInputError, PodwireError
from podwire.model.layout import LabLayout
from podwire.model.progress import silent
from podwire.model.vnet import VNet


class Lab:
    """VNets and clusters by their keys, resource group and name in lower case."""

    site: Site

    def __init__(self, layout: LabLayout) -> None:
        self.layout = layout
        self.works = Works()
        self._networks: dict[str, Network] = {}
        self._clusters: dict[str, Cluster] = {}

    async def open(self) -> None:
        """Make the lab's directories and cgroups; go on with what the store wants, if anything."""
        layout = self.layout
        for one in (layout.state, layout.run, layout.logs):
            one.mkdir(parents=True, exist_ok=True)
        cgroups = LabCgroups.create(layout)
        for group in cgroups.group("daemon"):
            (group / "cgroup.procs").write_text("0")
        store = Store(layout.store)
        self.site = Site(layout, store, Supervisor(), cgroups, Materials(layout, store))
        for key, vnet in store.all(VNet).items():
            self._networks[key] = Network(self.site, vnet)
        for wanted in store.all(WantedCluster).values():
            cluster = self._add_cluster(wanted)
            if not wanted.stopped:
                self._begin(cluster, "create", self._build(cluster))

    @property
    def store(self) -> Store:
        return self.site.store

    # VNets

    def vnets(self) -> dict[str, VNet]:
        return {key: one.vnet for key, one in self._networks.items()}

    def network(self, key: str) -> Network:
        """Raises InvalidInputError when there is no such VNet."""
        if key not in self._networks:
            have = ", ".join(self._networks) or "none"
            raise InvalidInputError(f"lab {self.layout.name} has no VNet {key!r}; it has: {have}")
        return self._networks[key]

    async def put_vnet(self, vnet: VNet) -> None:
        """Make the VNet, or change it into this; its fabric runs afterwards.

        The caller has checked it (`model.aks_rules.check_vnet`).
        """
        self.store.put(vnet.key, vnet)
        network = self._networks.get(vnet.key)
        if network is None:
            network = self._networks[vnet.key] = Network(self.site, vnet)
        elif network.vnet != vnet:
            await network.update(vnet)
        await network.start(silent)

    async def delete_vnet(self, key: str) -> None:
        """Unknown: nothing. Raises InvalidInputError while something has a NIC on it."""
        used = [name for name, one in self.store.all(PluggedNic).items() if one.vnet == key]
        if used:
            raise InvalidInputError(f"VNet {key} is in use by {used[0]}; delete that first")
        self.store.delete(VNet, key)
        network = self._networks.pop(key, None)
        if network is not None:
            await network.close()

    # Clusters

    def clusters(self) -> dict[str, ClusterFacts]:
        return {key: one.facts() for key, one in self._clusters.items()}

    def cluster(self, key: str) -> Cluster:
        """Raises InvalidInputError when there is no such cluster."""
        if key not in self._clusters:
            have = ", ".join(self._clusters) or "none"
            raise InvalidInputError(
                f"lab {self.layout.name} has no cluster {key!r}; it has: {have}"
            )
        return self._clusters[key]

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
        cluster = old or self._add_cluster(wanted)
        cluster.wanted = wanted
        return self._begin(cluster, "update" if cluster.api else "create", self._build(cluster))

    async def delete_cluster(self, key: str, emit: Emit) -> None:
        """Unknown: nothing. Its nodes, control plane, rows and files are gone afterwards."""
        cluster = self._clusters.get(key)
        if cluster is None:
            return
        if (work := self.works.current(key)) is not None:
            await work.cancel()

        async def act(tell: Emit) -> None:
            async with one_step(tell, "delete", f"Deleting cluster {cluster.spec.name}"):
                cluster.state = "deleting"
                await cluster.end()
                await asyncio.to_thread(cluster.remove_files)
                forget_cluster(self.store, key)
                self.store.delete_setting(f"api port of {key}")
                del self._clusters[key]

        await self._begin(cluster, "delete", act).follow(emit)
        self.works.forget(key)

    async def stop_cluster(self, key: str, emit: Emit) -> None:
        """Switch its machines off; disks, addresses and what etcd has stay."""
        cluster = self.cluster(key)

        async def act(tell: Emit) -> None:
            async with one_step(tell, "stop", f"Stopping cluster {cluster.spec.name}"):
                cluster.state = "stopping"
                self._want(cluster, stopped=True)
                await cluster.end(keep_disks=True)
                cluster.state = "stopped"

        await self._begin(cluster, "stop", act).follow(emit)

    async def start_cluster(self, key: str, emit: Emit) -> None:
        """Switch its machines on again; of one that runs: nothing."""
        cluster = self.cluster(key)
        if not cluster.wanted.stopped:
            return
        self.works.refuse_busy(key)
        self._want(cluster, stopped=False)
        cluster.state = "starting"
        await self._begin(cluster, "start", self._build(cluster)).follow(emit)

    def find_node(self, name: str) -> tuple[Cluster, LabNode]:
        """Raises InvalidInputError when no cluster has a node of that name."""
        for cluster in self._clusters.values():
            if name in cluster.nodes:
                return cluster, cluster.nodes[name]
        raise InvalidInputError(
            f"lab {self.layout.name} has no node {name!r}; see `podwire status`"
        )

    def _add_cluster(self, wanted: WantedCluster) -> Cluster:
        cluster = Cluster(self.site, self.network(wanted.spec.vnet), wanted)
        self._clusters[cluster.key] = cluster
        return cluster

    def _want(self, cluster: Cluster, *, stopped: bool) -> None:
        cluster.wanted = replace(cluster.wanted, stopped=stopped)
        self.store.put(cluster.key, cluster.wanted)

    def _begin(self, cluster: Cluster, title: str, run: Run) -> Work:
        async def act(emit: Emit) -> None:
            try:
                await run(emit)
            except BaseException as error:
                cluster.state, cluster.error = "failed", str(error) or "interrupted"
                raise
            cluster.error = ""

        return self.works.begin(cluster.key, title, act)

    def _build(self, cluster: Cluster) -> Run:
        async def act(emit: Emit) -> None:
            fresh = cluster.api is None
            if not fresh:
                cluster.state = "updating"
            elif cluster.state != "starting":
                cluster.state = "creating"
            try:
                await bringup.converge(cluster, emit)
            except BaseException:
                if fresh:  # nothing of it runs then, and the next try starts afresh
                    await cluster.end()
                raise
            cluster.state = "running"

        return act

    # The whole lab

    async def up(self, wanted: dict[str, Any], emit: Emit) -> None:
        """Make the lab be as wanted, telling each step; done when everything runs.

        wanted: vnet, cluster, workload, kubernetes (directory, version): see `podwire up`.
        Raises PodwireError when the lab is something else already, or a step failed.
        """
        have = self.store.setting("wanted")
        if have is not None and have != wanted:
            raise PodwireError(
                f"lab {self.layout.name} is there with other settings ({_changes(have, wanted)}); "
                "`podwire down` first, or choose another --name"
            )
        vnet = cattrs.structure(wanted["vnet"], VNet)
        spec = cattrs.structure(wanted["cluster"], ClusterSpec)
        work = self.works.current(spec.key)
        if work is None:
            cluster = self._clusters.get(spec.key)
            if cluster is not None and cluster.state == "running":
                return
            self.store.put_setting("kubernetes", wanted["kubernetes"])
            self.store.put(vnet.key, vnet)
            self._networks.setdefault(vnet.key, Network(self.site, vnet))
            work = self.begin_cluster(spec, workload=wanted["workload"])
            self.store.put_setting("wanted", wanted)
        await work.follow(emit)

    async def down(self, emit: Emit) -> None:
        """Want nothing, have nothing."""
        async with one_step(emit, "down", "Taking the lab down"):
            self.store.delete_setting("wanted")
            await self.close()

    async def close(self) -> None:
        """End the lab with its daemon. The files stay; `sweep` removes them."""
        await self.works.cancel_all()
        await asyncio.gather(*(one.end() for one in self._clusters.values()))
        await asyncio.gather(*(one.close() for one in self._networks.values()))
        await self.site.supervisor.stop_all(grace=0.5)
        self.store.close()

    async def status(self) -> dict[str, Any]:
        """Desired beside observed, as JSON."""
        return lab_status(self.site, self.vnets(), list(self._clusters.values()))


def _changes(have: dict[str, Any], wanted: dict[str, Any]) -> str:
    """What differs, in words: `cluster.service_cidr 10.0.0.0/16, asked 10.1.0.0/16`."""
    before, after = _flat(have), _flat(wanted)
    words = [
        f"{key} {before.get(key)}, asked {value}"
        for key, value in after.items()
        if before.get(key) != value
    ]
    return "; ".join(words)


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """Every leaf of nested JSON by its path, as in cluster.pools.0.count."""
    if isinstance(value, list):
        value = {str(number): one for number, one in enumerate(value)}
    if not isinstance(value, dict):
        return {name: value}
    prefix = f"{name}." if name else ""
    return {key: leaf for at, one in value.items() for key, leaf in _flat(one, prefix + at).items()}
