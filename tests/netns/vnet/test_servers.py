"""Wire server, IMDS and DNS, asked by real clients from the nodes."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
import time
from contextlib import contextmanager
from xml.etree import ElementTree

import pytest
from dnslib import QTYPE, RCODE, RR, DNSRecord
from dnslib import A as AddressRecord
from dnslib.server import DNSLogger, DNSServer

from podwire.kernel.netns import NetNamespace
from podwire.model.errors import KernelError
from podwire.model.vnet import IMDS, WIRE_SERVER
from podwire.vnet.directory import NicDirectory
from podwire.vnet.servers import serve

from .conftest import A, B
from .frames import PATIENCE

HOST_A = "aks-nodepool1-12345678-vmss000000"
HOST_B = "aks-nodepool1-12345678-vmss000001"
WIRE_QUERY = "/machine/plugins?comp=nmagent&type=getinterfaceinfov1"


class Elsewhere:
    """The names outside: each has the address 192.0.2.1, unless it is `silent`."""

    def resolve(self, request, handler):
        if "silent" in str(request.q.qname):
            time.sleep(4)
        reply = request.reply()
        reply.add_answer(RR(request.q.qname, QTYPE.A, rdata=AddressRecord("192.0.2.1")))
        return reply


@pytest.fixture(scope="module")
def outside():
    """A resolver on the machine's loopback, over UDP and TCP: host:port."""
    quiet = DNSLogger("-request,-reply,-truncated,-error,-recv,-send,-data")
    over_udp = DNSServer(Elsewhere(), address="127.0.0.1", port=0, logger=quiet)
    port = over_udp.server.server_address[1]
    over_tcp = DNSServer(Elsewhere(), address="127.0.0.1", port=port, tcp=True, logger=quiet)
    for one in (over_udp, over_tcp):
        one.server.daemon_threads = True
        one.server.block_on_close = False
        one.server.handle_error = lambda *_: None  # an answer that comes when the test is over
        one.start_thread()
    yield f"127.0.0.1:{port}"
    for one in (over_udp, over_tcp):
        one.server.shutdown()
        one.server.server_close()


