"""What every cluster of a lab is made of: programs, images, and whether docker.io answers.

Got once for all of them, when the first cluster needs it.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from podwire.cluster import containerd, registry, ssh
from podwire.cluster.images.build import build_images
from podwire.cluster.images.store import ImageSet
from podwire.cluster.kubernetes_binaries import KubernetesBinaries, find_kubernetes
from podwire.cluster.packages import ensure_installed, unpack
from podwire.lab import preflight
from podwire.lab.once import Once
from podwire.lab.steps import Step
from podwire.lab.store import Store
from podwire.model.layout import LabLayout
from podwire.model.progress import Progress, silent

DAEMONS = (*containerd.PACKAGES, "etcd-server")
"""Debian packages that are unpacked into the cache, never installed: each starts a service."""
OWN = Path(sys.executable).with_name("podwire")
"""The command, for people: on the machine and on the nodes."""


class Materials:
    """binaries and images are there when their steps are done; mirror: docker.io answers."""

    binaries: KubernetesBinaries
    images: ImageSet

    def __init__(self, layout: LabLayout, store: Store) -> None:
        self._layout, self._store = layout, store
        self.trees = layout.cache / "packages" / "daemons"
        self.ssh = layout.cache / "packages" / "ssh"
        self.mirror = False
        self._once = {
            "machine": Once(self._machine),
            "packages": Once(self._packages),
            "kubernetes": Once(self._kubernetes),
            "images": Once(self._images),
            "hub": Once(self._hub),
        }

    @property
    def version(self) -> str:
        """Of Kubernetes, as in v1.20.2; "" before it is known."""
        return self.binaries.version if self._once["kubernetes"].done else ""

    async def ready_machine(self) -> None:
        """This machine has been looked at: whatever makes a network namespace needs that first."""
        await self._once["machine"](silent)

    def steps(self) -> list[Step]:
        get = self._once
        return [
            Step("machine", "Look at this machine", get["machine"]),
            Step("packages", "Daemons from Debian packages", get["packages"], ("machine",)),
            Step("kubernetes", "Kubernetes programs", get["kubernetes"], ("machine",)),
            Step("images", "Container images", get["images"], ("packages",)),
            Step("hub", "Is there a registry?", get["hub"]),
        ]

    async def _machine(self, progress: Progress) -> None:
        def look() -> None:
            ensure_installed(preflight.TOOLS, progress)
            preflight.load_modules()
            preflight.check_kernel()

        await asyncio.to_thread(look)

    async def _packages(self, progress: Progress) -> None:
        await asyncio.to_thread(unpack, DAEMONS, self.trees, progress, cache=self._layout.cache)
        self.ssh = await asyncio.to_thread(ssh.ssh_packages, self._layout.cache, progress)

    async def _kubernetes(self, progress: Progress) -> None:
        wish = self._store.setting("kubernetes") or {}
        directory = wish.get("directory")

        def find() -> KubernetesBinaries:
            return find_kubernetes(
                cache=self._layout.cache,
                directory=Path(directory) if directory else None,
                version=wish.get("version") or None,
                progress=progress,
            )

        self.binaries = await asyncio.to_thread(find)
        for program in (self.binaries.program("kubectl"), OWN):
            link = self._layout.run / "bin" / program.name
            link.parent.mkdir(exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(program)

    async def _images(self, progress: Progress) -> None:
        self.images = await asyncio.to_thread(build_images, self._layout.cache, progress)

    async def _hub(self, _: Progress) -> None:
        """Whether docker.io can be asked: a machine without a network finds out within 5 s."""
        self.mirror = await asyncio.to_thread(registry.docker_hub_answers)
