"""What figures say: of broken things, of one pod, of what is not there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from podwire.ipam.lease import AddressState, Pool
from podwire.lens import draw
from podwire.lens.draw.compare import aligned, compare, stem
from podwire.lens.draw.contrast import Side, facts
from podwire.lens.draw.metrics import PIXELS
from podwire.lens.draw.ranges import of_vnet
from podwire.lens.draw.scene import Scene, ident
from podwire.lens.draw.views import node_views
from podwire.lens.kube_chains import Chains
from podwire.lens.kube_values import Cluster
from podwire.lens.snapshot import Address, Attachments, Neighbour, Snapshot, Space
from podwire.model.errors import InvalidInputError
from tests.unit.lens.draw import scenes

NODE = scenes.Made(0, 3)
POD = f"default/{NODE.naming(1)}"


def said(scene: Scene) -> str:
    return "\n".join(one.full for one in scene.texts)


def changed(snapshot: Snapshot, space: str, **fields: object) -> Snapshot:
    spaces = tuple(
        replace(one, **fields) if one.id == space else one  # type: ignore[arg-type]
        for one in snapshot.spaces
    )
    return replace(snapshot, spaces=spaces)


def space_of(snapshot: Snapshot, id: str) -> Space:  # noqa: A002
    found = snapshot.space(id)
    assert found is not None
    return found


@pytest.mark.parametrize("figure", ["wiring", "veth", "vnet"])
def test_one_pod_alone(figure: str) -> None:
    scene = draw.scene(scenes.of(3), figure, pod=POD)
    pods = {one.object for one in scene.boxes if one.object.startswith("pod ")}
    assert pods == {f"pod {POD}"}


def test_services_of_one_pod() -> None:
    scene = draw.scene(scenes.of(3), "services", pod=POD)
    assert {one.object for one in scene.boxes if one.role == "service"} == {"service default/nginx"}


@pytest.mark.parametrize("figure", ["wiring", "veth", "vnet", "services"])
def test_an_unknown_node_is_told_what_there_is(figure: str) -> None:
    with pytest.raises(InvalidInputError, match=rf"no node 'gone'; it has: {NODE.name}"):
        draw.scene(scenes.of(3), figure, node="gone")


@pytest.mark.parametrize("figure", ["wiring", "veth", "vnet"])
def test_an_unknown_pod_is_told_what_there_is(figure: str) -> None:
    with pytest.raises(InvalidInputError, match=rf"no pod 'a/b'.*; it has: .*{POD}"):
        draw.scene(scenes.of(3), figure, pod="a/b")


def test_a_pod_of_the_nodes_own_network() -> None:
    with pytest.raises(InvalidInputError, match="its node's own network"):
        draw.scene(scenes.of(3), "wiring", pod="kube-system/kube-proxy-0")


@pytest.mark.parametrize("figure", ["wiring", "veth", "vnet"])
def test_a_snapshot_of_nothing(figure: str) -> None:
    with pytest.raises(InvalidInputError, match="no node"):
        draw.scene(Snapshot(1.0, 0.1), figure)


def test_no_services_and_why() -> None:
    bare = replace(scenes.of(1), clusters=())
    with pytest.raises(InvalidInputError, match="no cluster"):
        draw.scene(bare, "services")
    silent = replace(bare, clusters=(Cluster("aks", False, "it does not answer"),))
    with pytest.raises(InvalidInputError, match="aks was not asked: it does not answer"):
        draw.scene(silent, "services")
    with pytest.raises(InvalidInputError, match="no service leads to a pod 'a/b'"):
        draw.scene(scenes.of(2), "services", pod="a/b")


def test_an_unknown_figure() -> None:
    with pytest.raises(InvalidInputError, match="there are: wiring, veth, services, vnet"):
        draw.scene(scenes.of(1), "moon")


def test_a_link_that_is_down_is_said_and_not_only_coloured() -> None:
    made = scenes.of(3)
    node = space_of(made, NODE.space)
    name = NODE.host_link(1).name
    links = tuple(replace(one, up=False) if one.name == name else one for one in node.links)
    for figure in ("wiring", "veth"):
        scene = draw.scene(changed(made, node.id, links=links), figure)
        box = scene.box(ident("link", node.id, name))
        assert box.state == "off"
        assert any("✕ down" in one.plain for one in scene.texts_of(box.id))


@pytest.mark.parametrize("figure", ["wiring", "veth"])
@pytest.mark.parametrize("count", [3, 9])
def test_a_link_whose_pod_is_gone(figure: str, count: int) -> None:
    made = scenes.of(count, nodes=1)
    gone = NODE.pod_space(1)
    node = replace(made.nodes[0], pods=tuple(one for one in made.nodes[0].pods if one != gone))
    cluster = made.clusters[0]
    pods = tuple(one for one in cluster.pods if one.space != gone)
    clusters = (replace(cluster, pods=pods),)
    scene = draw.scene(replace(made, nodes=(node,), clusters=clusters), figure)
    assert scene.box(ident("link", NODE.space, NODE.host_link(1).name)).state == "lost"
    assert not any(one.object == f"pod {POD}" for one in scene.boxes)


@pytest.mark.parametrize("figure", ["wiring", "veth"])
@pytest.mark.parametrize("count", [3, 9])
def test_a_pod_that_is_not_wired(figure: str, count: int) -> None:
    made = scenes.of(count, nodes=1)
    cluster = made.clusters[0]
    pods = (
        *cluster.pods,
        replace(cluster.pods[0], name="new", address="", phase="Pending", space=""),
    )
    scene = draw.scene(replace(made, clusters=(replace(cluster, pods=pods),)), figure)
    assert scene.box(ident("pod", "default/new")).state == "lost"
    assert "✕ no interface (Pending)" in said(scene)


def test_a_port_that_left_its_bridge_is_not_joined_to_it() -> None:
    made = scenes.of(3, nodes=1)
    node = space_of(made, NODE.space)
    name = NODE.host_link(1).name
    links = tuple(replace(one, master="") if one.name == name else one for one in node.links)
    scene = draw.scene(changed(made, node.id, links=links), "wiring")
    ports = {one.end for one in scene.lines if one.role == "port"}
    assert ident("link", node.id, name) not in ports
    assert ident("link", node.id, NODE.host_link(0).name) in ports
    assert "✕ no route to the pod" in said(scene)


def test_a_missing_route_in_transparent_mode() -> None:
    made = scenes.of(3, "transparent", 1)
    node = space_of(made, NODE.space)
    routes = tuple(one for one in node.routes if one.link != NODE.host_link(1).name)
    scene = draw.scene(changed(made, node.id, routes=routes), "wiring")
    ends = {one.end for one in scene.lines if one.role == "route"}
    assert ident("link", node.id, NODE.host_link(1).name) not in ends


def test_chances_are_of_all_connections() -> None:
    made = scenes.of(3)
    chains = Chains.of(space_of(made, NODE.space))
    chain = chains.of_service("10.200.38.173", "TCP", 80)
    backends = chains.backends(chain)
    assert sum(one.chance for one in backends) == pytest.approx(1)
    assert {round(one.chance, 6) for one in backends} == {round(1 / len(backends), 6)}
    assert chains.of_service("10.200.38.173", "UDP", 80) == ""


def test_an_endpoint_without_chain_and_a_chain_without_endpoint() -> None:
    made = scenes.of(3, nodes=1)
    cluster = made.clusters[0]
    first, nginx, *rest = cluster.services
    moved = replace(nginx.endpoints[0], address="10.220.2.99")
    services = (first, replace(nginx, endpoints=(moved, *nginx.endpoints[1:])), *rest)
    scene = draw.scene(replace(made, clusters=(replace(cluster, services=services),)), "services")
    assert "✕ no KUBE-SEP chain" in said(scene)
    assert "✕ no such endpoint" in said(scene)


def test_a_subnet_is_cut_into_runs() -> None:
    made = scenes.of(2, nodes=2)
    found = of_vnet(made.vnets[0], node_views(made))
    subnet = next(one for one in found if one.subnet.name == "azurecni")
    runs = [("reserved", 4), ("nic-0", 31), ("nic-1", 31), ("free", 189), ("reserved", 1)]
    assert subnet.runs() == runs
    assert subnet.free == 251 - 62
    assert [one.used for one in subnet.cards] == [2, 2]


def test_a_machine_without_lab_and_without_kubernetes() -> None:
    made = scenes.of(2, nodes=1)
    ends = Address("azure0", "10.220.2.4/24")
    listed = [AddressState(f"10.220.2.{at}", "10.220.2.0/24", NODE.nic.mac, True, None, at < 7)
              for at in range(4, 10)]  # fmt: skip
    pool = Pool("10.220.2.0/24", "10.220.2.1", NODE.nic.mac, "10.220.2.4", 6, 2, None)
    attached = Attachments(True, "bridge", addresses=tuple(listed), pools=(pool,))
    node = replace(made.nodes[0], cluster="", attachments=attached)
    space = space_of(made, NODE.space)
    cards = tuple(
        replace(one, kind="", peer=None) if one.name == "eth0" else one for one in space.links
    )
    alone = changed(made, space.id, links=cards, addresses=(ends,))
    alone = replace(alone, lab="", nodes=(node,), clusters=(), vnets=())
    wired = draw.scene(alone, "wiring")
    assert wired.box(ident("pod", POD)).object == f"space {NODE.pod_space(1)}"
    assert wired.box(ident("link", NODE.space, "eth0")).role == "nic"
    assert "2 of 5 for pods used, 3 free" in said(draw.scene(alone, "vnet"))
    bare = replace(alone, nodes=(replace(node, attachments=Attachments()),))
    with pytest.raises(InvalidInputError, match="no ranges to draw"):
        draw.scene(bare, "vnet")


def test_pods_of_one_name_stand_in_line() -> None:
    assert stem("default/nginx-7cf567cc7-5pvnj") == "default/nginx"
    assert stem("kube-system/kube-proxy-x8xzk") == "kube-system/kube-proxy"
    assert stem("default/web-0") == "default/web-0"
    one, other = (node_views(scenes.of(count, nodes=1))[0].wires for count in (2, 4))
    left, right = aligned([one, other])
    assert len(left) == len(right) == 4
    assert [stem(a.name) == stem(b.name) for a, b in zip(left, right, strict=True) if a and b]
    assert left.count(None) == 2


def test_compare_takes_two() -> None:
    with pytest.raises(InvalidInputError, match=f"there is only {NODE.name}"):
        compare([("", scenes.of(1, nodes=1))], PIXELS)
    mixed = scenes.lab(scenes.Made(0, 2), scenes.Made(1, 2, "transparent"), scenes.Made(2, 2))
    scene = compare([("", mixed)], PIXELS)
    assert scene.title == "Side by side: bridge and transparent"


def test_facts_that_differ_and_facts_that_do_not() -> None:
    sides = [Side(one, node_views(one)[0]) for one in (scenes.of(1, m) for m in scenes.BRIDGES)]
    found = {one.name: one for one in facts(sides, [one.view.wires[0] for one in sides])}
    assert found["pod to pod, one node"].values[0] == "through the bridge azure0"
    assert found["node to pod"].differs
    same = [sides[0], Side(sides[0].snapshot, node_views(sides[0].snapshot)[1])]
    wires = [one.view.wires[0] for one in same]
    assert not [one.name for one in facts(same, wires) if one.differs]


def test_a_neighbour_of_the_bridge_is_told() -> None:
    made = scenes.of(1)
    near = (Neighbour("azure0", NODE.pod_address(0), "da:ab:42:26:00:00", "PERMANENT"),)
    told = changed(made, NODE.space, neighbours=near)
    side = Side(told, node_views(told)[0])
    found = {one.name: one.values[0] for one in facts([side], [side.view.wires[0]])}
    assert found["node to pod"] == "route 10.220.2.0/24 dev azure0, permanent neighbour"
