from __future__ import annotations

import gzip
import re

import pytest

from podwire.lens.codec import from_json, load, to_json
from podwire.model.errors import InvalidInputError
from tests.unit.lens.saved import NAMES, saved


@pytest.mark.parametrize("name", NAMES)
def test_every_veth_leads_somewhere_and_back(name):
    snapshot = saved(name)
    veths = [
        (space, link) for space in snapshot.spaces for link in space.links if link.kind == "veth"
    ]
    assert len(veths) >= 14
    for space, link in veths:
        other = snapshot.space(link.peer[0])
        assert other.link(link.peer[1]).peer == (space.id, link.name)
        assert other.link(link.peer[1]).ifindex == link.peer_index


@pytest.mark.parametrize("name", NAMES)
def test_every_running_pod_has_its_space_on_its_node(name):
    snapshot = saved(name)
    pods = [one for one in snapshot.clusters[0].pods if one.address and not one.host_network]
    assert len(pods) == 3
    for pod in pods:
        space = snapshot.space(pod.space)
        assert pod.space == f"pod/{pod.key}"
        assert pod.space in snapshot.node(pod.node).pods
        assert pod.address in [one.cidr.partition("/")[0] for one in space.addresses]


@pytest.mark.parametrize("name", NAMES)
def test_nodes_are_in_their_mode_and_nothing_is_unread(name):
    snapshot = saved(name)
    assert {one.attachments.mode for one in snapshot.nodes} == {name}
    assert all(not one.unread for one in snapshot.spaces)
    assert snapshot.changed == ()


@pytest.mark.parametrize("name", NAMES)
def test_services_have_their_endpoints_and_rules(name):
    snapshot = saved(name)
    service = next(one for one in snapshot.clusters[0].services if one.name == "nginx")
    backends = {one.address for one in service.endpoints if one.ready}
    assert len(backends) == 2
    for node in snapshot.nodes:
        tables = snapshot.space(node.space).iptables
        nat = next(one for one in tables if one.name == "nat" and not one.legacy)
        text = " ".join(rule.text for chain in nat.chains for rule in chain.rules)
        assert service.cluster_ip in text
        assert backends <= set(re.findall(r"--to-destination ([0-9.]+):80", text))


def test_a_snapshot_comes_back_from_its_json():
    assert from_json(to_json(saved("bridge"))) == saved("bridge")


def test_a_gzip_that_was_cut_off_is_refused_by_name(tmp_path):
    path = tmp_path / "half.json.gz"
    path.write_bytes(gzip.compress(to_json(saved("kubenet")).encode())[:-100])
    with pytest.raises(InvalidInputError, match=r"half\.json\.gz"):
        load(path)
