"""Prove a packet's path: send one, or watch real traffic, and look at every hop at once.

With `collect` the one part of lens that touches a kernel: it sends, captures and traces, and leaves
nothing behind. What is seen becomes values in pure modules; `tracing.trace` is the door.
"""

from __future__ import annotations

from podwire.lens.trace.pcapng import pcapng
from podwire.lens.trace.tracing import Request, trace
from podwire.lens.trace.values import Captured, Cause, Outcome, RuleMet, Sighting, Trace

__all__ = [
    "Captured",
    "Cause",
    "Outcome",
    "Request",
    "RuleMet",
    "Sighting",
    "Trace",
    "pcapng",
    "trace",
]
