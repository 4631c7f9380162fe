"""The order of work: programs and API servers run while this process reads the kernel."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from threading import Lock

from podwire.kernel.inhabitants import inhabited
from podwire.kernel.netns import NetNamespace
from podwire.kernel.procnet import socket_owners
from podwire.lens.collect.changes import changes_of_ledger, changes_of_space
from podwire.lens.collect.doors import Door, Place, Site
from podwire.lens.collect.filters import read_filters, with_filters
from podwire.lens.collect.kubernetes import ask
from podwire.lens.collect.naming import named, with_spaces
from podwire.lens.collect.node import Machine, NodeSeen, read_node
from podwire.lens.collect.peers import with_peers
from podwire.lens.collect.spaces import Seen, read_space
from podwire.lens.snapshot import Node, Snapshot
from podwire.model.errors import KernelError

_PROGRAMS = 12
_READERS = 8


def collect(site: Site, say: Callable[[str], None] = lambda _: None) -> Snapshot:
    """Everything that the site has, now. say: is told what is being read.

    Call as root, who sees the nodes' processes. Never fails: `unread` and `changed` tell.
    """
    taken, begun = time.time(), time.monotonic()
    with (
        ThreadPoolExecutor(_PROGRAMS) as programs,
        ThreadPoolExecutor(_READERS) as readers,
        ExitStack() as stack,
    ):
        return replace(
            _Collection(site, programs, readers, stack, say).read(taken),
            took=time.monotonic() - begun,
        )


@dataclass(slots=True)
class _Collection:
    """One collection. stack: closes what was opened."""

    site: Site
    programs: Executor
    readers: Executor
    stack: ExitStack
    say: Callable[[str], None]
    changed: list[str] = field(default_factory=list)

    def read(self, taken: float) -> Snapshot:
        self.say("asking the API server")
        asked = [self.readers.submit(ask, one, self.programs) for one in self.site.apis]
        self.say("reading nodes and pods")
        nodes, places = self._spaces()
        self.say("waiting for the API server")
        clusters = [one.result() for one in asked]
        nodes = [named(one, clusters) for one in nodes]
        seen = [*(space for one in nodes for space in one.spaces), *places]
        spaces = with_peers(_once(seen))
        self._look_again(nodes, places)
        known = [one.node for one in nodes]
        return Snapshot(
            taken=taken,
            took=0.0,
            lab=self.site.lab,
            nodes=tuple(known),
            spaces=spaces,
            clusters=tuple(with_spaces(one, known, spaces) for one in clusters),
            vnets=self.site.vnets,
            changed=tuple(self.changed),
        )

    def _spaces(self) -> tuple[list[NodeSeen], list[Seen]]:
        machine = Machine(inhabited(), _Once(_owners), self.programs)
        nodes = [self.readers.submit(self._node, one, machine) for one in self.site.doors]
        places = [self.readers.submit(self._place, one, machine) for one in self.site.places]
        return [one.result() for one in nodes], [one for each in places if (one := each.result())]

    def _node(self, door: Door, machine: Machine) -> NodeSeen:
        try:
            host = self.stack.enter_context(NetNamespace.open(door.netns))
            seen = read_node(door, host, machine)
        except KernelError as error:
            return _gone(door, error)
        for one in seen.spaces[1:]:
            self.stack.enter_context(one.namespace)
        return seen

    def _place(self, place: Place, machine: Machine) -> Seen | None:
        """None: it went."""
        try:
            space = self.stack.enter_context(NetNamespace.open(place.netns))
        except KernelError as error:
            self.changed.append(f"{place.id or place.kind} went: {error}")
            return None
        filters = self.programs.submit(read_filters, space)
        seen = read_space(place.id or f"space/{space.inode}", place.kind, space, machine.owners)
        return replace(seen, space=with_filters(seen.space, filters.result()))

    def _look_again(self, nodes: Iterable[NodeSeen], places: Iterable[Seen]) -> None:
        doors = {one.name: one for one in self.site.doors}
        for one in nodes:
            for seen in one.spaces[:1]:
                self.changed.extend(changes_of_space(seen))
                self.changed.extend(changes_of_ledger(doors[one.node.name], one.node))
        for seen in places:
            self.changed.extend(changes_of_space(seen))


def _gone(door: Door, error: KernelError) -> NodeSeen:
    """A node that cannot be read: what is known of it is that."""
    node = Node(door.name, f"node/{door.name}", cluster=door.cluster, facts={"unread": str(error)})
    return NodeSeen(node, ())


def _once(seen: Iterable[Seen]) -> list[Seen]:
    """A namespace that two ways led to is there once, as the first had it."""
    return list({one.space.inode: one for one in reversed(list(seen))}.values())[::-1]


def _owners() -> dict[int, str]:

    return socket_owners(int(one) for one in os.listdir("/proc") if one.isdecimal())


class _Once:
    """Reads when it is called first, by whichever thread."""

    def __init__(self, read: Callable[[], Mapping[int, str]]) -> None:
        self._read, self._lock = read, Lock()
        self._known: Mapping[int, str] | None = None

    def __call__(self) -> Mapping[int, str]:
        with self._lock:
            if self._known is None:
                self._known = self._read()
            return self._known
