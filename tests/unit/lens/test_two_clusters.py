"""Two clusters in one lab: whose service, whose pod is meant."""

from __future__ import annotations

from dataclasses import replace

import pytest

from podwire.kernel.netns import NetNamespace
from podwire.lens import names
from podwire.lens.collect.naming import named, with_spaces
from podwire.lens.collect.node import NodeSeen
from podwire.lens.collect.spaces import Seen
from podwire.lens.doctor import remedies
from podwire.lens.doctor.judge import judge
from podwire.lens.explain import explain
from podwire.lens.snapshot import Snapshot
from podwire.lens.ui.things import things
from podwire.model.errors import InvalidInputError
from tests.unit.lens.saved import saved
from tests.unit.lens.two import FIRST, SECOND, TWIN, two_clusters

SEEN = two_clusters()
REAL = saved("two")
"""Clusters "one" (bridge) and "other" (kubenet) in one VNet, with a pod and a service "web"."""
TURNED = replace(SEEN, clusters=SEEN.clusters[::-1])


@pytest.mark.parametrize("seen", [SEEN, TURNED], ids=["in order", "the other first"])
@pytest.mark.parametrize("name", [FIRST, SECOND])
def test_each_reaches_its_own_services_and_pods(seen: Snapshot, name: str) -> None:
    cluster = next(one for one in seen.clusters if one.name == name)
    pods = [one for one in cluster.pods if one.space]
    words = [f"{one.key}:80" for one in pods if "nginx" in one.key]
    words += [f"svc/{service.key}:{service.ports[0].port}" for service in cluster.services]
    for pod in pods:
        begin = names.source(seen, f"{pod.key}@{name}")
        assert begin.cluster == name
        for word in words:
            protocol = "udp" if word.endswith(":53") else "tcp"
            end = names.target(seen, word, protocol, begin.cluster)
            assert end.thing.cluster == name
            told = explain(seen, begin, end, protocol=protocol)
            mine = {one.key for one in cluster.pods}
            assert (word, told.verdict, told.warnings) == (word, "delivered", ())
            assert all(one.pod in mine for one in told.branches if one.pod)


def test_dns_is_asked_of_the_askers_own_cluster() -> None:
    for name in (FIRST, SECOND):
        begin = names.source(SEEN, f"{TWIN}@{name}")
        told = explain(SEEN, begin, names.target(SEEN, "nginx.default.svc.cluster.local:80"))
        cluster = next(one for one in SEEN.clusters if one.name == name)
        assert told.verdict == "delivered"
        assert {one.pod for one in told.branches} <= {one.key for one in cluster.pods}


def test_a_name_that_both_have_is_told_with_its_clusters() -> None:
    with pytest.raises(InvalidInputError, match=f"pod/{TWIN}@{FIRST}, pod/{TWIN}@{SECOND}"):
        names.source(SEEN, TWIN)
    with pytest.raises(InvalidInputError, match=f"svc/nginx is several.*nginx@{SECOND}"):
        names.target(SEEN, "svc/nginx")


def test_a_cluster_that_is_none_is_refused_with_those_that_are() -> None:
    with pytest.raises(InvalidInputError, match=f"west is no cluster.*it has: {FIRST}, {SECOND}"):
        names.source(SEEN, f"{TWIN}@west")


def test_the_other_clusters_service_is_had_by_its_name() -> None:
    end = names.target(SEEN, f"svc/nginx@{SECOND}", home=FIRST)
    assert (end.thing.cluster, end.address) == (SECOND, "10.200.249.103")


def test_the_page_names_them_apart() -> None:
    ends = [one.end for one in things(SEEN) if one.name == TWIN]
    assert ends == [f"pod/{TWIN}@{FIRST}", f"pod/{TWIN}@{SECOND}"]
    assert all(names.thing(SEEN, one) for one in ends)


def test_nothing_is_wrong_with_two() -> None:
    assert judge(SEEN).findings == ()
    assert judge(TURNED).findings == ()


def test_nothing_is_wrong_with_two_in_one_vnet() -> None:
    assert judge(REAL).findings == ()
    pairs = [("one", "web"), ("one", "svc/web"), ("other", "svc/web"), ("other", "web@one")]
    for cluster, word in pairs:
        begin = names.source(REAL, f"web@{cluster}")
        told = explain(REAL, begin, names.target(REAL, f"{word}:80", home=cluster))
        assert (cluster, word, told.verdict) == (cluster, word, "delivered")
        assert told.suspects == ()


def test_a_pod_is_deleted_in_its_own_cluster() -> None:
    command = remedies.new_pod(f"pod/{TWIN}@{SECOND}")
    namespace, name = TWIN.split("/")
    assert command == f"kubectl --context {SECOND} delete pod -n {namespace} {name}"


def test_spaces_of_pods_of_one_name_have_ids_of_their_own() -> None:
    plain = [
        replace(one, id=one.id.partition("@")[0]) if one.id.startswith(f"pod/{TWIN}") else one
        for one in SEEN.spaces
    ]
    with NetNamespace.current() as here:
        for node in SEEN.nodes:
            spaces = [
                two for one, two in zip(SEEN.spaces, plain, strict=True) if one.id in node.pods
            ]
            seen = NodeSeen(replace(node, pods=()), tuple(Seen(one, here) for one in spaces))
            done = named(seen, SEEN.clusters)
            assert done.node.pods == node.pods
    for cluster in SEEN.clusters:
        assert with_spaces(cluster, SEEN.nodes, SEEN.spaces) == cluster
