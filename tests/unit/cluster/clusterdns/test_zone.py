"""Names to answers, over tables of services. Source: Kubernetes DNS specification 1.1.0."""

from __future__ import annotations

from typing import Any

import pytest

from podwire.cluster.clusterdns.tables import (
    Tables,
    key_of,
    read_endpoints,
    read_namespace,
    read_service,
)
from podwire.cluster.clusterdns.zone import NOERROR, NXDOMAIN, TTL, Answer, Zone, address_of

HTTP = {"name": "http", "protocol": "TCP", "port": 80}
DNS = [{"name": "dns", "protocol": "UDP", "port": 53}, {"name": "dns-tcp", "port": 53}]


def meta(name: str, namespace: str = "default") -> dict[str, str]:
    return {"name": name, "namespace": namespace}


SERVICES: list[dict[str, Any]] = [
    {"metadata": meta("nginx"), "spec": {"clusterIP": "10.200.1.2", "ports": [HTTP]}},
    {"metadata": meta("bare"), "spec": {"clusterIP": "10.200.1.3", "ports": [{"port": 80}]}},
    {
        "metadata": meta("kube-dns", "kube-system"),
        "spec": {
            "clusterIP": "10.200.0.10",
            "clusterIPs": ["10.200.0.10", "fd00::a"],
            "ports": DNS,
        },
    },
    {"metadata": meta("db"), "spec": {"clusterIP": "None", "ports": [HTTP]}},
    {"metadata": meta("empty"), "spec": {"clusterIP": "None", "ports": [HTTP]}},
    {"metadata": meta("out"), "spec": {"type": "ExternalName", "externalName": "Example.ORG."}},
    {
        "metadata": meta("in"),
        "spec": {"type": "ExternalName", "externalName": "nginx.default.svc.cluster.local"},
    },
    {
        "metadata": meta("loop"),
        "spec": {"type": "ExternalName", "externalName": "loop.default.svc.cluster.local"},
    },
]
ENDPOINTS: list[dict[str, Any]] = [
    {
        "metadata": meta("db"),
        "subsets": [
            {
                "addresses": [{"ip": "10.220.2.6", "hostname": "db-0"}, {"ip": "10.220.2.40"}],
                "notReadyAddresses": [{"ip": "10.220.2.70", "hostname": "db-2"}],
                "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
            }
        ],
    },
    {"metadata": meta("empty")},
    {"metadata": meta("nginx"), "subsets": [{"addresses": [{"ip": "10.220.2.9"}]}]},
]


@pytest.fixture
def zone() -> Zone:
    tables = Tables()
    tables.services.update({key_of(one): read_service(one) for one in SERVICES})
    tables.endpoints.update({key_of(one): read_endpoints(one) for one in ENDPOINTS})
    for name in ("default", "kube-system"):
        document = {"metadata": {"name": name}}
        tables.namespaces[key_of(document)] = read_namespace(document)
    return Zone("cluster.local", "10.200.0.10", tables)


def ask(zone: Zone, name: str, kind: str = "A") -> Answer:
    answer = zone.resolve(name, kind)
    assert answer is not None, f"{name} was left to others"
    return answer


def data(answer: Answer) -> list[str]:
    return [f"{one.kind} {one.data}" for one in answer.records]


@pytest.mark.parametrize(
    ("name", "kind", "wanted"),
    [
        ("dns-version.cluster.local", "TXT", ['TXT "1.1.0"']),
        ("nginx.default.svc.cluster.local", "A", ["A 10.200.1.2"]),
        ("nginx.default.svc.cluster.local", "ANY", ["A 10.200.1.2"]),
        ("kube-dns.kube-system.svc.cluster.local", "AAAA", ["AAAA fd00::a"]),
        (
            "_http._tcp.nginx.default.svc.cluster.local",
            "SRV",
            ["SRV 0 100 80 nginx.default.svc.cluster.local"],
        ),
        (
            "_dns-tcp._tcp.kube-dns.kube-system.svc.cluster.local",
            "SRV",
            ["SRV 0 100 53 kube-dns.kube-system.svc.cluster.local"],
        ),
        (
            "nginx.default.svc.cluster.local",
            "SRV",
            ["SRV 0 100 80 nginx.default.svc.cluster.local"],
        ),
        ("db.default.svc.cluster.local", "A", ["A 10.220.2.6", "A 10.220.2.40"]),
        ("db-0.db.default.svc.cluster.local", "A", ["A 10.220.2.6"]),
        ("10-220-2-40.db.default.svc.cluster.local", "A", ["A 10.220.2.40"]),
        (
            "_http._tcp.db.default.svc.cluster.local",
            "SRV",
            [
                "SRV 0 100 8080 db-0.db.default.svc.cluster.local",
                "SRV 0 100 8080 10-220-2-40.db.default.svc.cluster.local",
            ],
        ),
        ("2.1.200.10.in-addr.arpa", "PTR", ["PTR nginx.default.svc.cluster.local"]),
        ("6.2.220.10.in-addr.arpa", "PTR", ["PTR db-0.db.default.svc.cluster.local"]),
        ("out.default.svc.cluster.local", "CNAME", ["CNAME Example.ORG"]),
        ("out.default.svc.cluster.local", "A", ["CNAME Example.ORG"]),
        (
            "in.default.svc.cluster.local",
            "A",
            ["CNAME nginx.default.svc.cluster.local", "A 10.200.1.2"],
        ),
        ("loop.default.svc.cluster.local", "A", ["CNAME loop.default.svc.cluster.local"]),
        ("10-220-2-9.default.pod.cluster.local", "A", ["A 10.220.2.9"]),
        ("fd00--9.default.pod.cluster.local", "AAAA", ["AAAA fd00::9"]),
        ("cluster.local", "NS", ["NS ns.dns.cluster.local"]),
        ("ns.dns.cluster.local", "A", ["A 10.200.0.10"]),
        (
            "cluster.local",
            "SOA",
            ["SOA ns.dns.cluster.local hostmaster.cluster.local 1 7200 1800 86400 5"],
        ),
    ],
)
def test_answers(zone: Zone, name: str, kind: str, wanted: list[str]) -> None:
    answer = ask(zone, name, kind)
    assert data(answer) == wanted
    assert answer.rcode == NOERROR
    assert answer.records[0].name == name
    assert all(5 <= one.ttl <= 30 for one in answer.records)
    assert not answer.authority


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("nginx.default.svc.cluster.local", "AAAA"),
        ("db-0.db.default.svc.cluster.local", "AAAA"),
        ("bare.default.svc.cluster.local", "SRV"),
        ("nginx.default.svc.cluster.local", "MX"),
        ("10-220-2-9.default.pod.cluster.local", "AAAA"),
        ("2.1.200.10.in-addr.arpa", "A"),
        ("cluster.local", "A"),
        ("svc.cluster.local", "A"),
        ("pod.cluster.local", "A"),
        ("default.svc.cluster.local", "A"),
        ("default.pod.cluster.local", "A"),
        ("_tcp.nginx.default.svc.cluster.local", "SRV"),
    ],
)
def test_a_name_without_that_type_is_no_data(zone: Zone, name: str, kind: str) -> None:
    answer = ask(zone, name, kind)
    assert (answer.rcode, answer.records) == (NOERROR, ())
    assert [(one.kind, one.name, one.ttl) for one in answer.authority] == [
        ("SOA", "cluster.local", TTL)
    ]


