"""The path that a packet would take, computed from a snapshot alone.

Must not touch a kernel. `explain` is the one door; what it returns stands in `values`.
"""

from __future__ import annotations

from podwire.lens.explain.explaining import explain
from podwire.lens.explain.values import Branch, Culprit, Entry, Explanation, Hop, Packet, Verdict

__all__ = ["Branch", "Culprit", "Entry", "Explanation", "Hop", "Packet", "Verdict", "explain"]
