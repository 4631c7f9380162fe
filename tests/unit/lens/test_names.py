"""What a person's word means in a snapshot; what means nothing, or several things, is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from podwire.lens import names
from podwire.model.errors import InvalidInputError
from tests.unit.lens import build

SEEN = build.lab()


@pytest.mark.parametrize(
    ("word", "object_", "address"),
    [
        ("web-1", "pod default/web-1", "10.220.2.5"),
        ("default/web-1", "pod default/web-1", "10.220.2.5"),
        ("pod/default/web-1", "pod default/web-1", "10.220.2.5"),
        ("n2", "node n2", "10.220.2.35"),
        ("node/n2", "node n2", "10.220.2.35"),
        ("svc/web", "service default/web", build.WEB_IP),
        ("service/default/web", "service default/web", build.WEB_IP),
        ("10.220.2.36", "pod default/web-2", "10.220.2.36"),
        ("10.220.2.4", "node n1", "10.220.2.4"),
        (build.WEB_IP, "service default/web", build.WEB_IP),
        (build.FRONTEND_IP, "service default/web", build.FRONTEND_IP),
        ("9.9.9.9", "address 9.9.9.9", "9.9.9.9"),
        ("web.default.svc", "name web.default.svc", ""),
    ],
)
def test_a_word_is_a_thing(word: str, object_: str, address: str) -> None:
    found = names.thing(SEEN, word)
    assert (found.object, found.address) == (object_, address)


@pytest.mark.parametrize(
    ("word", "port"),
    [("web-1:80", 80), ("web-1", 0), ("svc/web", 80), ("svc/web:http", 80), ("10.9.9.9:53", 53)],
)
def test_a_port_is_a_number_or_a_services_name(word: str, port: int) -> None:
    assert names.target(SEEN, word).port == port


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("nobody", r"nobody is nothing in this snapshot; give a pod.*default/web-1"),
        ("svc/web:https", r"default/web has no tcp port 'https'; it has: 80/TCP http"),
        ("web-1:http", r"only ports of services have names"),
        ("web-1:99999", r"99999 is no port; take one of 1 to 65535"),
    ],
)
def test_what_means_nothing_is_refused_with_what_there_is(word: str, why: str) -> None:
    with pytest.raises(InvalidInputError, match=why):
        names.target(SEEN, word)


def test_a_name_of_several_things_is_refused_with_all_of_them() -> None:
    cluster = SEEN.clusters[0]
    twin = replace(cluster.pods[0], namespace="other")
    seen = replace(SEEN, clusters=(replace(cluster, pods=(*cluster.pods, twin)),))
    with pytest.raises(InvalidInputError, match=r"say which: pod/default/web-1, pod/other/web-1"):
        names.thing(seen, "web-1")


def test_nothing_is_sent_by_what_has_no_namespace() -> None:
    with pytest.raises(InvalidInputError, match=r"svc/web has no network namespace"):
        names.source(SEEN, "svc/web")
