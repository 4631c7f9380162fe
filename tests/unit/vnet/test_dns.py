from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager

import pytest
from dnslib import QTYPE, RCODE, RR, A, DNSRecord

from podwire.vnet.dns import Resolver, UdpService, Upstream, machine_resolvers, serve_tcp

HOST = "aks-nodepool1-12345678-vmss000000"


class Elsewhere:
    """A resolver of other names: each has the address 192.0.2.1. It counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def answer(self, query: bytes, *, tcp: bool = False) -> bytes:
        asked = DNSRecord.parse(query)
        self.asked.append(f"{asked.q.qname} {'tcp' if tcp else 'udp'}")
        reply = asked.reply()
        reply.add_answer(RR(asked.q.qname, QTYPE.A, rdata=A("192.0.2.1")))
        return reply.pack()


@asynccontextmanager
async def listening(resolver):
    """`resolver` over UDP and TCP on one port of the loopback; yields host:port."""
    door = socket.create_server(("127.0.0.1", 0))
    port = door.getsockname()[1]
    server = await asyncio.start_server(lambda r, w: serve_tcp(resolver, r, w), sock=door)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: UdpService(resolver), local_addr=("127.0.0.1", port)
    )
    try:
        yield f"127.0.0.1:{port}"
    finally:
        transport.close()
        server.close()
        await asyncio.sleep(0)


def ask(directory, name, qtype="A", upstream=()):
    resolver = Resolver(directory, Upstream(upstream, timeout=0.2))
    query = DNSRecord.question(name, qtype).pack()
    return DNSRecord.parse(asyncio.run(resolver.answer(query)))


@pytest.mark.parametrize("name", [HOST, f"{HOST}.internal.cloudapp.net", HOST.upper()])
def test_a_hosts_name_has_its_primary_address(directory, name):
    answer = ask(directory, name)
    assert answer.header.rcode == RCODE.NOERROR
    assert [str(one.rdata) for one in answer.rr] == ["10.220.2.4"]


def test_a_host_has_no_ipv6_address_which_is_no_error(directory):
    answer = ask(directory, HOST, "AAAA")
    assert (answer.header.rcode, answer.rr) == (RCODE.NOERROR, [])


def test_an_unknown_internal_name_does_not_exist(directory):
    answer = ask(directory, "nobody.internal.cloudapp.net")
    assert answer.header.rcode == RCODE.NXDOMAIN


def test_without_upstream_another_name_fails_at_once(directory):
    assert ask(directory, "example.org").header.rcode == RCODE.SERVFAIL


def test_another_name_is_asked_upstream_by_the_way_it_came(directory):
    async def run():
        there = Elsewhere()
        async with listening(there) as server:
            resolver = Resolver(directory, Upstream([server]))
            query = DNSRecord.question("example.org").pack()
            answers = [await resolver.answer(query, tcp=tcp) for tcp in (False, True)]
        return there.asked, [DNSRecord.parse(one) for one in answers]

    asked, answers = asyncio.run(run())
    assert asked == ["example.org. udp", "example.org. tcp"]
    assert [str(one.short()) for one in answers] == ["192.0.2.1", "192.0.2.1"]


def silent_server() -> socket.socket:
    door = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    door.bind(("127.0.0.1", 0))
    return door


def test_an_upstream_that_is_silent_fails_after_the_timeout(directory):
    with silent_server() as door:
        answer = ask(directory, "example.org", upstream=[f"127.0.0.1:{door.getsockname()[1]}"])
    assert answer.header.rcode == RCODE.SERVFAIL


def test_one_upstream_that_answers_is_enough(directory):
    async def run():
        with silent_server() as silent:
            async with listening(Elsewhere()) as server:
                dead = f"127.0.0.1:{silent.getsockname()[1]}"
                query = DNSRecord.question("example.org").pack()
                return await Upstream([dead, "127.0.0.1:1", server], timeout=5).ask(
                    query, tcp=False
                )

    assert str(DNSRecord.parse(asyncio.run(run())).short()) == "192.0.2.1"


def test_several_queries_go_over_one_tcp_connection(directory):
    async def run():
        async with listening(Resolver(directory, Upstream([]))) as server:
            host, port = server.split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            found = []
            for domain in ("", ".internal.cloudapp.net"):
                query = DNSRecord.question(HOST + domain).pack()
                writer.write(len(query).to_bytes(2, "big") + query)
                length = int.from_bytes(await reader.readexactly(2), "big")
                found.append(DNSRecord.parse(await reader.readexactly(length)).short())
            writer.close()
            return found

    assert asyncio.run(run()) == ["10.220.2.4", "10.220.2.4"]


@pytest.mark.parametrize(
    "noise", [b"", b"\0" * 11, b"\xff" * 40, b"\0\1\1\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1"]
)
def test_noise_gets_no_answer_and_no_exception(directory, noise):
    resolver = Resolver(directory, Upstream([]))
    assert asyncio.run(resolver.answer(noise)) is None


def test_an_answer_is_not_answered(directory):
    answer = DNSRecord.question(HOST).reply().pack()
    assert asyncio.run(Resolver(directory, Upstream([])).answer(answer)) is None


def test_the_machines_resolvers_are_read(tmp_path):
    conf = tmp_path / "resolv.conf"
    conf.write_text("# nameserver 9.9.9.9\nnameserver 192.0.2.53\nnameserver fe80::1\nsearch x\n")
    assert machine_resolvers(conf) == ["192.0.2.53"]
    assert machine_resolvers(tmp_path / "none") == []
