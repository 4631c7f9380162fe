"""Calls in forked children, and what ledger and kernel say afterwards."""

from __future__ import annotations

import json
import os
import signal
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest

from podwire.cni.azure_vnet import AzureVnet
from podwire.cni.protocol import answer
from podwire.cni.settings import Settings
from podwire.ipam.lease import ATTACHED, Lease
from podwire.kernel.netns import NetNamespace
from podwire.kernel.nfnetlink import NfNetlink
from podwire.kernel.rtnetlink import RtNetlink
from podwire.model.errors import KernelError, UnavailableError

from ..cni.node import WAIT, WIRE_SERVER, Node, Pod, reach
from .doors import Doors

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
    text = forked(node, lambda: _answered(node, verb, pod, config or node.config, settings))
    assert isinstance(text, str), f"{verb} did not answer: {text}"
    return Said(**json.loads(text))


def asked(node: Node, verb: str, pod: Pod) -> Said:
    """What the node's own executable answers: the plugin, or the shim before it."""
    answer = node.call(verb, pod)
    return Said(json.loads(answer.stdout) if answer.stdout else None, answer.status)


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


def watched(
    node: Node, verb: str, pod: Pod, at: int = 0, config: dict[str, Any] | None = None
) -> list[str]:
    """The moments of a call; with `at` it is killed at that moment, and there are none to tell."""

    def work() -> str:
        doors = Doors(at)
        with pytest.MonkeyPatch.context() as patch:
            doors.watch(patch)
            said = json.loads(_answered(node, verb, pod, config or node.config))
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


def settled(node: Node) -> list[Lease]:
    """The leases when nobody works on any: what a DEL of the agent left to its background is done.

    One whose owner is dead stays as it is: nobody works on that. Read again, lest its owner ended
    its work and then its life after the first reading.
    """
    deadline = time.monotonic() + WAIT
    while True:
        found = leases(node)
        idle = all(one.state == ATTACHED or one.abandoned for one in found)
        if idle and found == leases(node):
            return found
        assert time.monotonic() < deadline, f"still working: {found}"
        time.sleep(0.002)


def elements(netns: NetNamespace, name: str) -> dict[str, str | None]:
    with NfNetlink(netns) as door:
        try:
            return door.elements("bridge", "azure-vnet", name)
        except KernelError:
            return {}


def neighbours(node: Node) -> dict[str, str]:
    """Address -> MAC of each permanent neighbour on the bridge, or on a routed pod's link."""
    with RtNetlink(node.netns) as door:
        links = [one for one in door.links() if one.name == "azure0" or _routed(node, one.name)]
        known = [entry for one in links for entry in door.neighbours(one.ifindex)]
    return {one.ip: one.mac for one in known if one.permanent}


def routes(node: Node) -> dict[str, str]:
    """Address -> link of each pod's route; none in bridge mode."""
    with RtNetlink(node.netns) as door:
        names = {one.ifindex: one.name for one in door.links() if _routed(node, one.name)}
        return {
            one.dst.removesuffix("/32"): names[one.ifindex]
            for one in door.routes()
            if one.ifindex in names
        }


def _routed(node: Node, link: str) -> bool:
    return node.mode == "transparent" and link.startswith("azv")


def agree(node: Node, pods: list[Pod]) -> None:
    """Ledger, kernel and wire server tell of these pods and of no other."""
    held = settled(node)
    assert sorted(one.container_id for one in held) == sorted(one.id for one in pods)
    assert {one.state for one in held} <= {ATTACHED}
    assert len({one.address for one in held}) == len(held)
    assert {one.address for one in held} <= set(node.wire_server.addresses)
    assert sorted(node.azv_links()) == sorted(one.host_link for one in held)
    macs = {one.address: one.mac for one in held}
    assert neighbours(node) == macs
    if node.mode == "transparent":
        assert routes(node) == {one.address: one.host_link for one in held}
        return
    assert elements(node.netns, "pod_mac") == macs
    assert set(elements(node.netns, "loop")) == {
        f"{one.host_link} . {one.host_link}" for one in held
    }


def usable(node: Node, pod: Pod) -> None:
    """Its address answers and asks: through the NIC, and from the node."""
    assert reach(pod.netns, WIRE_SERVER) == OK


def bare(node: Node) -> None:
    """Nothing of any pod is left on the node."""
    agree(node, [])
