"""The uplink's DNS on a machine with systemd-resolved: Debian's own, with its own D-Bus."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from dnslib import QTYPE, RR, A, DNSRecord

from podwire.cni import card, resolved
from podwire.cni import migrate as mover
from podwire.cni import node as nodes
from podwire.cni.azure_vnet import AzureVnet
from podwire.cni.migrate import migrate, uninstall
from podwire.model.cni import Request

from .furnished import furnish, program, wait_for
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

_USERS = ("systemd-resolve", "systemd-network")
_BUS = """<busconfig>
<type>system</type>
<listen>unix:path=/run/dbus/system_bus_socket</listen>
<auth>EXTERNAL</auth>
<servicedir>{place}</servicedir>
<policy context="default">
<allow user="*"/><allow own="*"/>
<allow send_type="method_call"/><allow send_type="signal"/><allow send_requested_reply="true"/>
<allow receive_type="method_call"/><allow receive_type="method_return"/>
<allow receive_type="error"/><allow receive_type="signal"/>
{denied}
</policy>
</busconfig>
"""
# Started by the bus when somebody calls resolved and it does not run: nobody must.
_ACTIVATION = "[D-BUS Service]\nName=org.freedesktop.resolve1\nExec=/bin/touch {place}/started\n"
_REFUSED = '<deny send_interface="{}" send_member="{}"/>'
_READING = ("org.freedesktop.DBus.Properties", "GetAll")
# All but the defaults, two of what can be two.
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
SETTINGS = {
    "dns": [WIRE_SERVER, "10.0.0.10:5353#dns.example"],
    "domain": ["internal.cloudapp.net", "~corp.example"],
    "default-route": ["yes"],
    "llmnr": ["no"],
    "mdns": ["yes"],
    "dnsovertls": ["opportunistic"],
    "dnssec": ["allow-downgrade"],
    "nta": ["bar.example", "foo.example"],
}


@dataclass
class Machine:
    """A node with systemd-resolved."""

    node: Node
    bus: subprocess.Popen[bytes]
    resolved: subprocess.Popen[bytes]

    def dns(self, link: str) -> dict[str, list[str]]:
        said = {name: self.node.run("resolvectl", name, link) for name in SETTINGS}
        return {name: line.partition("):")[2].split() for name, line in said.items()}

    def deny(self, *methods: str, reading: bool = False) -> None:
        """The bus refuses these of resolved's methods to everybody."""
        denied = [("org.freedesktop.resolve1.Manager", one) for one in methods]
        denied += [_READING] if reading else []
        write_bus(self.node, "".join(_REFUSED.format(*one) for one in denied))
        call = ("busctl", "call", "org.freedesktop.DBus", "/org/freedesktop/DBus")
        self.node.run(*call, "org.freedesktop.DBus", "ReloadConfig")

    def with_few(self) -> dict[str, list[str]]:
        """Two settings of the card's, which it keeps alone: each is a step to be killed at."""
        self.node.run("resolvectl", "revert", "eth0")
        for name in ("dns", "domain"):
            self.node.run("resolvectl", name, "eth0", *SETTINGS[name])
        return self.dns("eth0")

    def assert_at_home(self, dns: dict[str, list[str]] = SETTINGS) -> None:
        """The card is as it was before the first pod."""
        assert self.dns("eth0") == dns
        assert f"inet {NODE_IP}/24" in self.node.run("ip", "addr", "show", "eth0")
        assert "default via 10.220.2.1 dev eth0" in self.node.run("ip", "route")
        assert "azure0" not in self.node.run("ip", "link")
        assert reach(self.node.netns, WIRE_SERVER) == b"HTTP/1.0 200 OK"


def write_bus(node: Node, denied: str = "") -> None:
    place = node.directory
    (place / "bus.conf").write_text(_BUS.format(place=place, denied=denied))
    service = place / "org.freedesktop.resolve1.service"
    service.write_text(_ACTIVATION.format(place=place))


def with_users(name: str, line: str) -> str:
    """The machine's list, with the users that resolved and networkd change to."""
    others = [one for one in Path(f"/etc/{name}").read_text().splitlines() if one]
    others = [one for one in others if one.partition(":")[0] not in _USERS]
    own = [f"{user}:{line.format(991 + at)}" for at, user in enumerate(_USERS)]
    return "\n".join([*others, *own]) + "\n"


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    assert os.geteuid() == 0, "these tests make network namespaces: run them as root"
    with ExitStack() as stack:
        node = build(tmp_path, stack)
        deliver_by_table(node)
        etc = {
            "passwd": with_users("passwd", "x:{0}:{0}::/:/usr/sbin/nologin"),
            "group": with_users("group", "x:{0}:"),
            "resolv.conf": "nameserver 127.0.0.53\n",
        }
        furnish(node, ("systemd-resolved", "systemd", "dbus-daemon"), etc)
        stack.enter_context(name_server(node))
        write_bus(node)
        node.run("mkdir", "/run/dbus")
        bus = stack.enter_context(
            program(node, "dbus-daemon", "--nofork", f"--config-file={tmp_path}/bus.conf")
        )
        wait_for(node, "busctl", "list")
        service = stack.enter_context(program(node, "/lib/systemd/systemd-resolved"))
        wait_for(node, "resolvectl", "dns", "eth0")
        for name, words in SETTINGS.items():
            node.run("resolvectl", name, "eth0", *words)
        found = Machine(node, bus, service)
        assert found.dns("eth0") == SETTINGS
        yield found


@contextmanager
def name_server(node: Node) -> Iterator[None]:
    """At 168.63.129.16: every name has the address 10.9.8.7."""
    plug = node.fabric.socket(socket.AF_INET, socket.SOCK_DGRAM)
    plug.bind((WIRE_SERVER, 53))

    def serve() -> None:
        while True:
            try:
                data, peer = plug.recvfrom(4096)
            except OSError:
                return
            query = DNSRecord.parse(data)
            answer = query.reply()
            if query.q.qtype == QTYPE.A:
                answer.add_answer(RR(query.q.qname, QTYPE.A, rdata=A("10.9.8.7"), ttl=1))
            plug.sendto(answer.pack(), peer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        plug.close()


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
    assert machine.dns("eth0")["dns"] == []
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
    assert other == "azure0" or machine.dns("eth0")["dns"] == []
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
        assert machine.dns("eth0")["dns"] == []
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
            assert end == "transparent" or machine.dns("eth0")["dns"] == []
            if finish:
                assert move(node, mode) == 0
            step += 1
        assert step > 6
        mode = to
    assert machine.dns("azure0") == few
