"""The uplink's DNS on a machine with systemd-resolved: Debian's own, with its own D-Bus."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from podwire.cni import card, resolved
from podwire.cni import migrate as mover
from podwire.cni import node as nodes
from podwire.cni.azure_vnet import AzureVnet
from podwire.cni.migrate import migrate, uninstall
from podwire.model.cni import Request

from .furnished import program, wait_for
from .node import (
    CONFIG,
    NODE_IP,
    WIRE_SERVER,
    Node,
    Pod,
    build,
    deliver_by_table,
    put_plugins,
    reach,
    set_mode,
)
from .resolved_machine import SETTINGS, Machine, with_resolved

_NETWORK = f"""[Match]
Name=eth0
[Network]
KeepConfiguration=yes
DNS={WIRE_SERVER}
DNS=10.0.0.10
Domains=internal.cloudapp.net ~corp.example
LLMNR=no
IPv6AcceptRA=no
LinkLocalAddressing=no
"""


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    assert os.geteuid() == 0, "these tests make network namespaces: run them as root"
    with ExitStack() as stack:
        node = build(tmp_path, stack)
        deliver_by_table(node)
        yield with_resolved(node, stack)


def leave(node: Node, **given: Any) -> int:
    """Uninstall, in a child: the node's files are its own. Its wait status."""
    places = {
        "bin_dir": str(node.bin),
        "conf_dir": str(node.directory / "conf"),
        "lib_dir": str(node.directory / "lib"),
    }
    return node.fork(lambda: uninstall(node.settings, **places, **given) and None)


def move(node: Node, to: str) -> int:
    conflist = node.directory / "conf/10-azure.conflist"
    return node.fork(lambda: migrate(to, node.settings, conflist) and None)


def killed_at(step: int, work: Callable[[], object]) -> None:
    """Does `work`, and ends this process before its step: of the kernel, of DNS."""
    left = [step]

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*given, **named)

        return call

    def set_counted(*words: str) -> str:
        return counted(ask)(*words) if len(words) > 2 or words[0] == "revert" else ask(*words)

    ask = resolved._resolvectl
    resolved._resolvectl = set_counted
    card._note = counted(card._note)
    for module in (card, mover, nodes):
        for name in ("realise", "unwire"):
            setattr(module, name, counted(getattr(module, name)))
    work()


def added(node: Node, pod: Pod) -> Callable[[], object]:
    """ADD, in the calling process."""

    def work() -> object:
        request = Request.parse(node.environment("ADD", pod), json.dumps(CONFIG).encode())
        return AzureVnet(node.settings).add(request)

    return work


def test_all_settings_go_to_the_bridge_and_come_back(machine: Machine) -> None:
    node = machine.node
    assert node.call("ADD", node.pod("a" * 64)).status == 0
    assert machine.dns("azure0") == SETTINGS
    assert machine.servers("eth0") == []
    assert "Applied dns config of eth0 on azure0" in node.log
    node.run("resolvectl", "domain", "azure0", "changed.example", "~.")
    assert leave(node, force=True) == 0
    changed = {**SETTINGS, "domain": ["changed.example", "~."]}
    machine.assert_at_home(changed)
    put_plugins(node)
    assert node.call("ADD", node.pod("b" * 64)).status == 0
    assert machine.dns("azure0") == changed


def test_names_resolve_at_every_stage(machine: Machine) -> None:
    """Not only are settings there: resolved asks by the link that has the address."""
    node = machine.node
    for name in ("dnssec", "dnsovertls"):
        node.run("resolvectl", name, "eth0", "no")
    node.run("resolvectl", "dns", "eth0", WIRE_SERVER)
    wire: Callable[[], object] = lambda: node.call("ADD", node.pod("a" * 64)).status  # noqa: E731
    stages = (wire, lambda: move(node, "transparent"), lambda: move(node, "bridge"))
    for number, stage in enumerate((*stages, lambda: leave(node, force=True))):
        assert stage() == 0
        assert "10.9.8.7" in node.run("resolvectl", "query", f"n{number}.internal.cloudapp.net")


