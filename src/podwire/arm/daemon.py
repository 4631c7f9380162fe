"""The lab's process with the endpoint in it: `python -m podwire.arm.daemon NAME`.

The lab knows nothing of the endpoint; this is where the two are put together.
"""

from __future__ import annotations

import asyncio
import sys

from podwire.arm.endpoint import Endpoint
from podwire.lab import daemon
from podwire.lab.lab import Lab
from podwire.lab.steps import StepEvent
from podwire.model.layout import LabLayout
from podwire.model.load_balancer import LoadBalancer


class ServedLab(Lab):
    """A lab that `az` can talk to for as long as it lives."""

    _endpoint: Endpoint | None = None

    async def open(self) -> None:
        await super().open()
        self._endpoint = await Endpoint.open(self.layout, self, _silent)
        await asyncio.sleep(0)  # operations that are gone on with have told the lab what they want

    async def close(self) -> None:
        """The endpoint first: what it is in the middle of is gone on with next time."""
        if self._endpoint is not None:
            await self._endpoint.close()
            self._endpoint = None
        await super().close()

    def load_balancers(self, vnet: str) -> tuple[LoadBalancer, ...]:
        """Those in the fabric of a VNet; none of one that does not run yet."""
        network = self.network(vnet)
        return network.balancers.balancers() if network.start.done else ()

    def versions(self) -> list[str]:
        """The one that this lab runs, once that is known."""
        version = self.site.materials.version
        return [version] if version else []


def _silent(event: StepEvent) -> None:
    """Whoever wants to hear listens to the lab's works."""


class ServedDaemon(daemon.Daemon):
    def __init__(self, layout: LabLayout) -> None:
        super().__init__(layout)
        self.lab = ServedLab(layout)


if __name__ == "__main__":
    sys.exit(daemon.main(sys.argv[1:], ServedDaemon))
