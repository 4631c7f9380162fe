from __future__ import annotations

from dataclasses import replace

from podwire.lens.doctor import room
from podwire.lens.doctor.judge import judge
from tests.unit.lens.doctor.mutate import (
    attachments,
    changed,
    cluster,
    each,
    found,
    lease,
    node,
    where,
)
from tests.unit.lens.saved import saved

NODE = node("bridge").name


def _held(count: int, age: float):
    """So many addresses of the node are held, by pods that live, since so many seconds."""
    mine = [one.address for one in node("bridge").attachments.addresses]

    def hold(one):
        return replace(one, held=mine.index(one.address) < count)

    since = saved("bridge").taken - age
    young = tuple(
        replace(lease("bridge"), id=100 + at, address="", state="pending", since=since)
        for at in range(count - 2)
    )
    return attachments(NODE, addresses=each(hold), leases=lambda have: (*have, *young))


def test_a_node_without_a_free_address():
    assert found("bridge", _held(30, 9999)) == [("addresses-exhausted", f"node {NODE}")]


def test_a_node_that_is_full_soon():
    (finding,) = judge(changed("bridge", _held(27, 60))).findings
    assert (finding.id, finding.thing) == ("addresses-run-out", f"node {NODE}")
    assert "27 of 30 addresses are held, 27 more in the last hour" in finding.evidence
    assert "none is free in 0.1 hours" in finding.evidence


def test_nothing_is_foretold_where_much_is_left_or_nothing_grows():
    assert found("bridge", _held(20, 60)) == []
    old = each(where(lambda one: True, since=1.0))
    assert found("bridge", _held(27, 9999), attachments(NODE, leases=old)) == []


def test_kubelet_admits_more_than_there_are():
    many = cluster(nodes=each(where(lambda one: one.name == NODE, max_pods=110)))
    assert found("bridge", many) == [("max-pods-over", f"node {NODE}")]


def test_a_subnet_without_room_for_one_more_node():
    def small(snapshot):
        vnet = snapshot.vnets[0]
        subnets = tuple(
            replace(one, prefix="10.220.2.0/26") if one.name == "azurecni" else one
            for one in vnet.vnet.subnets
        )
        return replace(snapshot, vnets=(replace(vnet, vnet=replace(vnet.vnet, subnets=subnets)),))

    assert found("bridge", small) == [("subnet-full", "subnet networklab/aksvnet azurecni")]


def test_rooms_of_nodes_and_subnets():
    have = {one.thing: one for one in room.rooms(saved("bridge"))}
    mine = have[f"node {NODE}"]
    assert (mine.total, mine.used, mine.free, mine.per_hour) == (30, 2, 28, 2.0)
    subnet = have["subnet networklab/aksvnet azurecni"]
    assert (subnet.total, subnet.used) == (251, 62)
    assert {one.thing: one.used for one in room.rooms(saved("kubenet"))}[
        f"node {node('kubenet', 1).name}"
    ] == 2