@pytest.mark.parametrize(
    "name",
    [
        "missing.default.svc.cluster.local",
        "nginx.other.svc.cluster.local",
        "other.svc.cluster.local",
        "other.pod.cluster.local",
        "empty.default.svc.cluster.local",
        "db-2.db.default.svc.cluster.local",
        "db-9.db.default.svc.cluster.local",
        "10-220-2-9.nginx.default.svc.cluster.local",
        "_http._udp.nginx.default.svc.cluster.local",
        "_https._tcp.nginx.default.svc.cluster.local",
        "_._tcp.bare.default.svc.cluster.local",
        "_udp.nginx.default.svc.cluster.local",
        "a._http._tcp.nginx.default.svc.cluster.local",
        "x.out.default.svc.cluster.local",
        "10-220-2-9.other.pod.cluster.local",
        "10-220-2-999.default.pod.cluster.local",
        "nginx.default.pod.cluster.local",
        "www.example.org.default.svc.cluster.local",
        "www.example.org.svc.cluster.local",
        "www.example.org.cluster.local",
        "kubernetes.cluster.local",
    ],
)
def test_what_is_not_there_is_denied(zone: Zone, name: str) -> None:
    answer = ask(zone, name)
    assert (answer.rcode, answer.records) == (NXDOMAIN, ())
    assert [one.kind for one in answer.authority] == ["SOA"]


@pytest.mark.parametrize(
    "name",
    [
        "example.org",
        "notcluster.local",
        "local",
        "9.9.9.9.in-addr.arpa",
        "200.10.in-addr.arpa",
        "9.2.220.10.in-addr.arpa",
    ],
)
def test_other_names_are_for_others(zone: Zone, name: str) -> None:
    assert zone.resolve(name, "A") is None
    assert zone.resolve(name, "PTR") is None


def test_an_external_name_outside_is_to_be_followed(zone: Zone) -> None:
    assert ask(zone, "out.default.svc.cluster.local").follow == "Example.ORG"
    assert ask(zone, "out.default.svc.cluster.local", "CNAME").follow == ""
    assert ask(zone, "in.default.svc.cluster.local").follow == ""


def test_srv_answers_bring_the_addresses_of_their_targets(zone: Zone) -> None:
    answer = ask(zone, "_http._tcp.db.default.svc.cluster.local", "SRV")
    assert [(one.name.split(".")[0], one.data) for one in answer.additional] == [
        ("db-0", "10.220.2.6"),
        ("10-220-2-40", "10.220.2.40"),
    ]


def test_reverse_names_follow_changes(zone: Zone) -> None:
    assert ask(zone, "2.1.200.10.in-addr.arpa", "PTR").records
    del zone.tables.services[("default", "nginx")]
    zone.tables.changed()
    assert zone.resolve("2.1.200.10.in-addr.arpa", "PTR") is None


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("10.0.200.10.in-addr.arpa", "10.200.0.10"),
        ("a" + ".0" * 27 + ".0.0.d.f.ip6.arpa", "fd00::a"),
        ("x.0.200.10.in-addr.arpa", ""),
        ("0.200.10.in-addr.arpa", ""),
        ("0.d.f.ip6.arpa", ""),
    ],
)
def test_reverse_names_are_read(name: str, address: str) -> None:
    assert address_of(name) == address


def test_another_domain(zone: Zone) -> None:
    other = Zone("lab.example", "10.200.0.10", zone.tables)
    answer = ask(other, "_http._tcp.nginx.default.svc.lab.example", "SRV")
    assert data(answer) == ["SRV 0 100 80 nginx.default.svc.lab.example"]
    assert other.resolve("nginx.default.svc.cluster.local", "A") is None