@contextmanager
def running(fabric, directory, upstream):
    """The servers in an event loop of their own thread, as the daemon has them."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def run(work):
        return asyncio.run_coroutine_threadsafe(work, loop).result(PATIENCE)

    try:
        servers = run(serve(fabric, directory, upstream))
        try:
            yield servers
        finally:
            run(servers.close())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture
def directory():
    made = NicDirectory()
    made.add(HOST_A, A, resource_group="MC_lab")
    made.add(HOST_B, B, resource_group="MC_lab")
    return made


@pytest.fixture
def platform(net, directory, outside):
    """The servers of a fabric whose machine has a resolver."""
    with running(net.fabric, directory, [outside]):
        yield net


def get(namespace: NetNamespace, server: str, path: str, *, source: str = "", **headers: str):
    with namespace.entered():
        address = (source, 0) if source else None
        connection = http.client.HTTPConnection(server, 80, PATIENCE, source_address=address)
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        body = answer.read().decode()
        connection.close()
        return answer.status, body


def query(namespace: NetNamespace, name: str, qtype: str = "A", *, tcp: bool = False) -> DNSRecord:
    with namespace.entered():
        question = DNSRecord.question(name, qtype)
        return DNSRecord.parse(question.send(WIRE_SERVER, 53, tcp=tcp, timeout=PATIENCE))


def add_address(namespace: NetNamespace, address: str) -> None:
    from podwire.kernel.rtnetlink import RtNetlink

    with RtNetlink(namespace) as door:
        door.add_address(door.index("eth0"), f"{address}/32")


def test_the_wire_server_tells_each_node_its_own_nic(platform):
    for machine in (platform.a, platform.b):
        status, body = get(machine.namespace, WIRE_SERVER, WIRE_QUERY)
        assert status == 200
        interface = ElementTree.fromstring(body).find("Interface")
        assert interface.get("MacAddress") == machine.nic.mac.replace(":", "").upper()
        found = [one.get("Address") for one in interface.iter("IPAddress")]
        assert found == list(machine.nic.addresses)


def test_a_secondary_address_gets_the_same_answer(platform):
    add_address(platform.a.namespace, "10.220.2.6")
    plain = get(platform.a.namespace, WIRE_SERVER, WIRE_QUERY)
    assert get(platform.a.namespace, WIRE_SERVER, WIRE_QUERY, source="10.220.2.6") == plain


def test_a_machine_without_an_entry_and_other_paths_are_not_found(platform):
    status, body = get(platform.control.namespace, WIRE_SERVER, WIRE_QUERY)
    assert (status, body) == (404, "No NIC of this VNet owns 172.31.0.4\n")
    assert get(platform.a.namespace, WIRE_SERVER, "/?comp=versions")[0] == 404


def test_a_change_of_the_directory_is_seen_at_once(platform, directory):
    directory.remove(HOST_A)
    assert get(platform.a.namespace, WIRE_SERVER, WIRE_QUERY)[0] == 404


def test_imds_tells_a_node_what_it_is(platform):
    path = "/metadata/instance?api-version=2021-02-01"
    status, body = get(platform.b.namespace, IMDS, path, Metadata="true")
    assert status == 200
    assert json.loads(body)["compute"]["name"] == HOST_B
    assert get(platform.b.namespace, IMDS, path)[0] == 400
    assert get(platform.b.namespace, IMDS, "/latest/meta-data/")[0] == 404


@pytest.mark.parametrize("tcp", [False, True])
def test_dns_knows_the_hosts_and_asks_the_machines_resolver_for_the_rest(platform, tcp):
    where = platform.a.namespace
    for name in (HOST_B, f"{HOST_B}.internal.cloudapp.net"):
        assert query(where, name, tcp=tcp).short() == "10.220.2.35"
    assert query(where, "example.org", tcp=tcp).short() == "192.0.2.1"
    nobody = query(where, "nobody.internal.cloudapp.net", tcp=tcp)
    assert nobody.header.rcode == RCODE.NXDOMAIN


def test_the_control_plane_can_ask_too(platform):
    assert query(platform.control.namespace, HOST_A).short() == "10.220.2.4"


def test_a_resolver_that_does_not_answer_is_a_failure_after_two_seconds(platform):
    answer = query(platform.a.namespace, "silent.example.org")
    assert answer.header.rcode == RCODE.SERVFAIL


def test_without_a_resolver_names_outside_fail(net, directory):
    with running(net.fabric, directory, []):
        assert query(net.a.namespace, HOST_B).short() == "10.220.2.35"
        assert query(net.a.namespace, "example.org").header.rcode == RCODE.SERVFAIL


def test_the_platform_is_not_on_the_machine(platform):
    """Its sockets are in the fabric alone: the machine could listen on the same port itself."""
    with socket.socket() as door:
        door.setsockopt(socket.SOL_IP, 15, 1)  # IP_FREEBIND
        door.bind((WIRE_SERVER, 80))
        door.listen()


def test_a_second_start_is_refused_and_leaves_the_first(platform, directory):
    with (
        pytest.raises(KernelError, match=r"cannot listen on 168\.63\.129\.16:80"),
        running(platform.fabric, directory, []),
    ):
        pass
    assert get(platform.a.namespace, WIRE_SERVER, WIRE_QUERY)[0] == 200


def test_close_ends_open_connections_and_frees_the_ports(net, directory):
    with running(net.fabric, directory, []):
        idle = net.a.namespace.socket(socket.AF_INET, socket.SOCK_STREAM)
        idle.settimeout(PATIENCE)
        idle.connect((WIRE_SERVER, 53))
        idle.send(b"\0")
        get(net.a.namespace, WIRE_SERVER, WIRE_QUERY)
    with idle, pytest.raises(ConnectionResetError):
        idle.recv(1)
    with running(net.fabric, directory, []):
        assert get(net.a.namespace, WIRE_SERVER, WIRE_QUERY)[0] == 200
