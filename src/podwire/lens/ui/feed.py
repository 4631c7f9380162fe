"""Where the page's snapshots come from, as functions: a lab, a node, or a file.

Must not know which.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from podwire.lens.kube_values import Cluster
from podwire.lens.snapshot import Snapshot
from podwire.model.errors import UnavailableError


def _nothing() -> tuple[()]:
    return ()


def _no_bells() -> Mapping[str, str]:
    return {}


def _no_log(node: str) -> str:
    raise UnavailableError(
        f"the log of {node} is not in a snapshot: run `podwire ui` where the node is"
    )


@dataclass(frozen=True, slots=True)
class Feed:
    """take: the snapshot of now, its clusters as they were told last; of these nodes alone, or of
    everything for None. live: whether it can change.

    clusters: what the API servers have now. bells: path of each network namespace whose changes
    matter, and the node that they concern, "" for everything. watches: commands that print
    something whenever an API server's objects change. log: text of a node's azure-vnet.log, ""
    without one. All but live are called in threads; each may block, and raise PodwireError.
    """

    take: Callable[[Sequence[Cluster], Collection[str] | None], Snapshot]
    live: bool = False
    clusters: Callable[[], Sequence[Cluster]] = _nothing
    bells: Callable[[], Mapping[str, str]] = _no_bells
    watches: Callable[[], Sequence[tuple[str, ...]]] = _nothing
    log: Callable[[str], str] = _no_log


def of_file(taken: Snapshot) -> Feed:
    """Of a snapshot that was saved."""
    return Feed(lambda clusters, nodes: taken)
