"""One lab: what it wants (the store), what it has (fabric, programs, nodes), and how it is.

The way up is in `bringup`, a node's life in `lab_node`; this module holds the parts together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from podwire.cluster.api_client import ApiClient
from podwire.cluster.cgroups import LabCgroups
from podwire.kernel.netns import NetNamespace
from podwire.kernel.process import Running, Supervisor
from podwire.lab.lab_node import LabNode
from podwire.lab.relay import Relay
from podwire.lab.steps import Emit, StepEvent
from podwire.lab.store import Store, cluster_from
from podwire.model.cluster import ClusterSpec
from podwire.model.errors import PodwireError
from podwire.model.layout import LabLayout
from podwire.vnet.directory import NicDirectory
from podwire.vnet.fabric import Fabric
from podwire.vnet.servers import Servers


@dataclass(slots=True)
class Parts:
    """What a lab has so far. Everything here ends with the daemon's process."""

    fabric: Fabric | None = None
    servers: Servers | None = None
    directory: NicDirectory = field(default_factory=NicDirectory)
    control_plane: NetNamespace | None = None
    relays: list[Relay] = field(default_factory=list)
    client: ApiClient | None = None
    api_port: int = 0
    kubernetes: str = ""
    mirror: bool = False
    nodes: dict[str, LabNode] = field(default_factory=dict)


class Lab:
    """state: empty, starting, running, failed or stopping."""

    def __init__(self, layout: LabLayout) -> None:
        self.layout = layout
        self.state = "empty"
        self.parts = Parts()
        self.supervisor = Supervisor()
        self.cgroups: LabCgroups
        self.store: Store
        self._bringing: asyncio.Task[None] | None = None
        self._history: list[StepEvent] = []
        self._listeners: set[Callable[[StepEvent], None]] = set()

    async def open(self) -> None:
        """Make the lab's directories and cgroups; go on with what the store wants, if anything."""
        for one in (self.layout.state, self.layout.run, self.layout.logs):
            one.mkdir(parents=True, exist_ok=True)
        self.cgroups = LabCgroups.create(self.layout)
        for group in self.cgroups.group("daemon"):
            (group / "cgroup.procs").write_text("0")
        self.store = Store(self.layout.store)
        if wanted := self.wanted:
            self._begin(wanted)

    @property
    def wanted(self) -> dict[str, Any] | None:
        """What `up` was last told, None before that."""
        return self.store.get("setting", "wanted")

    @property
    def spec(self) -> ClusterSpec:
        wanted = self.wanted
        if wanted is None:
            raise PodwireError(f"lab {self.layout.name} has no cluster")
        return cluster_from(wanted["cluster"])

    async def up(self, wanted: dict[str, Any], emit: Emit) -> None:
        """Make the lab be as wanted, telling each step; done when everything runs.

        Raises PodwireError when the lab is something else already, or a step failed.
        """
        have = self.wanted
        if have is not None and have != wanted:
            raise PodwireError(
                f"lab {self.layout.name} is there with other settings ({_changes(have, wanted)}); "
                "`podwire down` first, or choose another --name"
            )
        if self.state == "running":
            return
        if self._bringing is None or self._bringing.done():
            self.store.put("setting", "wanted", wanted)
            self._begin(wanted)
        assert self._bringing is not None
        for event in self._history:
            emit(event)
        self._listeners.add(emit)
        try:
            await asyncio.shield(self._bringing)
        except asyncio.CancelledError as error:
            raise PodwireError("the lab was taken down meanwhile") from error
        finally:
            self._listeners.discard(emit)

    def _begin(self, wanted: dict[str, Any]) -> None:
        from podwire.lab import bringup  # it needs Lab; imported late to keep one way

        self._history.clear()
        self._bringing = asyncio.create_task(bringup.bring_up(self, wanted, self._tell))

    def _tell(self, event: StepEvent) -> None:
        self._history.append(event)
        for listener in list(self._listeners):
            listener(event)

    async def down(self, emit: Emit) -> None:
        """Want nothing, have nothing."""
        self.state = "stopping"
        emit(StepEvent("down", "Taking the lab down", "started"))
        self.store.delete("setting", "wanted")
        await self.close()
        emit(StepEvent("down", "Taking the lab down", "done"))

    async def close(self) -> None:
        """End the lab with its daemon. The files stay; `sweep` removes them."""
        if self._bringing is not None:
            self._bringing.cancel()
            await asyncio.gather(self._bringing, return_exceptions=True)
        await self.end_parts()
        self.store.close()

    async def end_parts(self) -> None:
        """End everything that runs; what is wanted and what was stored stays."""
        parts, self.parts = self.parts, Parts()
        for relay in parts.relays:
            await relay.close()
        if parts.client is not None:
            parts.client.close()
        await asyncio.gather(*(node.end() for node in parts.nodes.values()))
        await self.supervisor.stop_all(grace=0.5)
        if parts.servers is not None:
            await parts.servers.close()
        if parts.control_plane is not None:
            parts.control_plane.close()
        if parts.fabric is not None:
            parts.fabric.close()

    async def status(self) -> dict[str, Any]:
        """Desired beside observed, as JSON."""
        wanted = self.wanted
        merged = self.store.get("setting", "merged")
        return {
            "lab": self.layout.name,
            "state": self.state,
            "error": self._failure(),
            "cluster": self._cluster_facts() if wanted else None,
            "logs": str(self.layout.logs),
            "kubectl": str(self.layout.run / "bin/kubectl"),
            "admin_kubeconfig": str(self.layout.state / "admin.kubeconfig"),
            "user_kubeconfig": merged["path"] if merged else "",
            "nodes": [node.facts() for node in self.parts.nodes.values()],
            "components": [_facts(one) for one in self.supervisor.running.values()],
        }

    def _failure(self) -> str:
        return next((event.text for event in self._history if event.state == "failed"), "")

    def _cluster_facts(self) -> dict[str, Any]:
        spec, parts = self.spec, self.parts
        return {
            "name": spec.name,
            "kubernetes": parts.kubernetes,
            "api": f"https://127.0.0.1:{parts.api_port}" if parts.api_port else "",
            "subnet": spec.vnet.subnet(spec.subnet).prefix,
            "service_cidr": spec.service_cidr,
            "node_resource_group": spec.node_resource_group,
        }


def _facts(one: Running) -> dict[str, Any]:
    return {
        "name": one.program.label,
        "pid": one.pid,
        "restarts": one.restarts,
        "last_exit": one.last_exit,
        "log": str(one.program.log),
    }


def _changes(have: dict[str, Any], wanted: dict[str, Any]) -> str:
    """What differs, in words: `node_count 3, asked 5`."""
    flat_have = {**have, **have["cluster"]}
    flat_wanted = {**wanted, **wanted["cluster"]}
    words = [
        f"{key} {flat_have.get(key)}, asked {value}"
        for key, value in flat_wanted.items()
        if key != "cluster" and flat_have.get(key) != value
    ]
    return "; ".join(words)
