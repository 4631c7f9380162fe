"""Who holds which address: the ledger's values, and whether a lease's owner process still lives.

Must not know how they are stored, nor what a wiring is.
"""

from __future__ import annotations

import os
from _thread import _local, get_native_id
from dataclasses import dataclass
from typing import NamedTuple

from podwire.model.errors import KernelError

PENDING = "pending"
"""Taken; its network is being made by the owner process."""
ATTACHED = "attached"
"""In use. No process owns it."""
RELEASING = "releasing"
"""Its network is being removed by the owner process."""
OWN_IPAM = "azure-vnet-ipam"
_LONGEST_STAT = 4096


@dataclass(frozen=True, slots=True)
class Holder:
    """For whom an address is taken, and all that is needed to remove its network later.

    host_link: the pod's link on the host, "" when somebody else makes and removes the network.
    ipam: the plugin that the address came from; mac: the pod's; network: the configuration's name.
    """

    container_id: str
    ifname: str
    netns: str = ""
    pod_namespace: str = ""
    pod_name: str = ""
    network: str = ""
    host_link: str = ""
    mac: str = ""
    bridge: str = ""
    ipam: str = OWN_IPAM


@dataclass(frozen=True, slots=True)
class Lease:
    """An address that is held. since: Unix time; container_id: "" when found in the kernel alone.

    address: without prefix length, "" until another IPAM plugin has given one. address6, subnet6,
    gateway6: its IPv6 address beside that, "" without one.
    """

    id: int
    address: str
    subnet: str
    gateway: str
    state: str
    container_id: str
    ifname: str
    netns: str
    pod_namespace: str
    pod_name: str
    network: str
    host_link: str
    mac: str
    bridge: str
    ipam: str
    owner_pid: int
    owner_start: int
    since: float
    address6: str = ""
    subnet6: str = ""
    gateway6: str = ""

    @property
    def cidr(self) -> str:
        """The address with its subnet's prefix length; 32 while only the kernel told of it."""
        return f"{self.address}/{self.subnet.partition('/')[2] or 32}"

    @property
    def cidr6(self) -> str:
        """The same of IPv6; "" without one."""
        return self.address6 and f"{self.address6}/{self.subnet6.partition('/')[2]}"

    @property
    def unknown(self) -> bool:
        """Whether no source lists an address of it: the kernel alone told of it."""
        return not self.subnet or bool(self.address6 and not self.subnet6)

    @property
    def abandoned(self) -> bool:
        """Whether its owner died in the middle of the work."""
        if self.state == ATTACHED:
            return False
        return process_start(self.owner_pid) != self.owner_start


@dataclass(frozen=True, slots=True)
class Pool:
    """A subnet's addresses on one card. mac, primary: the card's MAC, the node's own address.

    total: addresses that the source lists; held: of those, by leases; refreshed: seconds since the
    source was asked, None when never.
    """

    subnet: str
    gateway: str
    mac: str
    primary: str
    total: int
    held: int
    refreshed: float | None

    @property
    def free(self) -> int:
        return self.total - self.held


class MainPool(NamedTuple):
    """The pool that pods get their addresses from; of "" when no source has told yet.

    subnet6: the card's IPv6 subnet that gives each pod a second address, "" when none does.
    dual_stack: whether one does, or did for a pod that still has it.
    """

    subnet: str
    mac: str
    subnet6: str
    dual_stack: bool


class Glance(NamedTuple):
    """What most calls ask the ledger first, as it was at one moment.

    unfinished: leases that some call works on, or did; heard: when the source was, on the ledger's
    clock, None for never; source: its name; free: how many pods the pool serves, up to a few.
    """

    unfinished: list[Lease]
    heard: float | None
    source: str
    free: int
    pool: MainPool


@dataclass(frozen=True, slots=True)
class AddressState:
    """An address of the node. listed: the source has it; mac: the card's.

    freed: seconds since it was last given back, None when never; held: a lease has it.
    """

    address: str
    subnet: str
    mac: str
    listed: bool
    freed: float | None
    held: bool


@dataclass(frozen=True, slots=True)
class Survivor:
    """An address in use that the kernel shows: what a lost ledger is rebuilt from."""

    address: str
    mac: str
    host_link: str
    bridge: str
    address6: str = ""


def process_start(pid: int) -> int:
    """When the process or thread started, in clock ticks since boot; 0 when it is gone.

    Source: proc_pid_stat(5), fields 3 and 22; the name in field 2 may hold anything.
    """
    try:
        file = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        try:
            fields = os.read(file, _LONGEST_STAT).rpartition(b")")[2].split()
        finally:
            os.close(file)
    except OSError:
        return 0
    return 0 if fields[0] in (b"Z", b"X") else int(fields[19])


def own_id() -> int:
    """Who owns what this call takes: the thread, in a plugin's process the same as the process.

    The agent's calls are threads of one process. As owners they are told apart, and a call that
    ends without having undone its work leaves it to any other, as a process would.
    """
    return get_native_id()


def own_start() -> int:
    """The calling thread's start. Raises KernelError when /proc does not show it."""
    me = own_id()
    if getattr(_own, "id", 0) != me:  # the first time, or a fork's child
        _own.start, _own.id = process_start(me), me
    start: int = _own.start
    if not start:
        _own.id = 0
        raise KernelError(f"/proc does not show this process ({me}); mount /proc")
    return start


_own = _local()
