"""A node of the lab through its life: booted, attached to the VNet, its programs supervised.

When its PID 1 dies, whatever the reason, the node is booted again, as a machine would be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from podwire.cluster import vm_access
from podwire.cluster.docker_api import DockerApi
from podwire.cluster.node import Node
from podwire.cluster.vm_access_settings import VmAccess
from podwire.kernel.netns import NetNamespace
from podwire.kernel.process import Program, Supervisor
from podwire.model.errors import PodwireError
from podwire.model.vnet import Nic
from podwire.vnet.fabric import Fabric


class LabNode:
    """state: booting, starting, running or down."""

    def __init__(
        self,
        node: Node,
        nic: Nic,
        fabric: Fabric,
        supervisor: Supervisor,
        furnish: Callable[[Node], None],
        *,
        pool: str = "",
        instance: int = 0,
    ) -> None:
        """furnish: puts files on a booted node, before any program runs. pool, instance: whose
        machine it is, and its number there."""
        self.node, self.nic = node, nic
        self.pool, self.instance = pool, instance
        self.state = "down"
        self.restarts = 0
        self._fabric, self._supervisor, self._furnish = fabric, supervisor, furnish
        self._docker: DockerApi | None = None
        self._granting = asyncio.Lock()
        self._watch: asyncio.Task[None] | None = None
        self._programs: tuple[Callable[[Node], Program], ...] = ()

    async def boot(self) -> None:
        """Namespaces, files, eth0 on the VNet, and the Docker API's socket; no program yet."""
        self.state = "booting"
        pid = await self.node.boot()
        await asyncio.to_thread(self._furnish, self.node)
        with NetNamespace.open(pid) as namespace:
            self._fabric.attach(self.nic, namespace)
        root = self.node.root
        self._docker = DockerApi(root / "run/containerd/containerd.sock", root, self.node.name)
        await self._docker.serve(root / "run/docker.sock")
        self.state = "starting"

    async def start(self, *programs: Callable[[Node], Program]) -> None:
        """Start programs on the node, in this order, and remember them for the next boot."""
        for make in programs:
            await self._supervisor.start(make(self.node))
        self._programs += programs

    async def grant(self, wishes: Sequence[VmAccess]) -> None:
        """Let people in, or no longer; the node keeps it over its boots. One call at a time."""
        async with self._granting:
            for one in wishes:
                await asyncio.to_thread(vm_access.apply, self.node, one)

    def watch(self) -> None:
        """From now on boot the node again when it dies."""
        self.state = "running"
        self._watch = asyncio.create_task(self._keep())

    async def end(self, *, keep_disk: bool = False) -> None:
        """Shut the node down for good. keep_disk: a node of the same name boots with it again."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        await self._shut()
        self.state = "down"
        if not keep_disk:
            await self.node.destroy()

    async def _keep(self) -> None:
        while True:
            await self.node.wait_dead()
            self.state = "down"
            self.restarts += 1
            await self._shut()
            await self._again()

    async def _again(self) -> None:
        programs, self._programs = self._programs, ()
        try:
            await self.boot()
            await self.start(*programs)
            self.state = "running"
        except (PodwireError, OSError) as error:
            self._programs = programs
            print(f"node {self.node.name} does not boot: {error}", flush=True)  # noqa: T201
            await asyncio.sleep(2)

    async def _shut(self) -> None:
        if self._docker is not None:
            await self._docker.close()
            self._docker = None
        self._fabric.detach(self.nic.name)
        prefix = f"{self.node.name}/"
        mine = [label for label in self._supervisor.running if label.startswith(prefix)]
        await self.node.shutdown()
        await asyncio.gather(*(self._supervisor.stop(label, grace=0) for label in mine))

    def facts(self) -> dict[str, Any]:
        """As JSON; the cgroups are those that a shell on the node joins."""
        groups = self.node.groups
        return {
            "name": self.node.name,
            "pool": self.pool,
            "state": self.state,
            "pid": self.node.pid,
            "restarts": self.restarts,
            "address": self.nic.primary,
            "mac": self.nic.mac,
            "cgroups": [str(one) for one in groups.leaf] if groups else [],
            "addresses": {"total": len(self.nic.secondaries)},
        }
