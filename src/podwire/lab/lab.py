"""One lab: what it wants (the store), what it has (VNets, clusters, programs), and how it is.

Whoever wants it different calls one of its methods: the daemon for `podwire up`, the ARM endpoint
for `az`. Each writes to the store first, so that a daemon that starts again goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import cattrs

from podwire.cluster.cgroups import LabCgroups
from podwire.kernel.process import Supervisor
from podwire.lab import commands
from podwire.lab.clusters import Clusters
from podwire.lab.commands import CommandResult
from podwire.lab.facts import lab_facts
from podwire.lab.materials import Materials
from podwire.lab.network import OUTBOUND
from podwire.lab.nics import control_plane_name, prune, settle
from podwire.lab.site import Site
from podwire.lab.status import lab_status
from podwire.lab.steps import Emit, carry_out, one_step
from podwire.lab.store import PluggedNic, Store, WantedCluster
from podwire.lab.work import Run
from podwire.model.aks_rules import check_cluster
from podwire.model.cluster import ClusterSpec
from podwire.model.errors import PodwireError
from podwire.model.layout import LabLayout
from podwire.model.vnet import VNet


class Lab(Clusters):
    """All of it, from the daemon's start to its end."""

    def __init__(self, layout: LabLayout) -> None:
        super().__init__()
        self.layout = layout

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
        for vnet in store.all(VNet).values():
            self.want_vnet(vnet)
            self.works.begin(f"vnet {vnet.key}", "starting", self._start(vnet))
        for wanted in store.all(WantedCluster).values():
            cluster = self.add_cluster(wanted)
            settle(self.site, wanted, cluster.network.vnet)
            prune(store, wanted.spec)
            if not wanted.stopped:
                self.build(cluster, "creating")

    def _start(self, vnet: VNet) -> Run:
        async def act(emit: Emit) -> None:
            async with one_step(emit, "vnet", f"VNet {vnet.name}"):
                await self.put_vnet(vnet)

        return act

    async def prepare(self, emit: Emit, *, outbound: bool) -> None:
        """Get what every cluster is made of, so that the first one need not wait for it.

        outbound: VNets have a way out from now on.
        """
        await carry_out(self.site.materials.steps(), emit)
        if outbound:
            await self._open_outbound()

    async def _open_outbound(self) -> None:
        self.site.store.put_setting(OUTBOUND, {})
        for one in self._networks.values():
            if one.start.done:
                await one.open_outbound()

    async def up(self, wanted: dict[str, Any], emit: Emit) -> None:
        """Make the lab be as wanted, telling each step; done when everything runs.

        wanted: vnet, cluster, workload, outbound, kubernetes (directory, version): see
        `podwire up`.
        Raises PodwireError when the lab is something else already, or a step failed.
        """
        have = self.site.store.setting("wanted")
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
            self.site.store.put_setting("kubernetes", wanted["kubernetes"])
            vnet = self.vnets().get(vnet.key) or vnet
            check_cluster(spec, vnet)
            self.want_vnet(vnet)
            if wanted["outbound"]:
                await self._open_outbound()
            work = self.begin_cluster(spec, workload=wanted["workload"])
            self.site.store.put_setting("wanted", wanted)
        await work.follow(emit)

    async def down(self, emit: Emit) -> None:
        """Want nothing, have nothing."""
        async with one_step(emit, "down", "Taking the lab down"):
            self.site.store.delete_setting("wanted")
            await self.close()

    async def close(self) -> None:
        """End the lab with its daemon. The files stay; `sweep` removes them."""
        await self.works.cancel_all()
        await asyncio.gather(*(one.end() for one in self._clusters.values()))
        await asyncio.gather(*(one.close() for one in self._networks.values()))
        await self.site.supervisor.stop_all(grace=0.5)
        self.site.store.close()

    async def run_on_node(self, name: str, script: str) -> CommandResult:
        """A bash script as root on the node; see `commands`. Raises InvalidInputError too."""
        return await commands.run_on_node(self.find_node(name)[1], script)

    async def run_in_cluster(
        self, key: str, command: str, files: Mapping[str, bytes]
    ) -> CommandResult:
        """A bash command that finds kubectl and `files`; see `commands`."""
        cluster = self.find_cluster(key)
        plugged = self.site.store.get(PluggedNic, control_plane_name(key))
        assert plugged is not None
        return await commands.run_in_cluster(cluster, command, files, plugged.nic.primary)

    async def status(self) -> dict[str, Any]:
        """Desired beside observed, as JSON."""
        return lab_status(self.site, self.vnets(), list(self._clusters.values()))

    async def facts(self) -> dict[str, Any]:
        """What only the lab knows of its networks, as JSON; see `facts`."""
        return await lab_facts(self.site, self._networks.values(), list(self._clusters.values()))


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
