"""Where the page's snapshots come from, as functions: a lab, a node, or a file.

Must not know which.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from podwire.lens.snapshot import Snapshot
from podwire.model.errors import UnavailableError


def _no_bells() -> Sequence[str]:
    return ()


def _no_log(node: str) -> str:
    raise UnavailableError(
        f"the log of {node} is not in a snapshot: run `podwire ui` where the node is"
    )


@dataclass(frozen=True, slots=True)
class Feed:
    """take: the snapshot of now; blocks, may raise PodwireError. live: whether it can change.

    bells: paths of the network namespaces whose changes matter. log: text of a node's
    azure-vnet.log, "" without one; may raise PodwireError. All are called in threads.
    """

    take: Callable[[], Snapshot]
    live: bool = False
    bells: Callable[[], Sequence[str]] = _no_bells
    log: Callable[[str], str] = _no_log
