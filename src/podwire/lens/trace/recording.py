"""Everything that is seen while a packet is on its way: frames, rules, counters of all namespaces.

All that it adds to a kernel are sockets, and a table that is gone with its socket.
"""

from __future__ import annotations

import select
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field

from podwire.kernel.capture import Capture, Instruction, await_stamps
from podwire.kernel.dropcounters import read_counters
from podwire.kernel.netns import NetNamespace
from podwire.kernel.nftrace import Event, Match, Tracer
from podwire.lens.trace.values import Captured
from podwire.model.errors import KernelError

_EVENTS = 10_000
"""The newest are kept: while real traffic is watched, most are of packets that nobody asked for."""


@dataclass(slots=True)
class Recording:
    """counters: what rose meanwhile, by space and name. unseen: what could not be looked at."""

    frames: list[Captured] = field(default_factory=list)
    events: dict[str, deque[Event]] = field(default_factory=dict)
    counters: dict[str, dict[str, int]] = field(default_factory=dict)
    unseen: list[str] = field(default_factory=list)


class Recorder:
    """A context manager: it records inside the block, `recording` has it all behind it."""

    def __init__(
        self,
        places: Mapping[str, NetNamespace],
        program: Sequence[Instruction],
        matches: Sequence[Match],
    ) -> None:
        self._places, self._program, self._matches = places, program, matches
        self._captures: dict[str, Capture] = {}
        self._tracers: dict[str, Tracer] = {}
        self._before: dict[str, dict[str, int]] = {}
        self._stack = ExitStack()
        self._began = 0
        self.recording = Recording()

    def __enter__(self) -> Recorder:
        """Raises KernelError when nothing can be captured at all."""
        try:
            for space, namespace in self._places.items():
                self._captures[space] = Capture(namespace, self._program)
                self._stack.callback(self._captures[space].close)
                self._trace(space, namespace)
                self._before[space] = read_counters(namespace)
        except KernelError:
            self._stack.close()
            raise
        await_stamps()
        self._began = time.time_ns()
        return self

    def _trace(self, space: str, namespace: NetNamespace) -> None:
        if not self._matches:
            return
        try:
            self._tracers[space] = Tracer(namespace, self._matches)
            self._stack.callback(self._tracers[space].close)
        except KernelError as error:
            self.recording.unseen.append(f"nftables of {space} cannot be traced: {error}")

    def watch(self, found: Callable[[Captured], bool], seconds: float) -> bool:
        """Wait until a frame is `found`; False when none was within so many seconds."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            select.select(list(self._captures.values()), [], [], min(left, 0.05))
            before = len(self.recording.frames)
            self._drain()
            if any(found(one) for one in self.recording.frames[before:]):
                return True
        return False

    def _drain(self) -> None:
        """What passed before all were looking would seem to have come from nowhere."""
        for space, capture in self._captures.items():
            frames = (Captured(one.at, space, *one[1:]) for one in capture.frames())
            self.recording.frames += (one for one in frames if one.at >= self._began)
        for space, tracer in self._tracers.items():
            self.recording.events.setdefault(space, deque(maxlen=_EVENTS)).extend(tracer.events())

    def __exit__(self, *_: object) -> None:
        self._drain()
        for space, before in self._before.items():
            after = read_counters(self._places[space])
            rose = {name: after[name] - old for name, old in before.items() if name in after}
            self.recording.counters[space] = {name: by for name, by in rose.items() if by > 0}
        self._close()

    def _close(self) -> None:
        """The kernel waits a while for each: all at once."""
        closing = [one.close for one in self._captures.values()]
        closing += [one.close for one in self._tracers.values()]
        self._stack.pop_all()
        with ThreadPoolExecutor(len(closing) or 1) as threads:
            list(threads.map(lambda close: close(), closing))
