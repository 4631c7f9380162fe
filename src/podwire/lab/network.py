"""A VNet of the lab that runs: its fabric, the platform's servers, the image registry on it."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from dataclasses import replace

from podwire.cluster import registry
from podwire.cluster.packages import ensure_installed
from podwire.kernel.netns import NetNamespace
from podwire.kernel.rtnetlink import RtNetlink
from podwire.lab.nics import nic_addresses, public_addresses, reserved_addresses
from podwire.lab.once import Once
from podwire.lab.relay import Relay, connect_unix, listen_in
from podwire.lab.site import Site
from podwire.lab.store import Frontends
from podwire.model.cluster import (
    CONTROL_PLANE_SUBNET,
    MIRROR_PORT,
    PLATFORM_ADDRESS,
    REGISTRY_PORT,
    ClusterSpec,
)
from podwire.model.progress import Progress
from podwire.model.route_table import RouteTable
from podwire.model.vnet import Nic, VNet
from podwire.vnet import outbound
from podwire.vnet.directory import NicDirectory
from podwire.vnet.dns import machine_resolvers
from podwire.vnet.fabric import Fabric
from podwire.vnet.frontend_addresses import Claim, FrontendAddresses
from podwire.vnet.load_balancer import LoadBalancers
from podwire.vnet.servers import Servers, serve

_PLATFORM = "platform"
OUTBOUND = "outbound"
"""The setting that is there when VNets of this lab shall have a way out."""


class Network:
    """Everything here ends with the daemon's process."""

    fabric: Fabric

    def __init__(self, site: Site, vnet: VNet, apply: Callable[[], None]) -> None:
        """apply: makes all fabrics as their Networks are `effective`."""
        self.site, self.vnet = site, vnet
        self._apply = apply
        self.directory = NicDirectory()
        self.start = Once(self._start)
        self.serve_images = Once(self._serve_images)
        self.balancers: LoadBalancers
        self.frontends = self._frontends()
        self._pod_routes: dict[str, tuple[str, RouteTable]] = {}
        self._servers: Servers | None = None
        self._platform: NetNamespace | None = None
        self._relay: Relay | None = None

    @property
    def _group(self) -> str:
        return f"vnet.{self.vnet.key.replace('/', '.')}"

    @property
    def platform(self) -> NetNamespace | None:
        """Where images are served from, once it is there."""
        return self._platform

    async def _start(self, _: Progress) -> None:
        self.fabric = Fabric.create(self.vnet)
        self.balancers = LoadBalancers(self.fabric)
        self._servers = await serve(self.fabric, self.directory, machine_resolvers())
        mac = self.site.mac_of(f"{_PLATFORM} of {self.vnet.key}")
        self._platform = self.plug(Nic(_PLATFORM, mac, CONTROL_PLANE_SUBNET, (PLATFORM_ADDRESS,)))
        if self.site.store.setting(OUTBOUND) is not None:
            await self.open_outbound()

    async def open_outbound(self) -> None:
        """Let what leaves the VNet out onto the machine's network; done already: nothing."""
        await asyncio.to_thread(ensure_installed, {outbound.PACKAGE: outbound.PACKAGE})
        outbound.open_outbound(self.fabric)
        log = self.site.layout.log(f"{self._group}.outbound")
        program = outbound.outbound_program(self.fabric, log, owner=self._group)
        if program.label not in self.site.supervisor.running:
            await self.site.run(program, self._group)

    def enter(self, nic: Nic, spec: ClusterSpec) -> None:
        """The machine with this NIC is on the VNet: the wire server, IMDS and DNS know it."""
        self.directory.add(
            nic.name, nic, resource_group=spec.node_resource_group, location=spec.location
        )

    def plug(self, nic: Nic) -> NetNamespace:
        """A new network namespace on the VNet, with the NIC as its eth0; close it yourself."""
        space = NetNamespace.create()
        try:
            self.fabric.attach(nic, space)
            with RtNetlink(space) as door:
                door.set_link(door.index("lo"), up=True)
        except BaseException:
            space.close()
            raise
        return space

    def unplug(self, name: str) -> None:
        """Take the NIC of that name off the VNet; unknown: nothing."""
        self.directory.remove(name)
        if self.start.done:
            self.fabric.detach(name)

    def _frontends(self) -> FrontendAddresses:
        store, key = self.site.store, self.vnet.key

        def taken() -> list[str]:
            return [*nic_addresses(store, key), *public_addresses(store, but=key)]

        def save(claims: tuple[Claim, ...]) -> None:
            store.put(key, Frontends(claims))

        kept = store.get(Frontends, key) or Frontends()
        return FrontendAddresses(
            lambda: self.vnet, taken, kept.claims, save, lambda: reserved_addresses(store)
        )

    def node_address(self, name: str) -> str | None:
        host = self.directory.by_name(name)
        return host.nic.primary if host else None

    def effective(self) -> VNet:
        """The VNet with the routes to the pods of kubenet clusters, beside the user's own."""
        subnets = {one.name: one for one in self.vnet.subnets}
        for name, table in self._pod_routes.values():
            have = subnets[name].route_table
            both = have.under(table) if have else table
            subnets[name] = replace(subnets[name], route_table=both)
        return replace(self.vnet, subnets=tuple(subnets.values()))

    def set_pod_routes(self, cluster: str, subnet: str, table: RouteTable | None) -> None:
        """Packets of that subnet for pods of the cluster go where the table says; None: no more."""
        before = self._pod_routes.pop(cluster, None)
        if table is not None:
            self._pod_routes[cluster] = (subnet, table)
        if before != self._pod_routes.get(cluster):
            self._apply()

    def pod_routes(self, cluster: str) -> RouteTable | None:
        found = self._pod_routes.get(cluster)
        return found[1] if found else None

    async def _serve_images(self, progress: Progress) -> None:
        """The lab's own images, and docker.io's through a mirror when that answers."""
        assert self._platform is not None
        make = functools.partial(
            registry.registry_program,
            self.site.layout.cache,
            self.site.materials.images,
            PLATFORM_ADDRESS,
            REGISTRY_PORT,
            self.site.layout.log(f"{self._group}.registry"),
            self._platform.path,
            progress,
            owner=self._group,
        )
        await self.site.run(await asyncio.to_thread(make), self._group)
        if self.site.materials.mirror:
            await self._mirror(self._platform, progress)

    async def _mirror(self, platform: NetNamespace, progress: Progress) -> None:
        """It needs the machine's network, so it listens on a unix socket there, and is relayed."""
        path = self.site.layout.run / f"{self._group}.mirror.sock"
        log = self.site.layout.log(f"{self._group}.mirror")
        make = functools.partial(
            registry.mirror_program,
            *(self.site.layout.cache, path, log),
            progress=progress,
            owner=self._group,
        )
        await self.site.run(await asyncio.to_thread(make), self._group)
        listener = listen_in(platform, PLATFORM_ADDRESS, MIRROR_PORT)
        self._relay = Relay(listener, lambda: connect_unix(path))
        await self._relay.start()

    async def close(self) -> None:
        """End all of it; a second time: nothing."""
        if self._relay is not None:
            await self._relay.close()
        labels = [one for one in self.site.supervisor.running if one.startswith(f"{self._group}/")]
        await asyncio.gather(*(self.site.supervisor.stop(one, grace=0.5) for one in labels))
        if self.start.done:
            await self.balancers.close()
        if self._servers is not None:
            await self._servers.close()
        if self._platform is not None:
            self._platform.close()
        if self.start.done:
            self.fabric.close()
