"""A node with systemd-resolved: Debian's own, with a D-Bus of its own, without systemd."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from dnslib import QTYPE, RR, A, DNSRecord

from .furnished import furnish, program, wait_for
from .node import NODE_IP, WIRE_SERVER, Node, reach

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

    def servers(self, link: str) -> list[str]:
        return self.node.run("resolvectl", "dns", link).partition("):")[2].split()

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


def with_resolved(node: Node, stack: ExitStack) -> Machine:
    """The card has SETTINGS. All of it ends with `stack`."""
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
        program(node, "dbus-daemon", "--nofork", f"--config-file={node.directory}/bus.conf")
    )
    wait_for(node, "busctl", "list")
    service = stack.enter_context(program(node, "/lib/systemd/systemd-resolved"))
    wait_for(node, "resolvectl", "dns", "eth0")
    for name, words in SETTINGS.items():
        node.run("resolvectl", name, "eth0", *words)
    found = Machine(node, bus, service)
    assert found.dns("eth0") == SETTINGS
    return found


@contextmanager
def name_server(node: Node) -> Iterator[None]:
    """At 168.63.129.16: every name has the address 10.9.8.7."""
    plug = node.fabric.socket(socket.AF_INET, socket.SOCK_DGRAM)
    plug.bind((WIRE_SERVER, 53))

    def serve() -> None:
        while True:
            data, peer = plug.recvfrom(4096)
            if not data:
                return
            query = DNSRecord.parse(data)
            answer = query.reply()
            if query.q.qtype == QTYPE.A:
                answer.add_answer(RR(query.q.qname, QTYPE.A, rdata=A("10.9.8.7"), ttl=1))
            plug.sendto(answer.pack(), peer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        with suppress(OSError):  # not connected, says the kernel, and wakes the thread
            plug.shutdown(socket.SHUT_RDWR)
        thread.join()
        plug.close()
