from __future__ import annotations

from dataclasses import replace

import pytest

from podwire.lens.snapshot import Address
from tests.unit.lens.doctor.mutate import found, lease, link, node, plus, pod, space
from tests.unit.lens.saved import saved

FIRST, SECOND = f"pod/{pod('bridge')}", f"pod/{pod('bridge', at=1)}"


def test_a_pod_that_has_anothers_address_too():
    theirs = lease("bridge").address
    taken = space(SECOND, addresses=plus(Address("eth0", f"{theirs}/24")))
    assert found("bridge", taken) == [("address-twice", f"link {SECOND} eth0")]


def test_a_node_that_has_a_pods_address():
    host = node("bridge", 1).space
    taken = space(host, addresses=plus(Address("azure0", f"{lease('bridge').address}/24")))
    assert found("bridge", taken) == [("address-twice", f"link {FIRST} eth0")]


@pytest.mark.parametrize("name", ["bridge", "kubenet"])
def test_what_is_each_machines_own_is_not_doubled(name):
    both = (
        space(one.space, addresses=plus(Address("docker0", "172.17.0.1/16")))
        for one in saved(name).nodes
    )
    assert found(name, *both) == []


def test_two_pods_of_a_node_with_one_mac():
    one, other = (f"pod/{pod('kubenet', word, at=1)}" for word in ("nginx", "cluster-dns"))
    mac = saved("kubenet").space(one).link("eth0").mac
    assert found("kubenet", link(other, "eth0", mac=mac)) == [("mac-twice", f"link {other} eth0")]


def test_two_nics_with_one_address_or_mac():
    def change(**values):
        def make(snapshot):
            vnet = snapshot.vnets[0]
            last = vnet.nics[-1]
            nics = (*vnet.nics[:-1], replace(last, nic=replace(last.nic, **values)))
            return replace(snapshot, vnets=(replace(vnet, nics=nics),))

        return make

    first, last = (saved("kubenet").vnets[0].nics[at].nic for at in (-2, -1))
    both = change(addresses=(*last.addresses, *first.addresses))
    assert found("kubenet", both) == [("address-twice", f"nic {last.name}")]
    assert found("kubenet", change(mac=first.mac)) == [("mac-twice", f"nic {last.name}")]