def test_beside_networkd(machine: Machine) -> None:
    """The card's settings are systemd-networkd's, which refuses no move and takes none back."""
    node = machine.node
    node.run("resolvectl", "revert", "eth0")
    node.run("mount", "-t", "sysfs", "-o", "ro", "sysfs", "/sys")  # as where there is no udev
    netif = [f"/run/systemd/netif/{one}" for one in ("links", "leases", "lldp")]
    node.run("mkdir", "-p", "/run/systemd/network", *netif)
    node.run("chown", "-R", "systemd-network:", "/run/systemd/netif")
    (node.directory / "eth0.network").write_text(_NETWORK)
    node.run("cp", str(node.directory / "eth0.network"), "/run/systemd/network/10-eth0.network")
    with program(node, "/lib/systemd/systemd-networkd"):
        wait_for(node, "sh", "-c", "networkctl list eth0 | grep -w configured")
        wait_for(node, "sh", "-c", "resolvectl status eth0 | grep 'Scopes: DNS'")
        before = machine.dns("eth0")
        assert before["dns"] == [WIRE_SERVER, "10.0.0.10"]
        assert node.call("ADD", node.pod("a" * 64)).status == 0
        for to, link in (("", "azure0"), ("transparent", "eth0"), ("bridge", "azure0")):
            assert not to or move(node, to) == 0
            assert machine.dns(link) == before
            assert "10.9.8.7" in node.run("resolvectl", "query", f"{to}x.internal.cloudapp.net")
            shown = "Scopes: none" if link == "azure0" else "Scopes: DNS"
            wait_for(node, "sh", "-c", f"resolvectl status eth0 | grep '{shown}'")
        assert leave(node, force=True) == 0
        machine.assert_at_home(before)


def test_a_wired_node_asks_nothing_of_resolved(machine: Machine) -> None:
    node = machine.node
    assert node.call("ADD", node.pod("a" * 64)).status == 0
    machine.deny("SetLinkDNSEx", "RevertLink", reading=True)
    assert node.call("ADD", node.pod("b" * 64)).status == 0


def test_what_does_not_run_is_not_started(machine: Machine) -> None:
    """Its socket stays when it stops, and the bus would start it for whoever calls it."""
    node, started = machine.node, machine.node.directory / "started"
    started.unlink(missing_ok=True)
    machine.resolved.terminate()
    machine.resolved.wait()
    assert node.call("ADD", node.pod("a" * 64)).status == 0
    assert leave(node, force=True) == 0
    assert not started.exists()


def test_another_namespaces_resolved_is_left_alone(machine: Machine) -> None:
    seen = f"/proc/{machine.node.mounts}/root{resolved.SOCKET}"
    assert not resolved.runs(seen)
    with machine.node.netns.entered():
        assert resolved.runs(seen)


@pytest.mark.parametrize("method", ["SetLinkDomains", "RevertLink"])
def test_dns_that_cannot_be_moved_leaves_the_node_as_it_was(machine: Machine, method: str) -> None:
    node = machine.node
    machine.deny(method)
    pod = node.pod("a" * 64)
    refused = node.call("ADD", pod).document
    assert refused["code"] == 11
    assert "the node's DNS settings cannot be moved" in refused["msg"]
    assert "eth0 has its addresses and routes as before" in refused["msg"]
    machine.assert_at_home()
    machine.deny()
    assert node.call("ADD", pod).status == 0
    assert machine.dns("azure0") == SETTINGS


def test_dns_that_cannot_be_read_stops_it_before_anything(machine: Machine) -> None:
    node = machine.node
    before = node.run("ip", "-d", "link"), node.run("ip", "addr"), node.run("ip", "route")
    machine.deny(reading=True)
    refused = node.call("ADD", node.pod("a" * 64)).document
    assert refused["code"] == 11
    assert "nothing was changed" in refused["msg"]
    assert before == (node.run("ip", "-d", "link"), node.run("ip", "addr"), node.run("ip", "route"))


