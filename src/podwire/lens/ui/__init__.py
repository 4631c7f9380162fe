"""The page: the wiring live, what a thing is made of, how a pod was born, a packet's way.

`serve` is the one door. It shows what `draw`, `explain` and `logs` say of a snapshot, and has no
layout and no judgement of its own. Where snapshots come from is handed over (`feed.Feed`).
"""

from __future__ import annotations

from podwire.lens.ui.feed import Feed
from podwire.lens.ui.server import serve

__all__ = ["Feed", "serve"]
