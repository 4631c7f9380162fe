"""What is read with a node's own eyes: its ledger, its runtime, its files, its pods' namespaces.

`read_inside` is run by a thread that sees the node's mounts (`kernel.mountns`), where the node's
/proc does not show that thread: nothing here may enter a namespace.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from podwire import __version__
from podwire.cni import modes, networklist
from podwire.cni.containers import Containers, look
from podwire.cni.install import LIB_DIR
from podwire.cni.runtime import all_attachments
from podwire.cni.settings import SOCKET
from podwire.ipam.keeper import Keeper
from podwire.ipam.lease import Lease
from podwire.ipam.ledger import STATE_DIR
from podwire.kernel.netns import NetNamespace
from podwire.lens.collect.reading import Reading
from podwire.lens.snapshot import Attachments, KeptResult, Reserved
from podwire.model.errors import KernelError, UnavailableError

NAMED = ("/var/run/netns", "/var/run/docker/netns")
"""Where runtimes and `ip netns` keep namespaces."""
HOST_LOCAL = "/var/lib/cni/networks"
"""Where host-local holds addresses, when its configuration names no dataDir."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A pod's namespace, open. container_id, pod ("NAMESPACE/NAME"): "" where not told."""

    namespace: NetNamespace
    container_id: str = ""
    pod: str = ""


@dataclass(frozen=True, slots=True)
class Inside:
    """sandboxes: no namespace twice, the node's own not among them."""

    attachments: Attachments
    sandboxes: tuple[Sandbox, ...]
    resolv_conf: str
    facts: dict[str, str]
    unread: dict[str, str] = field(default_factory=dict)


def read_inside(own: int) -> Inside:
    """own: the inode of the node's own network namespace."""
    reading = Reading()
    attachments = reading.part("ledger", _ledger) or Attachments()
    containers = reading.part("runtime", look) or Containers(None, "it could not be asked")
    conflist = reading.part("conflist", _conflist) or ("", "")
    mode, bridge = attachments.mode, attachments.bridge
    if not mode and (theirs := _kubenet_bridge(conflist[1])):
        mode, bridge = "kubenet", theirs
    return Inside(
        Attachments(
            has_ledger=attachments.has_ledger,
            mode=mode,
            bridge=bridge,
            leases=attachments.leases,
            addresses=attachments.addresses,
            pools=attachments.pools,
            pods=None if containers.ids is None else tuple(sorted(containers.ids)),
            told_by=containers.told_by,
            kept=tuple(
                KeptResult(
                    *(one.path, one.network, one.container_id, one.ifname, one.addresses),
                    one.netns,
                )
                for one in containers.kept
            ),
            conflist=conflist,
            own=tuple(sorted(containers.own)),
            abandoned=attachments.abandoned,
            reserved=tuple(_reserved(conflist[1])) if mode == "kubenet" else (),
        ),
        tuple(_opened(_named(attachments.leases, containers), own)),
        reading.part("resolv_conf", _resolv_conf) or "",
        _facts(),
        reading.unread,
    )


def leases() -> tuple[Lease, ...]:
    """The ledger's, () without one."""
    with suppress(UnavailableError), Keeper.open(STATE_DIR, create=False, wait=1.0) as keeper:
        return tuple(keeper.leases())
    return ()


def _ledger() -> Attachments:
    try:
        with Keeper.open(STATE_DIR, create=False, wait=1.0) as keeper:
            held = tuple(keeper.leases())
            bridges = (one.bridge for one in held if one.bridge)
            return Attachments(
                has_ledger=True,
                mode=modes.noted_mode(keeper),
                bridge=next(bridges, modes.DEFAULT_BRIDGE),
                leases=held,
                addresses=tuple(keeper.addresses()),
                pools=tuple(keeper.pools()),
                abandoned=tuple(one.id for one in held if one.abandoned),
            )
    except UnavailableError:
        return Attachments()


def _conflist() -> tuple[str, str]:
    """Path and text of what a runtime takes; ("", "") where there is none."""
    with suppress(FileNotFoundError):
        path = networklist.first_file(networklist.CONF_DIR)
        if path is not None:
            with open(path, encoding="utf-8", errors="replace") as file:
                return path, file.read()
    return "", ""


def _kubenet_bridge(conflist: str) -> str:
    """The bridge of a node whose pods the reference plugin `bridge` wires, else ""."""
    with suppress(ValueError, LookupError, TypeError, AttributeError):
        first: dict[str, Any] = json.loads(conflist)["plugins"][0]
        if first["type"] == "bridge":
            return str(first.get("bridge", "cni0"))
    return ""


def _reserved(conflist: str) -> Iterator[Reserved]:
    """What host-local holds for this network. Source: its backend/disk (a file for each address:
    the container's id, and the interface, on lines of their own)."""
    directory = os.path.join(HOST_LOCAL, str(json.loads(conflist).get("name", "")))
    now = time.time()
    with suppress(OSError):
        for name in sorted(os.listdir(directory)):
            path = os.path.join(directory, name)
            with suppress(OSError, ValueError), open(path, encoding="utf-8") as file:
                ip_address(name)
                held, age = file.read().split(), now - os.fstat(file.fileno()).st_mtime
                yield Reserved(path, name, held[0] if held else "", age)


def _named(held: Iterable[Lease], containers: Containers) -> Iterator[tuple[str, str, str]]:
    """(path of a namespace, container id, "NAMESPACE/NAME"), those that tell most first."""
    for lease in held:
        yield lease.netns, lease.container_id, _pod(lease.pod_namespace, lease.pod_name)
    for kept in containers.kept:
        yield kept.netns, kept.container_id, _pod(kept.pod_namespace, kept.pod_name)
    for one in all_attachments():
        yield one.netns, one.container_id, ""
    for directory in NAMED:
        with suppress(OSError):
            for name in sorted(os.listdir(directory)):
                yield os.path.join(directory, name), "", ""


def _pod(namespace: str, name: str) -> str:
    return f"{namespace}/{name}" if namespace and name else ""


def _opened(named: Iterable[tuple[str, str, str]], own: int) -> Iterator[Sandbox]:
    """Those that are still there."""
    seen = {own}
    for path, container_id, pod in named:
        if not path:
            continue
        with suppress(KernelError):
            namespace = NetNamespace.open(path)
            if namespace.inode in seen:
                namespace.close()
                continue
            seen.add(namespace.inode)
            yield Sandbox(namespace, container_id, pod)


def _resolv_conf() -> str:
    with open("/etc/resolv.conf", encoding="utf-8", errors="replace") as file:
        return file.read()


def _facts() -> dict[str, str]:
    with suppress(OSError):
        codes = sorted(one for one in os.listdir(LIB_DIR) if one.startswith("podwire-"))
        plugin = ", ".join(one.removeprefix("podwire-") for one in codes if one != "podwire-agent")
        return {**_common(), "plugin": plugin}
    return _common()


def _common() -> dict[str, str]:
    return {"kernel": os.uname().release, "podwire": __version__, "agent": _agent()}


def _agent() -> str:
    """Whether somebody listens where the shims ask."""
    with socket.socket(socket.AF_UNIX) as door:
        door.settimeout(0.5)
        try:
            door.connect(SOCKET)
        except OSError as error:
            return f"does not answer at {SOCKET}: {error.strerror or error}"
    return f"answers at {SOCKET}"
