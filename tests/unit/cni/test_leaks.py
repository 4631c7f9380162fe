"""Each disagreement of ledger, kernel and runtime, judged from a survey made by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from podwire.cni.containers import Containers, Kept
from podwire.cni.leaks import ADOPT, FREE, GRACE, REMOVE, findings
from podwire.cni.survey import Survey
from podwire.ipam.lease import ATTACHED, OWN_IPAM, PENDING, RELEASING, AddressState, Lease
from podwire.kernel.pods import PodObjects, WiredPod
from podwire.kernel.rtnetlink import Link

NOW = 1_000_000.0
IP, MAC, LINK, CONTAINER = "10.220.2.5", "02:00:00:00:00:05", "azv5", "a" * 64
OTHER_IP, OTHER_MAC = "10.220.2.6", "02:00:00:00:00:06"
RUNTIME = Containers(frozenset(["b" * 64]), "crictl")


def lease(**other: Any) -> Lease:
    have = Lease(
        *(1, IP, "10.220.2.0/24", "10.220.2.1", ATTACHED, CONTAINER, "eth0", "/run/netns/x"),
        *("default", "web", "azure", LINK, MAC, "azure0", OWN_IPAM, 0, 0, NOW - 2 * GRACE),
    )
    return replace(have, **other)


def link(name: str) -> Link:
    return Link(9, name, MAC, 1500, True, True, 2, "veth", 8, 0, True, False)


def address(ip: str, *, listed: bool = True, held: bool = False) -> AddressState:
    return AddressState(ip, "10.220.2.0/24", "", listed, None, held)


def kernel(**other: Any) -> PodObjects:
    """One pod, wired whole."""
    whole = PodObjects({LINK: link(LINK)}, {MAC: LINK}, {IP: MAC}, {IP: MAC}, frozenset([LINK]), (),
                       frozenset(["10.220.2.4"]))  # fmt: skip
    return whole._replace(**other)


def seen(*leases: Lease, **other: Any) -> Survey:
    listed = (address(IP, held=True), address(OTHER_IP))
    whole = Survey(leases, listed, kernel(), Containers(), leaked=frozenset())
    return replace(whole, **other)


def told(survey: Survey, **given: float) -> list[tuple[str, str, str]]:
    found = findings(survey, now=NOW, **given)
    return [(one.kind, one.address or one.host_link, one.gc) for one in found]


def test_agreement() -> None:
    assert told(seen(lease())) == []
    assert told(seen(lease(), containers=Containers(frozenset([CONTAINER]), "crictl"))) == []


@pytest.mark.parametrize(
    ("one", "cause"),
    [
        (lease(), f"link {LINK} is gone"),
        (lease(host_link="", mac=""), "network namespace /run/netns/x is gone"),
        (lease(container_id="", ifname=""), "only the kernel told of it"),
    ],
)
def test_a_pod_that_is_gone(one: Lease, cause: str) -> None:
    left = kernel(links={}, ends={}, loops=frozenset())
    (finding,) = findings(seen(one, leaked=frozenset([1]), kernel=left), now=NOW)
    assert (finding.kind, finding.gc) == ("gone", FREE)
    assert cause in finding.cause


@pytest.mark.parametrize(("state", "verb"), [(PENDING, "ADD"), (RELEASING, "DEL")])
def test_a_dead_call_and_one_under_way(state: str, verb: str) -> None:
    one = lease(state=state, owner_pid=77)
    assert told(seen(one, missing={1: ("link host azv5",)})) == []
    (finding,) = findings(seen(one, leaked=frozenset([1])), now=NOW)
    assert (finding.kind, finding.gc) == ("dead-call", FREE)
    assert f"process 77, which worked on its {verb}" in finding.cause


def test_what_another_ipam_plugin_gave_is_left_to_the_plugins() -> None:
    (finding,) = findings(seen(lease(ipam="host-local"), leaked=frozenset([1])), now=NOW)
    assert (finding.kind, finding.gc) == ("gone", "")
    assert "host-local gave it" in finding.remedy


def test_a_container_that_the_runtime_lacks_is_proven_by_an_empty_pod_alone() -> None:
    kind = ("unknown-container", IP)
    assert told(seen(lease(), containers=RUNTIME)) == [(*kind, "")]
    assert told(seen(lease(), containers=RUNTIME, empty=frozenset([LINK]))) == [(*kind, FREE)]
    wrong = frozenset([1])  # what its namespace's path leads to may be another's by now
    assert told(seen(lease(), containers=RUNTIME, empty=wrong)) == [(*kind, "")]
    others = seen(lease(host_link=""), containers=RUNTIME, empty=wrong, kernel=kernel(links={}))
    assert told(others)[0] == (*kind, FREE)


@pytest.mark.parametrize(
    ("one", "containers"),
    [
        (lease(since=NOW - GRACE + 1), RUNTIME),
        (lease(), Containers(None, "there is no crictl")),
        (lease(container_id="cnitool-77"), RUNTIME),
        (lease(), replace(RUNTIME, own=frozenset([CONTAINER]))),
        (lease(), Containers(frozenset([CONTAINER[:12]]), "docker ps -q")),
    ],
)
def test_what_the_runtimes_list_says_nothing_about(one: Lease, containers: Containers) -> None:
    assert told(seen(one, containers=containers)) == []


@pytest.mark.parametrize(
    ("harm", "cause"),
    [
        ({"neighbours": {IP: OTHER_MAC}}, f"neighbour entry leads to {OTHER_MAC}, nobody"),
        ({"elements": {IP: OTHER_MAC}}, f"MAC NAT entry leads to {OTHER_MAC}"),
        ({"own": frozenset([IP])}, "the node itself has it"),
        ({"routed": (WiredPod(IP, OTHER_MAC, "azv6"),)}, "the pod at azv6 has it too"),
    ],
)
def test_an_address_twice(harm: dict[str, Any], cause: str) -> None:
    (finding,) = findings(seen(lease(), kernel=kernel(**harm)), now=NOW)
    assert (finding.kind, finding.gc) == ("double", "")
    assert cause in finding.cause


def test_two_pods_with_one_address_but_not_one_pod_with_two_interfaces() -> None:
    one, two = lease(), lease(id=2, address=OTHER_IP, host_link="azv6", mac=OTHER_MAC)
    both = kernel(
        links={LINK: link(LINK), "azv6": link("azv6")},
        neighbours={IP: MAC, OTHER_IP: OTHER_MAC},
        elements={IP: MAC, OTHER_IP: OTHER_MAC},
    )
    inside = {1: frozenset([IP, OTHER_IP]), 2: frozenset([IP, OTHER_IP])}
    assert told(seen(one, two, kernel=both, inside=inside)) == []
    stranger = replace(two, container_id="c" * 64)
    survey = seen(one, stranger, kernel=both, inside=inside)
    assert told(survey) == [("double", IP, ""), ("double", OTHER_IP, "")]


def test_a_pod_that_lacks_something() -> None:
    (finding,) = findings(seen(lease(), missing={1: ("neighbour host azure0 x",)}), now=NOW)
    assert (finding.kind, finding.gc) == ("not-wired", "")
    assert "kubectl delete pod -n default web" in finding.remedy


def test_an_address_that_is_listed_no_more() -> None:
    survey = seen(lease(), addresses=(address(IP, listed=False, held=True),))
    assert told(survey) == [("unlisted", IP, "")]


def test_kernel_objects_without_a_lease() -> None:
    assert told(seen()) == [("stray-pod", IP, ADOPT)]
    rest = kernel(links={}, ends={})
    assert told(seen(kernel=rest)) == [
        ("stray-address", IP, REMOVE),
        ("stray-element", LINK, REMOVE),
    ]
    assert told(seen(others=(lease(),))) == []  # a call was at it
    foreign = kernel(links={}, ends={}, neighbours={"10.9.9.9": MAC}, elements={}, loops=set())
    assert told(seen(kernel=foreign)) == []


def test_a_stray_address_never_takes_the_link_of_a_pod_along() -> None:
    twice = kernel(neighbours={IP: MAC, OTHER_IP: MAC}, elements={IP: MAC})
    (finding,) = findings(seen(lease(), kernel=twice), now=NOW)
    assert (finding.kind, finding.address, finding.gc) == ("stray-address", OTHER_IP, REMOVE)
    assert finding.survivor is not None
    assert finding.survivor.host_link == ""


def test_a_stray_link_is_proven_by_its_empty_other_end() -> None:
    bare = kernel(ends={}, neighbours={}, elements={}, loops=frozenset())
    assert told(seen(kernel=bare)) == [("stray-link", LINK, "")]
    assert told(seen(kernel=bare, empty=frozenset([LINK]))) == [("stray-link", LINK, REMOVE)]
    assert told(seen(kernel=bare, others=(lease(),))) == []


def test_what_the_runtime_remembers_names_a_stray_pod() -> None:
    kept = Kept("/var/lib/cni/results/x", "azure", CONTAINER, "eth0", (IP,))
    containers = Containers(frozenset([CONTAINER]), "crictl", (kept,))
    (finding,) = findings(seen(containers=containers), now=NOW)
    assert (finding.kind, finding.container_id, finding.gc) == ("stray-pod", CONTAINER, ADOPT)
    nowhere = kernel(links={}, ends={}, neighbours={}, elements={}, loops=frozenset())
    assert told(seen(kernel=nowhere, containers=containers)) == [("no-lease", IP, "")]
    ended = replace(containers, ids=frozenset())
    assert told(seen(kernel=nowhere, containers=ended)) == []


def test_without_a_ledger_nothing_is_a_leak() -> None:
    assert told(seen(has_ledger=False)) == [("lost-ledger", "", "")]
    nowhere = kernel(links={}, ends={}, neighbours={}, elements={}, loops=frozenset())
    assert told(seen(has_ledger=False, kernel=nowhere)) == []
