"""A cluster that runs: control plane, API, nodes. How it comes to be is in `building`."""

from __future__ import annotations

import asyncio
import shutil
import traceback
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from podwire.cluster.api_client import ApiClient
from podwire.cluster.cloud.controller import ServiceController
from podwire.cluster.kubeconfig import kubeconfig
from podwire.cluster.pki import Pki
from podwire.cluster.user_kubeconfig import user_name
from podwire.kernel.netns import NetNamespace
from podwire.lab.lab_node import LabNode
from podwire.lab.network import Network
from podwire.lab.nics import control_plane_name, node_nics
from podwire.lab.relay import Relay
from podwire.lab.site import Site
from podwire.lab.store import WantedCluster
from podwire.lab.sweep import remove_machines
from podwire.model.cluster import ClusterSpec
from podwire.model.errors import UnavailableError
from podwire.model.layout import ClusterLayout
from podwire.model.route_table import RouteTable
from podwire.model.vnet import Nic


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """state: of its machine, as LabNode's."""

    name: str
    pool: str
    instance: int
    nic: Nic
    state: str


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """state: creating, running, updating, stopping, stopped, starting, deleting or failed.

    error: why it failed, else ""; api: https://127.0.0.1:PORT, "" before it has one; version: of
    Kubernetes, "" before it is known; pod_routes: a kubenet cluster's, to its nodes.
    """

    spec: ClusterSpec
    state: str
    error: str
    api: str
    version: str
    nodes: tuple[NodeFacts, ...]
    pod_routes: RouteTable | None = None


class Cluster:
    """What there is of it so far. Everything that runs ends with the daemon's process."""

    def __init__(self, site: Site, network: Network, wanted: WantedCluster) -> None:
        self.site, self.network, self.wanted = site, network, wanted
        self.state, self.error = "stopped", ""
        self.space: NetNamespace | None = None
        self.relay: Relay | None = None
        self.api: ApiClient | None = None
        self.api_port = 0
        self.tasks: list[asyncio.Task[None]] = []
        self.services: ServiceController | None = None
        self.nodes: dict[str, LabNode] = {}

    @property
    def spec(self) -> ClusterSpec:
        return self.wanted.spec

    @property
    def key(self) -> str:
        return self.spec.key

    @property
    def layout(self) -> ClusterLayout:
        return self.site.layout.cluster(self.key)

    @property
    def pki(self) -> Pki:
        return Pki(self.layout.pki)

    @property
    def port_setting(self) -> str:
        """Under which name the store keeps its port on the machine's loopback."""
        return f"api port of {self.key}"

    @property
    def client(self) -> ApiClient:
        """Raises UnavailableError when the cluster has no API server now."""
        if self.api is None:
            raise UnavailableError(f"cluster {self.spec.name} is {self.state}: no API server runs")
        return self.api

    @property
    def server(self) -> str:
        """The API server as the machine reaches it."""
        return f"https://127.0.0.1:{self.api_port}" if self.api_port else ""

    def first_node(self) -> LabNode:
        """Raises UnavailableError when none is up."""
        for one in self.nodes.values():
            if one.node.pid is not None:
                return one
        raise UnavailableError(f"no node of cluster {self.spec.name} is up")

    def kubeconfig(self) -> dict[str, Any]:
        """The user's, with everything in it, as `az aks get-credentials` is given it."""
        spec = self.spec
        user = user_name(spec.resource_group, spec.name)
        credential = self.pki.credential("admin")
        return kubeconfig(self.server, credential, user=user, name=spec.name, embed=True)

    def facts(self) -> ClusterFacts:
        nodes = tuple(
            NodeFacts(name, one.pool, one.instance, one.nic, one.state)
            for name, one in self.nodes.items()
        )
        version = self.site.materials.version
        routes = self.network.pod_routes(self.key)
        return ClusterFacts(self.spec, self.state, self.error, self.server, version, nodes, routes)

    def keep_running(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """In the background, until the cluster ends."""
        task = asyncio.create_task(work, name=f"{name} of {self.key}")
        task.add_done_callback(_tell_crash)
        self.tasks.append(task)

    async def end(self, *, keep_disks: bool = False) -> None:
        """End everything that runs; what is wanted and what was stored stays.

        keep_disks: also what the nodes have on theirs, as when machines are switched off.
        """
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.network.set_pod_routes(self.key, self.spec.subnet, None)
        if self.relay is not None:
            await self.relay.close()
        if self.api is not None:
            self.api.close()
        await asyncio.gather(*(one.end(keep_disk=keep_disks) for one in self.nodes.values()))
        prefix = f"{self.layout.directory}/"
        running = [one for one in self.site.supervisor.running if one.startswith(prefix)]
        await asyncio.gather(*(self.site.supervisor.stop(one, grace=0.5) for one in running))
        if self.space is not None:
            self.space.close()
        for name in (*self.nodes, control_plane_name(self.key)):
            self.network.unplug(name)
        self.nodes = {}
        self.space, self.relay, self.api = None, None, None
        self.tasks = []

    async def release_balancers(self) -> None:
        """Nothing of its load balancers stays, nor do their addresses; it has ended."""
        if self.services is not None:
            await self.services.remove_balancers()
        for one in self.network.frontends.claims():
            if one.owner.startswith(f"{self.key}/"):
                self.network.frontends.release(one.owner)

    async def remove_files(self) -> None:
        """What it and its nodes have on the machine's disk, logs aside, and the cgroups."""
        site, group = self.site, self.layout.directory
        nodes = node_nics(site.store, self.key)
        await asyncio.to_thread(remove_machines, site.layout, site.cgroups, nodes)

        def remove() -> None:
            site.cgroups.kill(group)
            site.cgroups.remove(group)
            shutil.rmtree(self.layout.state, ignore_errors=True)

        await asyncio.to_thread(remove)


def _tell_crash(task: asyncio.Task[None]) -> None:
    """A background task does not end by itself: if one did, the daemon's log says why."""
    if not task.cancelled() and (error := task.exception()) is not None:
        print(f"{task.get_name()} ended: {error!r}", flush=True)  # noqa: T201
        traceback.print_exception(error)
