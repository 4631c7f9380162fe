from __future__ import annotations

from dataclasses import replace

import pytest

from podwire.lens.doctor.judge import judge
from tests.unit.lens.doctor.mutate import (
    attachments,
    changed,
    each,
    found,
    lease,
    node,
    plus,
    pod,
    space,
    where,
    without,
)
from tests.unit.lens.saved import saved

MODES = ("bridge", "transparent")


def _pod_gone(name):
    """As a pod's namespace goes when no DEL comes: with all its links, routes and neighbours."""
    mine, host = lease(name), node(name).space

    def gone(snapshot):
        spaces = tuple(one for one in snapshot.spaces if one.id != f"pod/{pod(name)}")
        clusters = tuple(
            replace(one, pods=tuple(two for two in one.pods if two.key != pod(name)))
            for one in snapshot.clusters
        )
        return replace(snapshot, spaces=spaces, clusters=clusters)

    return (
        gone,
        space(
            host,
            links=without(lambda one: one.name == mine.host_link),
            routes=without(lambda one: one.link == mine.host_link),
            neighbours=without(lambda one: one.link == mine.host_link),
        ),
    )


@pytest.mark.parametrize("name", MODES)
def test_a_lease_whose_pod_is_gone_is_leaked(name):
    (finding,) = judge(changed(name, *_pod_gone(name))).findings
    assert (finding.id, finding.thing) == ("lease-leaked", f"pod {pod(name)}")
    assert finding.ours
    assert finding.remedy == f"podwire ipam gc --node {node(name).name}"
    assert lease(name).address in finding.evidence


@pytest.mark.parametrize("name", MODES)
def test_a_call_that_died_leaks_its_lease(name):
    here = node(name).name
    dying = where(lambda one: one.id == lease(name).id, state="releasing", owner_pid=77)
    changes = attachments(here, leases=each(dying))
    assert found(name, changes) == [], "a call may be at work on it"
    dead = attachments(here, abandoned=plus(lease(name).id))
    assert found(name, changes, dead) == [("lease-leaked", f"pod {pod(name)}")]


@pytest.mark.parametrize("name", MODES)
def test_a_lease_of_a_container_that_the_runtime_does_not_know(name):
    mine = lease(name)
    unknown = attachments(node(name).name, pods=without(lambda one: one == mine.container_id))
    assert found(name, unknown) == [("lease-unknown", f"pod {pod(name)}")]
    silent = attachments(node(name).name, pods=lambda _: None)
    assert found(name, silent) == [], "nobody was asked"


@pytest.mark.parametrize("name", MODES)
def test_an_address_that_the_source_lists_no_more(name):
    taken = where(lambda one: one.address == lease(name).address, listed=False)
    changes = attachments(node(name).name, addresses=each(taken))
    assert found(name, changes) == [("address-unlisted", f"pod {pod(name)}")]


@pytest.mark.parametrize("name", MODES)
def test_a_pod_that_no_lease_tells_of(name):
    mine = lease(name)
    changes = attachments(node(name).name, leases=without(lambda one: one.id == mine.id))
    (finding,) = judge(changed(name, changes)).findings
    assert finding.id == "pod-unleased"
    assert finding.thing == f"link {node(name).space} {mine.host_link}"
    assert finding.ours


def test_what_is_left_of_a_pod():
    link = replace(saved("bridge").space(node("bridge").space).link("eth0"))
    stray = replace(
        link, ifindex=99, name="azvdeadbeef000", master="", mac="02:0:0:0:0:1", peer=None
    )
    left = space(node("bridge").space, links=plus(stray))
    assert found("bridge", left) == [
        ("stray-objects", f"link {node('bridge').space} azvdeadbeef000")
    ]


@pytest.mark.parametrize("name", MODES)
def test_a_ledger_that_was_lost(name):
    lost = attachments(
        node(name).name,
        has_ledger=lambda _: False,
        leases=lambda _: (),
        pools=lambda _: (),
        addresses=lambda _: (),
    )
    assert found(name, lost) == [("ledger-lost", f"node {node(name).name}")]
