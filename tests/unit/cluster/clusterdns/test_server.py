"""Packets in, packets out: the server on real sockets of loopback, with another DNS behind it."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import dnslib
import pytest

from podwire.cluster.clusterdns.forward import Forwarder, nameservers
from podwire.cluster.clusterdns.server import Server, Udp, health
from podwire.cluster.clusterdns.tables import Endpoint, Service, Tables
from podwire.cluster.clusterdns.zone import Zone

NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = 0, 1, 2, 3, 4, 5
NGINX = "nginx.default.svc.cluster.local"


def tables() -> Tables:
    many = tuple(Endpoint(f"10.220.2.{at}", f"host-{at}") for at in range(4, 200))
    return Tables(
        services={
            ("default", "nginx"): Service(("10.200.1.2",)),
            ("default", "many"): Service(),
            ("default", "out"): Service(external="www.example.org"),
            ("default", "bad"): Service(external=f"{'x' * 64}.default.svc.cluster.local"),
        },
        endpoints={("default", "many"): many},
        namespaces={("", "default"): True},
    )


class Upstream(asyncio.DatagramProtocol):
    """A resolver that knows one name; over UDP it can be silent, lie about the id, or cut short."""

    def __init__(self) -> None:
        self.mood = ""
        self.asked: list[str] = []

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        reply = self.reply(data)
        if self.mood == "silent":
            return
        if self.mood == "forged":
            forged = bytes([reply[0] ^ 1]) + reply[1:]
            self.transport.sendto(forged, addr)
        self.transport.sendto(reply, addr)

    def reply(self, data: bytes) -> bytes:
        query = dnslib.DNSRecord.parse(data)
        self.asked.append(str(query.q.qname))
        reply = query.reply()
        if str(query.q.qname) == "www.example.org.":
            reply.add_answer(*dnslib.RR.fromZone("www.example.org. 60 A 192.0.2.7"))
        else:
            reply.header.rcode = NXDOMAIN
        return bytes(reply.pack())

    async def tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        reply = self.reply(await reader.readexactly(length))
        writer.write(struct.pack("!H", len(reply)) + reply)
        writer.close()


class Setup:
    """The server under test at `port`, UDP and TCP; the resolver behind it."""

    def __init__(self) -> None:
        self.ready = True
        self.upstream = Upstream()
        self.port = self.upstream_port = 0

    @asynccontextmanager
    async def running(self, servers: tuple[str, ...]) -> Any:
        loop = asyncio.get_running_loop()
        async with AsyncExitStack() as stack:
            self.upstream_port = await _both(stack, lambda: self.upstream, self.upstream.tcp)
            forwarder = Forwarder(servers, self.upstream_port, wait=0.3)
            server = Server(Zone("cluster.local", "10.200.0.10", tables()), forwarder, self._ready)
            self.port = await _both(stack, lambda: Udp(server), server.tcp)
            yield loop

    def _ready(self) -> bool:
        return self.ready

    async def udp(self, packet: bytes, *, wait: float = 2.0) -> bytes:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.connect(("127.0.0.1", self.port))
            await loop.sock_sendall(sock, packet)
            return await asyncio.wait_for(loop.sock_recv(sock, 65535), wait)

    async def ask(self, name: str, kind: str = "A") -> dnslib.DNSRecord:
        query = dnslib.DNSRecord.question(name, kind)
        reply = dnslib.DNSRecord.parse(await self.udp(query.pack()))
        assert reply.header.id == query.header.id
        assert reply.header.qr == 1
        return reply

    async def ask_tcp(self, *names: str) -> list[dnslib.DNSRecord]:
        """All over one connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        replies = []
        for name in names:
            packet = dnslib.DNSRecord.question(name).pack()
            writer.write(struct.pack("!H", len(packet)) + packet)
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            replies.append(dnslib.DNSRecord.parse(await reader.readexactly(length)))
        writer.close()
        return replies


