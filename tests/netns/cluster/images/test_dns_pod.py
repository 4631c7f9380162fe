"""The DNS pod: the image, run as the manifest runs it, against an API server over HTTPS."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import dnslib
import dnslib.server
import pytest
import yaml
from cri_api.v1 import api_pb2 as cri

from podwire.cluster.clusterdns.server import KINDS
from podwire.cluster.manifests import cluster_dns_manifest
from podwire.kernel.netns import NetNamespace
from tests.unit.cluster.clusterdns.api_server import ApiState, api_server, named, service

from .conftest import Container, Machine, proportional, security, until

NAMESPACES, SERVICES, ENDPOINTS = KINDS
ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
_MEGABYTE = 1024
NGINX = "nginx.default.svc.cluster.local"


class Resolver(dnslib.server.BaseResolver):
    """What the node's resolver knows."""

    def resolve(self, request: Any, handler: Any) -> Any:
        reply = request.reply()
        reply.add_answer(*dnslib.RR.fromZone("www.example.org. 60 A 192.0.2.7"))
        return reply


@dataclass(frozen=True, slots=True)
class Dns:
    machine: Machine
    container: Container
    state: ApiState

    def ask(self, name: str, kind: str = "A", *, tcp: bool = False) -> list[str]:
        """The data of the answer, asked from the node."""
        query = dnslib.DNSRecord.question(name, kind)
        with NetNamespace.open(int(self.machine.node.pid or 0)) as space, space.entered():
            reply = dnslib.DNSRecord.parse(query.send("127.0.0.1", 53, tcp=tcp, timeout=3))
        return [str(one.rdata) for one in reply.rr]


@pytest.fixture
def dns(machine: Machine) -> Iterator[Dns]:
    pod = next(
        document["spec"]["template"]["spec"]
        for document in yaml.safe_load_all(cluster_dns_manifest("10.200.0.10"))
        if document["kind"] == "Deployment"
    )
    account = machine.inside(machine.work / "account")
    account.parent.mkdir(parents=True, exist_ok=True)
    quiet = dnslib.server.DNSLogger("-request,-reply,-recv,-send")
    with NetNamespace.open(int(machine.node.pid or 0)) as space, space.entered():
        resolver = dnslib.server.DNSServer(Resolver(), address="127.0.0.53", logger=quiet)
        resolver_tcp = dnslib.server.DNSServer(
            Resolver(), address="127.0.0.53", tcp=True, logger=quiet
        )
        served = api_server(account)
        state, port = served.__enter__()
    for one in (resolver, resolver_tcp):
        threading.Thread(target=one.server.serve_forever, args=(0.05,), daemon=True).start()
    state.put(NAMESPACES, {"metadata": {"name": "default", "namespace": ""}})
    state.put(SERVICES, service("nginx", "10.200.1.2"))
    container = None
    try:
        container = machine.start(
            "cluster-dns",
            pod["containers"][0]["image"],
            args=[*pod["containers"][0]["args"], "--listen", "127.0.0.1"],
            envs=[
                cri.KeyValue(key="KUBERNETES_SERVICE_HOST", value="127.0.0.1"),
                cri.KeyValue(key="KUBERNETES_SERVICE_PORT", value=str(port)),
            ],
            mounts=[
                cri.Mount(
                    container_path=ACCOUNT, host_path=str(machine.work / "account"), readonly=True
                ),
                cri.Mount(container_path="/etc/resolv.conf", host_path=_resolv_conf(machine)),
            ],
            security_context=security(pod["containers"][0]["securityContext"]),
        )
        yield Dns(machine, container, state)
    finally:
        if container:
            container.remove()
        for one in (resolver, resolver_tcp):
            one.server.shutdown()
            one.server.server_close()
        served.__exit__(None, None, None)


def _resolv_conf(machine: Machine) -> str:
    path = machine.work / "resolv.conf"
    machine.inside(path).write_text("nameserver 127.0.0.53\n")
    return str(path)


def _wait_ready(dns: Dns) -> None:
    try:
        until(lambda: _ready(dns), "the pod's readiness")
    except AssertionError as error:
        raise AssertionError(f"{error}; it said: {dns.container.log.read_text()}") from None


def _ready(dns: Dns) -> bool:
    page = ("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:8181/ready")
    return dns.machine.run(*page, check=False).stdout == "200"


def test_the_pod_answers_follows_changes_and_ends_at_once(dns: Dns) -> None:
    _wait_ready(dns)
    assert dns.ask(NGINX) == dns.ask(NGINX, tcp=True) == ["10.200.1.2"]
    assert dns.ask("2.1.200.10.in-addr.arpa", "PTR") == [f"{NGINX}."]
    assert dns.ask("www.example.org") == dns.ask("www.example.org", tcp=True) == ["192.0.2.7"]

    dns.state.put(SERVICES, service("fresh", "None"))
    address = {"ip": "10.220.2.9", "hostname": "one"}
    dns.state.put(ENDPOINTS, named("fresh", subsets=[{"addresses": [address]}]))
    until(lambda: dns.ask("one.fresh.default.svc.cluster.local") == ["10.220.2.9"], "the endpoint")
    dns.state.forget()
    dns.state.delete(SERVICES, "nginx")
    until(lambda: dns.ask(NGINX) == [], "the service's end")

    assert dns.machine.run("curl", "-sf", "http://127.0.0.1:8080/health").stdout == "OK"
    memory = proportional(dns.container)
    assert memory < 30 * _MEGABYTE, f"{memory} kB"
    took, code = dns.container.stop()
    assert code == 0
    assert took < 2, "it must end on TERM, not by the kill after the grace of 10 s"


def test_it_comes_up_while_the_api_server_is_not_there_yet(dns: Dns) -> None:
    dns.state.broken = 3
    dns.state.hang_up()
    _wait_ready(dns)
    time.sleep(0.2)
    assert dns.ask(NGINX) == ["10.200.1.2"]