def test_pods_keep_their_network_when_the_repaired_bridge_gets_no_dns(machine: Machine) -> None:
    node = machine.node
    pod, new = node.pod("a" * 64), node.pod("b" * 64)
    assert node.call("ADD", pod).status == 0
    node.run("ip", "link", "del", "azure0")
    machine.deny("SetLinkDomains")
    assert "the pods on the node keep" in node.call("ADD", new).document["msg"]
    assert "azure0" in node.run("ip", "link")
    machine.deny()
    assert node.call("ADD", new).status == 0
    assert machine.dns("azure0") == SETTINGS
    for one in (pod, new):
        assert reach(one.netns, WIRE_SERVER) == b"HTTP/1.0 200 OK"


@pytest.mark.parametrize("to", ["transparent", "bridge", ""])
def test_a_move_that_dns_does_not_follow_is_undone(
    machine: Machine, to: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """to: "" for uninstall."""
    node, mode = machine.node, "transparent" if to == "bridge" else "bridge"
    config = {**CONFIG, "mode": mode}
    set_mode(node, mode)
    pod = node.pod("a" * 64)
    assert node.call("ADD", pod, config=config).status == 0
    if not to:
        assert node.call("DEL", pod, config=config).status == 0
    machine.deny("SetLinkDomains")
    assert os.waitstatus_to_exitcode(move(node, to) if to else leave(node)) == 1
    assert "the node's DNS settings cannot be moved" in capfd.readouterr().err
    assert json.loads((node.directory / "conf/10-azure.conflist").read_text())
    holder = "azure0" if mode == "bridge" else "eth0"
    other = "eth0" if mode == "bridge" else "azure0"
    assert f"inet {NODE_IP}/24" in node.run("ip", "addr", "show", holder)
    assert machine.dns(holder) == SETTINGS
    assert other == "azure0" or machine.servers("eth0") == []
    assert node.call("ADD", pod, config=config).status == 0
    assert reach(pod.netns, WIRE_SERVER) == b"HTTP/1.0 200 OK"
    assert reach(node.netns, WIRE_SERVER) == b"HTTP/1.0 200 OK"
    machine.deny()
    assert (move(node, to) if to else leave(node, force=True)) == 0
    assert machine.dns("azure0" if to == "bridge" else "eth0") == SETTINGS


def test_the_first_wiring_killed_before_each_step(machine: Machine) -> None:
    node, step, few = machine.node, 0, machine.with_few()
    pod, other = node.pod("a" * 64), node.pod("b" * 64)
    while os.WIFSIGNALED(node.fork(partial(killed_at, step, added(node, pod)))):
        assert node.call("ADD", other).status == 0
        assert machine.dns("azure0") == few, f"killed before step {step}"
        assert machine.servers("eth0") == []
        assert leave(node, force=True) == 0
        machine.assert_at_home(few)
        put_plugins(node)
        step += 1
    assert step > 6
    assert machine.dns("azure0") == few


@pytest.mark.parametrize("parity", [0, 1])
def test_moves_killed_before_each_step(machine: Machine, parity: int) -> None:
    """And finished or undone by the next, in turn."""
    node, few = machine.node, machine.with_few()
    assert node.call("ADD", node.pod("a" * 64)).status == 0
    mode, conflist = "bridge", node.directory / "conf/10-azure.conflist"
    for to in ("transparent", "bridge"):
        step = 0
        work = partial(migrate, to, node.settings, conflist)
        while os.WIFSIGNALED(node.fork(partial(killed_at, step, work))):
            finish = step % 2 == parity
            end = to if finish else mode
            assert move(node, end) == 0
            holder = "azure0" if end == "bridge" else "eth0"
            assert machine.dns(holder) == few, f"killed before step {step}"
            assert end == "transparent" or machine.servers("eth0") == []
            if finish:
                assert move(node, mode) == 0
            step += 1
        assert step > 6
        mode = to
    assert machine.dns("azure0") == few