async def _both(stack: AsyncExitStack, protocol: Callable[[], Any], tcp: Any) -> int:
    """UDP and TCP on one free port of loopback."""
    server = await asyncio.start_server(tcp, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(protocol, local_addr=("127.0.0.1", port))
    stack.callback(server.close)
    stack.callback(transport.close)
    return port


Scenario = Callable[[Setup], Awaitable[None]]


def play(scenario: Scenario, servers: tuple[str, ...] = ("127.0.0.1",)) -> None:
    async def run() -> None:
        setup = Setup()
        async with setup.running(servers):
            await scenario(setup)

    asyncio.run(run())


def addresses(reply: dnslib.DNSRecord) -> list[str]:
    return [str(one.rdata) for one in reply.rr]


def test_a_service_over_udp_and_tcp() -> None:
    async def scenario(setup: Setup) -> None:
        reply = await setup.ask(NGINX)
        assert addresses(reply) == ["10.200.1.2"]
        assert (reply.header.aa, reply.header.ra, reply.header.tc) == (1, 1, 0)
        first, second = await setup.ask_tcp(NGINX, "missing.default.svc.cluster.local")
        assert addresses(first) == ["10.200.1.2"]
        assert second.header.rcode == NXDOMAIN

    play(scenario)


def test_the_question_comes_back_as_it_was_written() -> None:
    async def scenario(setup: Setup) -> None:
        reply = await setup.ask("NGINX.Default.svc.cluster.LOCAL")
        assert str(reply.q.qname) == "NGINX.Default.svc.cluster.LOCAL."
        assert str(reply.rr[0].rname) == "NGINX.Default.svc.cluster.LOCAL."

    play(scenario)


def test_other_names_are_forwarded() -> None:
    async def scenario(setup: Setup) -> None:
        assert addresses(await setup.ask("www.example.org")) == ["192.0.2.7"]
        assert (await setup.ask("no.example.org")).header.rcode == NXDOMAIN
        (reply,) = await setup.ask_tcp("www.example.org")
        assert addresses(reply) == ["192.0.2.7"]

    play(scenario)


def test_names_of_the_cluster_are_never_forwarded() -> None:
    async def scenario(setup: Setup) -> None:
        await setup.ask("www.example.org.default.svc.cluster.local")
        await setup.ask(NGINX)
        assert setup.upstream.asked == []

    play(scenario)


def test_a_forged_reply_is_passed_over() -> None:
    async def scenario(setup: Setup) -> None:
        setup.upstream.mood = "forged"
        assert addresses(await setup.ask("www.example.org")) == ["192.0.2.7"]

    play(scenario)


def test_no_resolver_is_a_failure_at_once() -> None:
    async def scenario(setup: Setup) -> None:
        assert (await setup.ask("www.example.org")).header.rcode == SERVFAIL

    play(scenario, servers=())


def test_a_resolver_that_refuses_is_passed_over_at_once() -> None:
    async def scenario(setup: Setup) -> None:
        reply = await setup.udp(dnslib.DNSRecord.question("www.example.org").pack(), wait=0.25)
        assert addresses(dnslib.DNSRecord.parse(reply)) == ["192.0.2.7"]

    play(scenario, servers=("127.0.0.2", "127.0.0.1"))


def test_a_silent_resolver_ends_in_a_failure() -> None:
    async def scenario(setup: Setup) -> None:
        setup.upstream.mood = "silent"
        slow = asyncio.create_task(setup.ask("www.example.org"))
        assert addresses(await setup.ask(NGINX)) == ["10.200.1.2"]
        assert not slow.done(), "a slow name must not hold up the others"
        assert (await slow).header.rcode == SERVFAIL

    play(scenario)


def test_an_external_name_is_followed_to_its_address() -> None:
    async def scenario(setup: Setup) -> None:
        reply = await setup.ask("out.default.svc.cluster.local")
        kinds = [dnslib.QTYPE[one.rtype] for one in reply.rr]
        assert kinds == ["CNAME", "A"]
        assert addresses(reply) == ["www.example.org.", "192.0.2.7"]
        setup.upstream.mood = "silent"
        assert (await setup.ask("out.default.svc.cluster.local")).header.rcode == SERVFAIL

    play(scenario)


def test_what_cannot_be_written_is_a_failure() -> None:
    async def scenario(setup: Setup) -> None:
        assert (await setup.ask("bad.default.svc.cluster.local")).header.rcode == SERVFAIL

    play(scenario)


def test_a_large_answer_is_cut_to_what_the_asker_takes() -> None:
    async def scenario(setup: Setup) -> None:
        name = "many.default.svc.cluster.local"
        reply = await setup.ask(name)
        assert (reply.header.tc, reply.rr) == (1, [])
        query = dnslib.DNSRecord.question(name)
        query.add_ar(dnslib.EDNS0(udp_len=65000))
        packet = await setup.udp(query.pack())
        assert len(packet) <= 1232
        (whole,) = await setup.ask_tcp(name)
        assert len(whole.rr) == 196

    play(scenario)


def test_edns_is_answered_with_edns() -> None:
    async def scenario(setup: Setup) -> None:
        query = dnslib.DNSRecord.question(NGINX)
        query.add_ar(dnslib.EDNS0(udp_len=4096))
        reply = dnslib.DNSRecord.parse(await setup.udp(query.pack()))
        assert [dnslib.QTYPE[one.rtype] for one in reply.ar] == ["OPT"]
        assert (await setup.ask(NGINX)).ar == []

    play(scenario)


@pytest.mark.parametrize(
    ("change", "rcode"),
    [
        (lambda packet: packet[:14], FORMERR),
        (lambda packet: packet[:4] + b"\0\0" + packet[6:12], FORMERR),
        (lambda packet: packet[:2] + b"\x28" + packet[3:], NOTIMP),
        (lambda packet: packet[:-2] + b"\0\3", REFUSED),
    ],
    ids=["cut short", "no question", "update", "class CHAOS"],
)
def test_what_is_no_query_is_refused(change: Callable[[bytes], bytes], rcode: int) -> None:
    async def scenario(setup: Setup) -> None:
        packet = dnslib.DNSRecord.question(NGINX).pack()
        reply = await setup.udp(change(packet))
        assert reply[:2] == packet[:2]
        assert reply[3] & 15 == rcode

    play(scenario)


@pytest.mark.parametrize("packet", [b"", b"short", b"\0\1\x80" + bytes(20)])
def test_noise_and_replies_get_no_answer(packet: bytes) -> None:
    async def scenario(setup: Setup) -> None:
        with pytest.raises(TimeoutError):
            await setup.udp(packet, wait=0.1)
        assert addresses(await setup.ask(NGINX)) == ["10.200.1.2"]

    play(scenario)


def test_until_the_tables_are_complete_nothing_is_denied() -> None:
    async def scenario(setup: Setup) -> None:
        setup.ready = False
        assert (await setup.ask("missing.default.svc.cluster.local")).header.rcode == SERVFAIL
        assert addresses(await setup.ask("www.example.org")) == ["192.0.2.7"]
        setup.ready = True
        assert (await setup.ask("missing.default.svc.cluster.local")).header.rcode == NXDOMAIN

    play(scenario)


@pytest.mark.parametrize(
    ("path", "good", "status"),
    [("/ready", True, 200), ("/ready", False, 503), ("/other", True, 404)],
)
def test_health(path: str, good: bool, status: int) -> None:
    async def run() -> bytes:
        server = await asyncio.start_server(health("/ready", lambda: good), "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            answer = await reader.read()
            writer.close()
            return answer

    answer = asyncio.run(run())
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())


def test_resolvers_are_read_from_resolv_conf(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    assert nameservers(path) == []
    path.write_text("# a comment\nsearch example.org\nnameserver 168.63.129.16\nnameserver\n")
    assert nameservers(path) == ["168.63.129.16"]
