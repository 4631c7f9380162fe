"""One node and its pods: the node's own space, and those of its pods, as they are now."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from podwire.cni.modes import shown_mode
from podwire.kernel.mountns import inside
from podwire.kernel.netns import NetNamespace
from podwire.kernel.rtnetlink import RtNetlink
from podwire.lens.collect.doors import Door
from podwire.lens.collect.filters import read_filters, with_filters
from podwire.lens.collect.inside import Inside, Sandbox, read_inside
from podwire.lens.collect.reading import Reading
from podwire.lens.collect.spaces import Seen, read_space
from podwire.lens.snapshot import Attachments, Node
from podwire.model.errors import KernelError


@dataclass(frozen=True, slots=True)
class Machine:
    """What is read once for all nodes. inhabited: inode of each namespace with processes -> one of
    them; owners: inode of a socket -> its program; programs: runs what waits for programs."""

    inhabited: Mapping[int, int]
    owners: Callable[[], Mapping[int, str]]
    programs: Executor


@dataclass(frozen=True, slots=True)
class NodeSeen:
    """node: without the ids of its pods. nameless: ids of namespaces that may be pods' or not."""

    node: Node
    spaces: tuple[Seen, ...]
    nameless: frozenset[str] = frozenset()


def read_node(door: Door, host: NetNamespace, machine: Machine) -> NodeSeen:
    """host: the node's namespace. Raises KernelError when nothing of it can be read."""
    space = f"node/{door.name}"
    filters = machine.programs.submit(read_filters, host)
    seen = read_space(space, "node", host, machine.owners)
    reading = Reading()
    within = reading.part("node", inside, door.pid, partial(read_inside, host.inode)) or _NOTHING
    mode = within.attachments.mode or reading.part(
        "mode", shown_mode, host, within.attachments.bridge
    )
    pods = [*within.sandboxes, *_by_process(seen, within.sandboxes, machine.inhabited)]
    spaces = [_read_pod(one, machine) for one in pods]
    inhabited = (one.namespace.inode for one in pods if one.namespace.inode in machine.inhabited)
    node = Node(
        name=door.name,
        space=space,
        attachments=replace(
            within.attachments, mode=mode or "", inhabited=tuple(sorted(inhabited))
        ),
        cluster=door.cluster,
        facts=within.facts,
    )
    more = {**within.unread, **reading.unread}
    own = replace(
        with_filters(seen.space, filters.result()),
        resolv_conf=within.resolv_conf,
    )
    own = replace(own, unread={**own.unread, **more})
    nameless = frozenset(one.space.id for one in spaces if one.space.id.startswith("space/"))
    return NodeSeen(node, (replace(seen, space=own), *spaces), nameless)


_NOTHING = Inside(Attachments(), (), "", {})


def _read_pod(pod: Sandbox, machine: Machine) -> Seen:
    namespace = pod.namespace
    pid = machine.inhabited.get(namespace.inode)
    seen = read_space(_id(pod), "pod", namespace, machine.owners, _resolv_conf(pid))
    return replace(seen, space=with_filters(seen.space, read_filters(namespace, deep=False)))


def _id(pod: Sandbox) -> str:
    if pod.pod or pod.container_id:
        return f"pod/{pod.pod or pod.container_id}"
    return f"space/{pod.namespace.inode}"


def _resolv_conf(pid: int | None) -> str:
    """As the processes of the namespace see it; "" where none lives."""
    with suppress(OSError):
        if pid is not None:
            with open(
                f"/proc/{pid}/root/etc/resolv.conf", encoding="utf-8", errors="replace"
            ) as file:
                return file.read()
    return ""


def _by_process(
    host: Seen, known: Iterable[Sandbox], inhabited: Mapping[int, int]
) -> Iterator[Sandbox]:
    """Those at other ends of the node's veth pairs that no record tells of: processes do."""
    numbers = {one.link.peer_nsid for one in host.links.values() if one.link.kind == "veth"}
    seen = {host.namespace.inode, *(one.namespace.inode for one in known)}
    with RtNetlink(host.namespace) as door:
        for inode, pid in inhabited.items():
            if inode in seen:
                continue
            with suppress(KernelError):
                namespace = NetNamespace.open(pid)
                number = door.nsid(namespace)
                if number is not None and number in numbers and namespace.inode == inode:
                    yield Sandbox(namespace)
                else:
                    namespace.close()
