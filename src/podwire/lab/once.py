"""Work that is done once, however many ask for it at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from podwire.model.progress import Progress


class Once:
    """A step's work, done by the first who needs it; the others wait. What failed is tried anew."""

    def __init__(self, work: Callable[[Progress], Awaitable[None]]) -> None:
        self._work = work
        self._lock = asyncio.Lock()
        self.done = False

    async def __call__(self, progress: Progress) -> None:
        async with self._lock:
            if not self.done:
                await self._work(progress)
                self.done = True
