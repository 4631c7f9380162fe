"""Where to look: the namespaces that a packet may pass, opened. Chosen from the snapshot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack

from podwire.kernel.inhabitants import paths_of
from podwire.kernel.netns import NetNamespace
from podwire.lens.names import Target, Thing, service_of
from podwire.lens.snapshot import Snapshot
from podwire.lens.trace.strays import owns
from podwire.model.errors import KernelError

_ALWAYS = ("node", "fabric", "plane", "other")


def involved(
    snapshot: Snapshot, source: Thing, target: Target, foreseen: Iterable[str] = ()
) -> tuple[str, ...]:
    """Ids of the spaces: all that are no pod's, both ends, the pods behind the service, and who
    else has the address or one of a next hop. foreseen: more ids."""
    wanted = {source.space, target.thing.space, *_behind(snapshot, target), *foreseen}
    home = snapshot.space(source.space)
    addresses = {target.address, *(one.via for one in home.routes if one.via)} if home else set()
    return tuple(
        one.id
        for one in snapshot.spaces
        if one.kind in _ALWAYS
        or one.id in wanted
        or any(owns(one, address) for address in addresses)
    )


def _behind(snapshot: Snapshot, target: Target) -> Iterator[str]:
    pair = service_of(snapshot, target.service, target.address) if target.service else None
    if pair:
        pods = {one.key: one.space for one in pair[0].pods}
        yield from (pods.get(one.pod, "") for one in pair[1].endpoints)


def opened(
    snapshot: Snapshot, ids: Iterable[str], stack: ExitStack
) -> tuple[Mapping[str, NetNamespace], tuple[str, ...]]:
    """The namespaces by id, open as long as `stack`, and the ids of those that are gone."""
    wanted = set(ids)
    spaces = {one.id: one.inode for one in snapshot.spaces if one.id in wanted}
    paths = paths_of(set(spaces.values()))
    found: dict[str, NetNamespace] = {}
    for id_, inode in spaces.items():
        try:
            namespace = stack.enter_context(NetNamespace.open(paths.get(inode, "/nowhere")))
        except KernelError:
            continue
        if namespace.inode == inode:  # else its process ended and another has its number
            namespace.name = id_
            found[id_] = namespace
    return found, tuple(one for one in spaces if one not in found)
