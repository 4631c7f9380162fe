"""What all parts of one lab share."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from podwire.cluster.cgroups import LabCgroups
from podwire.kernel.process import Program, Supervisor
from podwire.lab.materials import Materials
from podwire.lab.store import Store
from podwire.model.layout import LabLayout


@dataclass(slots=True)
class Site:
    """Where a lab is, what it wants, and who runs its programs."""

    layout: LabLayout
    store: Store
    supervisor: Supervisor
    cgroups: LabCgroups
    materials: Materials

    def mac_of(self, name: str) -> str:
        """A MAC with Azure's vendor prefix, the same whenever the NIC is made again."""
        tail = hashlib.sha256(f"{self.layout.name}/{name}".encode()).digest()[:3]
        return "00:0d:3a:" + tail.hex(":")

    async def run(self, program: Program, group: str) -> None:
        """Start and supervise it, in the cgroups of that name."""
        await self.supervisor.start(replace(program, cgroups=self.cgroups.group(group)))
