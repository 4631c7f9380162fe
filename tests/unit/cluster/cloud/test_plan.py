from __future__ import annotations

import pytest

from podwire.cluster.cloud.plan import (
    ADDRESS,
    EXCLUDED,
    IDLE_TIMEOUT,
    INTERNAL,
    SOURCES,
    SUBNET,
    backends,
    balancer,
    plan_service,
    status_address,
    wants_balancer,
)
from podwire.model.errors import InvalidInputError
from podwire.model.load_balancer import Frontend, Probe, check_load_balancer

UID = "0c3e2048-cbd5-4381-997b-189839651835"
BASE = "a0c3e2048cbd54381997b18983965183"


def service(ports=(("TCP", 80, 31000),), notes=None, **spec):
    listed = [{"protocol": name, "port": port, "nodePort": node} for name, port, node in ports]
    return {
        "metadata": {"name": "web", "namespace": "default", "uid": UID, "annotations": notes},
        "spec": {"type": "LoadBalancer", "ports": listed, **spec},
    }


def plan(*arguments, **spec):
    return plan_service(service(*arguments, **spec), "azurecni")


def node(name, ready="True", **metadata):
    return {
        "metadata": {"name": name, **metadata},
        "spec": {},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }


def test_a_public_service_has_a_floating_rule_and_a_probe_of_its_node_port():
    made = plan()
    assert (made.frontend, made.subnet, made.wanted) == (BASE, None, "")
    assert made.probes == (Probe(f"{BASE}-TCP-80", "tcp", 31000, interval=5.0, threshold=2),)
    rule = made.rules[0]
    assert (rule.name, rule.probe) == (f"{BASE}-TCP-80", f"{BASE}-TCP-80")
    assert (rule.frontend_port, rule.backend_port, rule.floating) == (80, 80, True)
    assert (rule.persistence, rule.idle_minutes, rule.sources) == ("Default", 4, ())


@pytest.mark.parametrize(
    ("notes", "frontend", "subnet"),
    [
        ({INTERNAL: "true"}, BASE, "azurecni"),
        ({INTERNAL: "true", SUBNET: "apps"}, f"{BASE}-apps", "apps"),
        ({INTERNAL: "True"}, BASE, None),
        ({SUBNET: "apps"}, BASE, None),
    ],
)
def test_where_the_frontend_is(notes, frontend, subnet):
    made = plan(notes=notes)
    assert (made.frontend, made.subnet) == (frontend, subnet)


def test_the_wanted_address_is_the_annotation_s_or_the_spec_s():
    assert plan(loadBalancerIP="10.220.2.9").wanted == "10.220.2.9"
    assert plan(notes={ADDRESS: "10.220.2.8"}, loadBalancerIP="10.220.2.9").wanted == "10.220.2.8"


def test_several_ports_and_udp_which_has_no_probe():
    made = plan((("TCP", 80, 31000), ("UDP", 53, 31001), ("TCP", 53, 31002)))
    assert [one.name for one in made.rules] == [
        f"{BASE}-TCP-80",
        f"{BASE}-UDP-53",
        f"{BASE}-TCP-53",
    ]
    assert [one.probe for one in made.rules] == [f"{BASE}-TCP-80", "", f"{BASE}-TCP-53"]
    assert [one.port for one in made.probes] == [31000, 31002]


def test_with_local_policy_one_http_probe_tells_for_all_ports():
    ports = (("TCP", 80, 31000), ("UDP", 53, 31001))
    made = plan(ports, externalTrafficPolicy="Local", healthCheckNodePort=32000)
    assert made.probes == (Probe(BASE, "http", 32000, "/healthz"),)
    assert [one.probe for one in made.rules] == [BASE, BASE]


def test_affinity_idle_timeout_and_sources():
    notes = {IDLE_TIMEOUT: "10", SOURCES: "10.0.0.0/8, 192.168.0.0/16"}
    made = plan((("TCP", 80, 31000), ("UDP", 53, 31001)), notes, sessionAffinity="ClientIP")
    assert [one.persistence for one in made.rules] == ["SourceIP", "SourceIP"]
    assert [one.idle_minutes for one in made.rules] == [10, 4]
    assert made.rules[0].sources == ("10.0.0.0/8", "192.168.0.0/16")
    both = plan(notes=notes, loadBalancerSourceRanges=["1.2.3.0/24"])
    assert both.rules[0].sources == ("1.2.3.0/24",)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"ports": (("SCTP", 80, 31000),)}, "SCTP is not supported"),
        ({"ports": ()}, "no ports provided"),
        ({"notes": {IDLE_TIMEOUT: "31"}}, "between 4 and 30"),
        ({"notes": {IDLE_TIMEOUT: "four"}}, "between 4 and 30"),
    ],
)
def test_what_the_cloud_cannot_do(arguments, text):
    with pytest.raises(InvalidInputError, match=text):
        plan(**arguments)


def test_which_services_count():
    assert wants_balancer(service())
    assert not wants_balancer(service(type="ClusterIP"))
    assert not wants_balancer(service(loadBalancerClass="example.com/other"))
    going = service()
    going["metadata"]["deletionTimestamp"] = "2020-12-01T00:00:00Z"
    assert not wants_balancer(going)


@pytest.mark.parametrize(
    ("status", "address"),
    [
        ({}, ""),
        ({"loadBalancer": {}}, ""),
        ({"loadBalancer": {"ingress": [{"ip": "198.18.0.4"}]}}, "198.18.0.4"),
    ],
)
def test_the_address_that_is_shown(status, address):
    assert status_address({"status": status}) == address


def test_which_nodes_serve_in_one_order():
    nodes = [
        node("c"),
        node("a"),
        node("not-ready", "False"),
        node("excluded", labels={EXCLUDED: ""}),
        node("deleted", deletionTimestamp="2020-12-01T00:00:00Z"),
        node("unknown"),
        {**node("leaving"), "spec": {"taints": [{"key": "ToBeDeletedByClusterAutoscaler"}]}},
    ]
    addresses = {"a": "10.220.2.4", "c": "10.220.2.35"}
    assert backends(nodes, addresses.get) == ("10.220.2.4", "10.220.2.35")


def test_services_are_put_together_in_one_well_formed_balancer():
    ports = (("TCP", 80, 31000), ("TCP", 81, 31001))
    made = plan(ports, {INTERNAL: "true"}, externalTrafficPolicy="Local", healthCheckNodePort=3)
    lb = balancer("MC_lab", "kubernetes-internal", [(made, "10.220.2.6")], ("10.220.2.4",))
    check_load_balancer(lb)
    assert lb.key == "mc_lab/kubernetes-internal"
    assert lb.frontends == (Frontend(BASE, "10.220.2.6", "azurecni"),)
    assert (len(lb.rules), len(lb.probes)) == (2, 1)
