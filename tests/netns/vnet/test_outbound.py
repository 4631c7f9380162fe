"""The way out, with a namespace that plays the machine, which stays as it was."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from podwire.kernel.netns import NetNamespace
from podwire.kernel.process import Supervisor
from podwire.kernel.rtnetlink import RtNetlink
from podwire.model.route_table import NextHop, Route, RouteTable
from podwire.model.security import Access, Direction, Protocol, SecurityGroup, SecurityRule
from podwire.model.vnet import Subnet, VNet
from podwire.vnet.outbound import close_outbound, open_outbound, outbound_program

from .frames import PATIENCE, ping
from .site import Site

SERVER, PRIVATE = "198.51.100.7", "192.168.7.7"
SUBNET = Subnet("nodes", "10.1.0.0/24")
VNET = VNet("v", "rg", ("10.1.0.0/16",), (SUBNET,))
A = "10.1.0.4"


@pytest.fixture
def machine() -> Iterator[NetNamespace]:
    """It has two addresses of its own, and a server that says who asks."""
    with NetNamespace.create() as made:
        with RtNetlink(made) as door:
            loopback = door.index("lo")
            door.set_link(loopback, up=True)
            for one in (SERVER, PRIVATE):
                door.add_address(loopback, f"{one}/32")
        with telling(made, socket.SOCK_STREAM), telling(made, socket.SOCK_DGRAM):
            yield made


@contextmanager
def telling(space: NetNamespace, kind: socket.SocketKind) -> Iterator[None]:
    with space.socket(socket.AF_INET, kind) as door:
        door.bind(("0.0.0.0", 80))
        if kind == socket.SOCK_STREAM:
            door.listen()
        thread = threading.Thread(target=tell, args=(door, kind), daemon=True)
        thread.start()
        yield
        door.shutdown(socket.SHUT_RDWR) if kind == socket.SOCK_STREAM else stop(space)
        thread.join(PATIENCE)


def stop(space: NetNamespace) -> None:
    with space.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        door.sendto(b"stop", (SERVER, 80))


def tell(door: socket.socket, kind: socket.SocketKind) -> None:
    while True:
        try:
            if kind == socket.SOCK_STREAM:
                other, (peer, _) = door.accept()
                with other:
                    other.sendall(peer.encode())
            else:
                word, where = door.recvfrom(99)
                if word == b"stop":
                    return
                door.sendto(where[0].encode(), where)
        except OSError:
            return


@pytest.fixture
def site() -> Iterator[Site]:
    with ExitStack() as stack:
        made = Site.build(VNET, stack)
        made.add("a", "nodes", A)
        yield made


@contextmanager
def outbound(site: Site, machine: NetNamespace, log: Path) -> Iterator[Supervisor]:
    open_outbound(site.fabric)
    loop, supervisor = asyncio.new_event_loop(), Supervisor()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    program = outbound_program(site.fabric, log, netns=machine.path)
    run = lambda work: asyncio.run_coroutine_threadsafe(work, loop).result(PATIENCE)  # noqa: E731
    try:
        run(supervisor.start(program))
        yield supervisor
    finally:
        run(supervisor.stop_all(grace=0.5))
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def asks(site: Site, address: str = SERVER, kind: int = socket.SOCK_STREAM) -> str:
    """What the server says; "" when it is not reached."""
    with site.hosts["a"].namespace.socket(socket.AF_INET, kind) as door:
        door.settimeout(PATIENCE)
        try:
            door.connect((address, 80))
            if kind == socket.SOCK_DGRAM:
                door.send(b"who am I")
            return door.recv(99).decode()
        except OSError:
            return ""


def state(space: NetNamespace) -> str:
    """All that a machine's network consists of, besides sockets."""
    with space.entered():
        return "".join(
            subprocess.run(command.split(), check=True, capture_output=True, text=True).stdout
            for command in (
                "ip -o address",
                "ip -o link",
                "ip rule",
                "ip route show table all",
                "nft list ruleset",
                "sysctl -a --pattern ^net.(ipv4.conf|ipv4.ip_forward|netfilter)",
            )
        )


def test_what_leaves_and_what_does_not(site, machine, tmp_path):
    before = state(machine)
    assert asks(site) == ""
    with outbound(site, machine, tmp_path / "log"):
        assert asks(site) in (SERVER, PRIVATE)  # an address of the machine's: source NAT
        assert asks(site, kind=socket.SOCK_DGRAM) in (SERVER, PRIVATE)
        for address in (PRIVATE, "192.0.2.2", "10.200.0.1"):  # the second: its loopback
            assert asks(site, address) == "", address
        assert ping(site.hosts["a"].namespace, "172.31.0.254") == "172.31.0.254"
        assert state(machine) == before
        rules(site, machine)
        close_outbound(site.fabric)
        close_outbound(site.fabric)
        assert asks(site) == ""
    assert state(machine) == before


def rules(site: Site, machine: NetNamespace) -> None:
    """Groups and routes decide about what leaves as about everything else."""
    deny = SecurityRule(
        "no-web", 100, Direction.OUTBOUND, Access.DENY, Protocol.UDP, destinations=("Internet",)
    )
    nowhere = Route("nowhere", "198.51.100.0/24", NextHop.NONE)
    out = Route("out", "192.168.0.0/16", NextHop.INTERNET)
    closed = replace(SUBNET, security=SecurityGroup("g", (deny,)))
    site.fabric.update(replace(VNET, subnets=(closed,)))
    denied = site.fabric.drops().denied
    with site.hosts["a"].namespace.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        door.sendto(b"denied", (SERVER, 80))
    assert asks(site) in (SERVER, PRIVATE)
    assert site.fabric.drops().denied == denied + 1
    table = RouteTable("t", (nowhere, out))
    site.fabric.update(replace(VNET, subnets=(replace(SUBNET, route_table=table),)))
    assert asks(site) == ""
    assert asks(site, PRIVATE) in (SERVER, PRIVATE)
    site.fabric.update(VNET)
    assert asks(site) in (SERVER, PRIVATE)


def test_a_program_that_dies_is_started_again_and_goes_on(site, machine, tmp_path):
    with outbound(site, machine, tmp_path / "log") as supervisor:
        assert asks(site) != ""
        (running,) = supervisor.running.values()
        first = running.pid
        os.kill(first, 9)
        deadline = time.monotonic() + PATIENCE
        while running.pid in (first, None):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert asks(site) != ""
