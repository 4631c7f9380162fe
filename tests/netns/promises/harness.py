"""Calls in forked children, the doors they go through, what ledger and kernel say afterwards."""

from __future__ import annotations

import json
import os
import signal
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest

from podwire.cni.azure_vnet import AzureVnet
from podwire.cni.protocol import answer
from podwire.cni.settings import Settings
from podwire.ipam.database import Database
from podwire.ipam.lease import Lease
from podwire.kernel import nft, sysctl
from podwire.kernel.netlink import NetlinkSocket
from podwire.kernel.netns import NetNamespace
from podwire.kernel.nfnetlink import NfNetlink
from podwire.kernel.rtnetlink import RtNetlink
from podwire.model.errors import KernelError, UnavailableError

from ..cni.node import CONFIG, WIRE_SERVER, Node, Pod, reach

T = TypeVar("T")
OK = b"HTTP/1.0 200 OK"


@dataclass
class Said:
    """What a call answered: the document (None: nothing) and the exit status."""

    document: dict[str, Any] | None
    status: int

    @property
    def address(self) -> str:
        assert self.document is not None, self
        assert self.status == 0, self
        return str(self.document["ips"][0]["address"]).partition("/")[0]


def call(
    node: Node,
    verb: str,
    pod: Pod,
    config: dict[str, Any] | None = None,
    settings: Settings | None = None,
) -> Said:
    """The plugin's whole process but its exec, in a forked child inside the node."""
    text = forked(node, lambda: _answered(node, verb, pod, config or CONFIG, settings))
    assert isinstance(text, str), f"{verb} did not answer: {text}"
    return Said(**json.loads(text))


def _answered(
    node: Node, verb: str, pod: Pod, config: dict[str, Any], settings: Settings | None = None
) -> str:
    environment = node.environment(verb, pod)
    body = json.dumps(config).encode()
    document, status = answer(
        "azure-vnet", lambda: AzureVnet(settings or node.settings), environment, lambda: body
    )
    return json.dumps({"document": document, "status": status})


def forked(node: Node, work: Callable[[], str]) -> str | int:
    """What `work` returns in a child; the signal's number when it was killed."""
    source, sink = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with node.netns.entered():
                os.write(sink, work().encode())
            os._exit(0)
        except BaseException:  # noqa: BLE001  a child must never return into pytest
            traceback.print_exc()
            os._exit(1)
    os.close(sink)
    with os.fdopen(source) as pipe:
        text = pipe.read()
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status)
    assert status == 0, f"the child failed: {status}"
    return text


class Doors:
    """Counts what passes the few doors to the kernel and to the journal; ends the process there.

    at: the number of the moment, from 1, at which this process is killed; 0: never. A moment lies
    before and after each netlink request, sysctl, run of nft, and ledger transaction, and inside
    each transaction just before it is committed.
    """

    def __init__(self, at: int = 0) -> None:
        self._at = at
        self.moments: list[str] = []

    def moment(self, name: str) -> None:
        self.moments.append(name)
        if len(self.moments) == self._at:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self, patch: pytest.MonkeyPatch) -> None:
        for owner, name in (
            (NetlinkSocket, "_send"),
            (nft, "_run_nft"),
            (sysctl, "write"),
        ):
            patch.setattr(owner, name, self._around(name.strip("_"), getattr(owner, name)))
        run, make = Database.run, Database._make
        patch.setattr(Database, "run", self._transaction("ledger", run))
        patch.setattr(Database, "_make", self._making(make))

    def _around(self, name: str, original: Callable[..., T]) -> Callable[..., T]:
        def work(*args: Any, **named: Any) -> T:
            self.moment(f"before {name}")
            result = original(*args, **named)
            self.moment(f"after {name}")
            return result

        return work

    def _transaction(self, name: str, original: Callable[..., T]) -> Callable[..., T]:
        def run(database: Database, work: Callable[..., T]) -> T:
            return self._around(name, original)(database, self._uncommitted(name, work))

        return run

    def _making(self, original: Callable[..., None]) -> Callable[..., None]:
        def make(database: Database, connection: object, create: Callable[..., None]) -> None:
            around = self._around("new ledger", original)
            around(database, connection, self._uncommitted("new ledger", create))

        return make

    def _uncommitted(self, name: str, work: Callable[..., T]) -> Callable[..., T]:
        def inside(*args: Any) -> T:
            result = work(*args)
            self.moment(f"in {name}")
            return result

        return inside


def watched(
    node: Node, verb: str, pod: Pod, at: int = 0, config: dict[str, Any] | None = None
) -> list[str]:
    """The moments of a call; with `at` it is killed at that moment, and there are none to tell."""

    def work() -> str:
        doors = Doors(at)
        with pytest.MonkeyPatch.context() as patch:
            doors.watch(patch)
            said = json.loads(_answered(node, verb, pod, config or CONFIG))
        assert said["status"] == 0, said
        return json.dumps(doors.moments)

    text = forked(node, work)
    if isinstance(text, int):
        assert text == signal.SIGKILL
        assert at
        return []
    return list(json.loads(text))


def leases(node: Node) -> list[Lease]:
    """None as well while no call has made the ledger (again)."""
    with node.ledger() as ledger, suppress(UnavailableError):
        return ledger.leases()
    return []


def elements(netns: NetNamespace, name: str) -> dict[str, str | None]:
    with NfNetlink(netns) as door:
        try:
            return door.elements("bridge", "azure-vnet", name)
        except KernelError:
            return {}


def neighbours(node: Node) -> dict[str, str]:
    with RtNetlink(node.netns) as door:
        bridge = door.link("azure0")
        known = door.neighbours(bridge.ifindex) if bridge else []
    return {one.ip: one.mac for one in known if one.permanent}


def agree(node: Node, pods: list[Pod]) -> None:
    """Ledger, links, MAC NAT, neighbours and the wire server tell of these pods and no other."""
    held = leases(node)
    assert sorted(one.container_id for one in held) == sorted(one.id for one in pods)
    assert {one.state for one in held} <= {"attached"}
    assert len({one.address for one in held}) == len(held)
    assert {one.address for one in held} <= set(node.wire_server.addresses)
    assert sorted(node.azv_links()) == sorted(one.host_link for one in held)
    macs = {one.address: one.mac for one in held}
    assert elements(node.netns, "pod_mac") == macs
    assert set(elements(node.netns, "loop")) == {
        f"{one.host_link} . {one.host_link}" for one in held
    }
    assert neighbours(node) == macs


def usable(node: Node, pod: Pod) -> None:
    """Its address answers and asks: through the NIC, and from the node."""
    assert reach(pod.netns, WIRE_SERVER) == OK


def bare(node: Node) -> None:
    """Nothing of any pod is left on the node."""
    agree(node, [])
