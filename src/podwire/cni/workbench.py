"""What a call works with: the node's namespace, the ledger, the log. Made for one call here.

The agent has one that lasts (`agent/resident.py`). Must not know what a call does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from podwire.cni.log import Log
from podwire.cni.settings import Settings
from podwire.ipam.lease import Survivor
from podwire.ipam.ledger import Ledger
from podwire.kernel.netns import NetNamespace

if TYPE_CHECKING:
    from podwire.cni.node_cache import NodeCache

Survivors = Callable[[], Iterable[Survivor]]
Later = Callable[[Callable[[], None]], None]


class Workbench:
    """Of a process that lives for one call."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.nodes: NodeCache[Any] | None = None
        """What `node.py` keeps between calls; None: nothing."""
        self.later: Later | None = None
        """Takes what the caller need not wait for, where somebody stays to do it."""

    def host(self) -> AbstractContextManager[NetNamespace]:
        """The node's namespace, which this process is in. Raises KernelError."""
        return NetNamespace.current()

    def ledger(self, survivors: Survivors) -> AbstractContextManager[Ledger]:
        """Made from `survivors` if there is none. Raises CniError 5, 11."""
        return Ledger.open(
            self.settings.state_dir, survivors=survivors, wait=self.settings.lock_wait
        )

    def log(self, plugin: str) -> Log:
        return Log.of(self.settings, plugin)
