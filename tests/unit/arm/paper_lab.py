"""A lab on paper: what the endpoint asks of one, without a machine. For tests of the protocol only;
what a lab does is tested on real ones (tests/e2e)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from podwire.cluster.vm_access_settings import VmAccess
from podwire.lab.holders import AddressWish, hold
from podwire.lab.steps import Emit
from podwire.model.cluster import ClusterSpec
from podwire.model.errors import InvalidInputError, PodwireError
from podwire.model.load_balancer import LoadBalancer
from podwire.model.route_table import RouteTable
from podwire.model.vnet import Nic, VNet, allocate
from podwire.vnet.frontend_addresses import Claim, FrontendAddresses


@dataclass(frozen=True)
class PaperNode:
    name: str
    pool: str
    instance: int
    nic: Nic
    state: str = "running"


@dataclass(frozen=True)
class PaperCluster:
    spec: ClusterSpec
    state: str = "running"
    error: str = ""
    api: str = "https://127.0.0.1:6443"
    version: str = "v1.20.2"
    nodes: tuple[PaperNode, ...] = ()
    pod_routes: RouteTable | None = None


@dataclass(frozen=True)
class PaperResult:
    exit_code: int
    output: str


@dataclass
class PaperLab:
    """gate: what takes long waits until it is set; failure: what the next build ends with; said:
    the calls that change something, with what they were given."""

    said: list[tuple[Any, ...]] = field(default_factory=list)
    failure: PodwireError | None = None
    _vnets: dict[str, VNet] = field(default_factory=dict)
    _clusters: dict[str, PaperCluster] = field(default_factory=dict)
    balancers: tuple[LoadBalancer, ...] = ()
    claims: dict[str, tuple[Claim, ...]] = field(default_factory=dict)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    def vnets(self) -> Mapping[str, VNet]:
        return dict(self._vnets)

    def effective_vnet(self, key: str) -> VNet:
        return self._vnets[key]

    def load_balancers(self, vnet: str) -> Sequence[LoadBalancer]:
        return self.balancers

    async def put_vnet(self, vnet: VNet) -> None:
        self.said.append(("put_vnet", vnet))
        await self._work()
        self._vnets[vnet.key] = vnet

    async def delete_vnet(self, key: str) -> None:
        self.said.append(("delete_vnet", key))
        self._vnets.pop(key, None)

    def hold_addresses(self, holder: str, wishes: Mapping[str, AddressWish]) -> dict[str, str]:
        nodes = [node.nic for one in self._clusters.values() for node in one.nodes]

        def space(key: str) -> FrontendAddresses:
            return FrontendAddresses(
                lambda: self._vnets[key],
                lambda: [address for one in nodes for address in one.addresses],
                self.claims.get(key, ()),
                lambda claims: self.claims.update({key: claims}),
            )

        return hold(holder, wishes, {key: space(key) for key in (*self._vnets, "")})

    def clusters(self) -> Mapping[str, PaperCluster]:
        return dict(self._clusters)

    async def put_cluster(self, spec: ClusterSpec, emit: Emit) -> None:
        self.said.append(("put_cluster", spec))
        have = self._clusters.get(spec.key)
        self._clusters[spec.key] = PaperCluster(spec, state="updating" if have else "creating")
        try:
            await self._work()
        except PodwireError as error:
            self._clusters[spec.key] = PaperCluster(spec, state="failed", error=str(error))
            raise
        self._clusters[spec.key] = PaperCluster(spec, nodes=tuple(self._nodes(spec)))

    async def delete_cluster(self, key: str, emit: Emit) -> None:
        self.said.append(("delete_cluster", key))
        await self._work()
        self._clusters.pop(key, None)

    async def stop_cluster(self, key: str, emit: Emit) -> None:
        self.said.append(("stop_cluster", key))
        self._clusters[key] = replace(self._clusters[key], state="stopped")

    async def start_cluster(self, key: str, emit: Emit) -> None:
        self.said.append(("start_cluster", key))
        self._clusters[key] = replace(self._clusters[key], state="running")

    async def upgrade_pool(self, key: str, pool: str, emit: Emit, version: str = "") -> None:
        self.said.append(("upgrade_pool", key, pool, version))
        await self._work()

    async def run_on_node(self, node: str, script: str) -> PaperResult:
        self.said.append(("run_on_node", node, script))
        return PaperResult(0, f"{node} ran it\n")

    async def run_in_cluster(
        self, key: str, command: str, files: Mapping[str, bytes]
    ) -> PaperResult:
        self.said.append(("run_in_cluster", key, command, dict(files)))
        return PaperResult(3, "no such pod\n")

    async def grant_access(
        self, key: str, pool: str, wish: VmAccess, instances: tuple[int, ...] | None = None
    ) -> None:
        self.said.append(("grant_access", key, pool, wish, instances))

    def versions(self) -> list[str]:
        return ["v1.20.2", "v1.21.14"]

    def kubeconfig(self, key: str) -> dict[str, Any]:
        spec = self._clusters[key].spec
        user = f"clusterUser_{spec.resource_group}_{spec.name}"
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": spec.name,
            "clusters": [{"name": spec.name, "cluster": {"server": self._clusters[key].api}}],
            "contexts": [{"name": spec.name, "context": {"cluster": spec.name, "user": user}}],
            "users": [{"name": user, "user": {"token": "t0ken"}}],
        }

    async def _work(self) -> None:
        await self.gate.wait()
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure

    def _nodes(self, spec: ClusterSpec) -> list[PaperNode]:
        vnet = self._vnets.get(spec.vnet)
        if vnet is None:
            raise InvalidInputError(f"the lab has no VNet {spec.vnet!r}")
        nodes: list[PaperNode] = []
        for pool in spec.pools:
            subnet = vnet.subnet(spec.subnet_of(pool))
            count = 1 + pool.max_pods if spec.network_plugin == "azure" else 1
            for number in range(pool.count):
                taken = [one for node in nodes for one in node.nic.addresses]
                name = spec.node_name(pool.name, number)
                nic = Nic(name, "00:0d:3a:00:00:01", subnet, allocate(subnet, count, taken))
                nodes.append(PaperNode(name, pool.name, number, nic))
        return nodes
