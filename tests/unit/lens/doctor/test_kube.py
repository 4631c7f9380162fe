from __future__ import annotations

from dataclasses import replace

import pytest

from podwire.lens.doctor.judge import judge
from podwire.lens.kube_values import Pod
from tests.unit.lens.doctor.mutate import (
    attachments,
    changed,
    cluster,
    each,
    found,
    node,
    plus,
    pod,
    space,
    where,
)
from tests.unit.lens.saved import NAMES, saved


def _pod(name, **values):
    return cluster(pods=each(where(lambda one: one.key == pod(name), **values)))


@pytest.mark.parametrize("name", NAMES)
def test_a_node_that_is_not_ready(name):
    tired = cluster(nodes=each(where(lambda one: one.name == node(name).name, ready=False)))
    assert found(name, tired) == [("node-not-ready", f"node {node(name).name}")]


@pytest.mark.parametrize("name", NAMES)
def test_a_pod_that_runs_without_a_network(name):
    lost = Pod("default", "lost", "u", node(name).name, "10.9.9.9", "Running", True)
    assert found(name, cluster(pods=plus(lost))) == [("pod-without-network", "pod default/lost")]
    for other in (
        replace(lost, host_network=True),
        replace(lost, phase="Succeeded"),
        replace(lost, node="one-that-was-not-looked-at"),
    ):
        assert found(name, cluster(pods=plus(other))) == []


@pytest.mark.parametrize("name", NAMES)
def test_an_address_that_the_kernel_has_otherwise(name):
    other = found(name, _pod(name, address="10.9.9.9"))
    assert other == [("address-differs", f"pod {pod(name)}")]


def test_a_pod_whose_wiring_is_known_to_be_wrong_is_told_once():
    gone = space(f"pod/{pod('bridge')}", addresses=lambda _: ())
    assert found("bridge", gone) == [("pod-wiring", f"pod {pod('bridge')}")]


@pytest.mark.parametrize("name", NAMES)
def test_a_pod_that_waits_for_an_address(name):
    waits = Pod(
        *("default", "late", "u", node(name).name, "", "Pending", False),
        message="failed to set up sandbox: azure-vnet: no free address in 10.0.0.0/24",
    )
    kinds = [("pod-waits-for-address", "pod default/late")]
    assert found(name, cluster(pods=plus(waits))) == kinds
    image = replace(waits, message='Back-off pulling image "nginx"')
    assert found(name, cluster(pods=plus(image))) == []


def test_a_pod_that_waits_on_a_node_that_is_full():
    waits = Pod("default", "late", "u", node("bridge").name, "", "Pending", False)
    full = attachments(node("bridge").name, addresses=each(where(lambda _: True, held=True)))
    assert found("bridge", full, cluster(pods=plus(waits))) == [
        ("addresses-exhausted", f"node {node('bridge').name}"),
        ("pod-waits-for-address", "pod default/late"),
    ]


def _unready(key):
    """As kube-proxy does when the last of a service's pods is not ready: its rules go, too."""

    def ends(one):
        if one.key != key:
            return one
        return replace(one, endpoints=each(where(lambda _: True, ready=False))(one.endpoints))

    return cluster(services=each(ends))


def _no_rules(name, key):
    """On no node a chain of the service's endpoints."""
    words = (f'"{key}"', f'"{key}:')

    def chains(table):
        kept = tuple(
            one
            for one in table.chains
            if not (
                one.name.startswith("KUBE-SEP-")
                and any(word in rule.text for rule in one.rules for word in words)
            )
        )
        return replace(table, chains=kept)

    return [space(one.space, iptables=each(chains)) for one in saved(name).nodes]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("default/nginx", "service-without-endpoints"),
        ("kube-system/kube-dns", "dns-without-endpoints"),
    ],
)
def test_a_service_without_endpoints(name, key, kind):
    assert found(name, _unready(key), *_no_rules(name, key)) == [(kind, f"service {key}")]


@pytest.mark.parametrize("name", NAMES)
def test_rules_that_lead_to_an_endpoint_that_is_gone(name):
    own = next(one for one in saved(name).clusters[0].pods if one.key == pod(name))

    def fewer(one):
        left = tuple(end for end in one.endpoints if end.address != own.address)
        return replace(one, endpoints=left) if one.key == "default/nginx" else one

    report = judge(changed(name, cluster(services=each(fewer))))
    assert {(one.id, one.thing) for one in report.findings} == {
        ("service-rules-stale", "service default/nginx")
    }
    assert [one.node for one in report.findings] == [one.name for one in saved(name).nodes]
    assert f"{own.address}:80" in report.findings[0].evidence


@pytest.mark.parametrize("name", NAMES)
def test_rules_that_lack_an_endpoint(name):
    first, _ = _no_rules(name, "default/nginx")
    (finding,) = judge(changed(name, first)).findings
    assert (finding.id, finding.thing) == ("service-rules-missing", "service default/nginx")
    assert finding.node == node(name).name


def test_a_node_without_kube_proxys_rules_is_not_judged_by_them():
    bare = space(node("bridge").space, iptables=lambda _: ())
    assert found("bridge", bare) == []


def test_an_api_server_that_did_not_answer_is_not_judged():
    silent = cluster(asked=lambda _: False, nodes=each(where(lambda _: True, ready=False)))
    assert found("bridge", silent) == []
