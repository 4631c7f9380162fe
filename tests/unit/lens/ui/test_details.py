"""What the page says of things: of everything that any picture shows, in the tools' words."""

from __future__ import annotations

import pytest

from podwire.lens.draw import FIGURES, scene
from podwire.lens.snapshot import Snapshot
from podwire.lens.ui.details import details
from podwire.lens.ui.sections import Details
from podwire.model.errors import InvalidInputError
from tests.unit.lens.saved import NAMES, saved


def shown(snapshot: Snapshot) -> set[str]:
    made = [scene(snapshot, figure) for figure in FIGURES]
    return {one.object for each in made for one in (*each.boxes, *each.lines) if one.object}


def text(found: Details) -> str:
    said = [part for one in found.sections for part in (*one.lines, *map(" ".join, one.facts))]
    return "\n".join(said)


@pytest.mark.parametrize("name", NAMES)
def test_everything_that_a_picture_shows_has_details(name: str) -> None:
    objects = shown(saved(name))
    assert len(objects) > 10
    for one in objects:
        found = details(saved(name), one)
        assert found.object == one
        assert found.sections, one
        for _, other in found.see:
            assert details(saved(name), other).sections


@pytest.mark.parametrize("name", NAMES)
def test_a_pod_is_told_with_all_that_leads_to_it(name: str) -> None:
    snapshot = saved(name)
    pods = [one for each in snapshot.clusters for one in each.pods if one.space]
    assert pods
    for pod in pods:
        found = details(snapshot, f"pod {pod.key}")
        assert found.pod == pod.key
        said = text(found)
        assert f"inet {pod.address}/" in said
        titles = [one.title for one in found.sections]
        assert "Inside: routes" in titles
        assert "On the node: link" in titles
        if name != "kubenet":
            assert "Lease" in titles
        if name == "bridge":
            assert "pod_mac" in said


def test_a_link_says_its_port_and_its_other_end() -> None:
    snapshot = saved("bridge")
    node = snapshot.nodes[0]
    space = snapshot.space(node.space)
    assert space is not None
    link = next(one for one in space.links if one.name.startswith("azv"))
    found = details(snapshot, f"link {space.id} {link.name}")
    assert f"master {link.master}" in text(found)
    assert "forwarding" in text(found)
    assert link.peer is not None
    assert f"link {link.peer[0]} {link.peer[1]}" in [object_ for _, object_ in found.see]


@pytest.mark.parametrize(
    "nothing", ["", "pod", "pod a/b", "link x y", "link", "planet earth", "address a b c", "nic "]
)
def test_what_is_not_there_is_said_so(nothing: str) -> None:
    with pytest.raises(InvalidInputError, match="not there"):
        details(saved("bridge"), nothing)
