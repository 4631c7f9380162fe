"""Whatever the snapshot: nothing overlaps that must not, and every text is inside of its box."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podwire.lens import draw
from podwire.lens.draw.compare import compare
from podwire.lens.draw.metrics import CELLS, PIXELS, Metrics
from podwire.lens.draw.scene import Box, Scene
from podwire.lens.snapshot import Snapshot
from tests.unit.lens.draw import scenes
from tests.unit.lens.saved import NAMES as NAMES_OF_LABS
from tests.unit.lens.saved import saved

COUNTS = (0, 1, 6, 16, 60)
LONG = "n" * 57


def figure(name: str, snapshot: Snapshot, m: Metrics) -> Scene:
    if name == "compare":
        return compare([("", snapshot)], m)
    return draw.scene(snapshot, name, metrics=m)


def check(scene: Scene, m: Metrics) -> None:
    boxes = {one.id: one for one in scene.boxes}
    assert len(boxes) == len(scene.boxes)
    siblings: dict[str, list[Box]] = {}
    for one in scene.boxes:
        siblings.setdefault(one.parent, []).append(one)
        assert 0 <= one.x <= one.right <= scene.width
        assert 0 <= one.y <= one.bottom <= scene.height
        if one.parent:
            assert inside(one, boxes[one.parent])
    for group in siblings.values():
        for a, b in combinations(group, 2):
            assert not overlap(a, b), (a, b)
    for text in scene.texts:
        assert text.width == m.width(text.runs)
        assert text.x >= 0
        assert text.x + text.width <= scene.width
        if text.box:
            box = boxes[text.box]
            assert box.x <= text.x, (text, box)
            assert text.x + text.width <= box.right, (text, box)
            assert box.y <= text.y, (text, box)
            assert text.y + text.height <= box.bottom, (text, box)
    for line in scene.lines:
        for (x1, y1), (x2, y2) in zip(line.points, line.points[1:], strict=False):
            assert x1 == x2 or y1 == y2, line
        assert {line.start, line.end} <= {*boxes, ""}


def inside(one: Box, other: Box) -> bool:
    across = other.x <= one.x and one.right <= other.right
    return across and other.y <= one.y and one.bottom <= other.bottom


def overlap(a: Box, b: Box) -> bool:
    return a.x < b.right and b.x < a.right and a.y < b.bottom and b.y < a.bottom


def texts_apart(scene: Scene) -> None:
    """No two lines of text cover each other."""
    texts = sorted(scene.texts, key=lambda one: one.y)
    for at, one in enumerate(texts):
        for other in texts[at + 1 :]:
            if other.y >= one.y + one.height:
                break
            apart = one.x + one.width <= other.x or other.x + other.width <= one.x
            assert apart, (one.plain, other.plain)


@pytest.mark.parametrize("m", [PIXELS, CELLS], ids=["pixels", "cells"])
@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("mode", ["bridge", "transparent", "kubenet"])
@pytest.mark.parametrize("name", [*draw.FIGURES, "compare"])
def test_nothing_overlaps(name: str, mode: str, count: int, m: Metrics) -> None:
    scene = figure(name, scenes.of(count, mode, 2), m)
    check(scene, m)
    texts_apart(scene)


@pytest.mark.parametrize("m", [PIXELS, CELLS], ids=["pixels", "cells"])
@pytest.mark.parametrize("lab", NAMES_OF_LABS)
@pytest.mark.parametrize("name", [*draw.FIGURES, "compare"])
def test_real_labs(name: str, lab: str, m: Metrics) -> None:
    scene = figure(name, saved(lab), m)
    check(scene, m)
    texts_apart(scene)
    assert "✕" not in "".join(one.plain for one in scene.texts)


@pytest.mark.parametrize("name", [*draw.FIGURES, "compare"])
def test_two_clusters_with_everything_of_one_name(name: str) -> None:
    one, other = (
        scenes.lab(scenes.Made(0, 3)),
        scenes.lab(scenes.Made(1, 3, "kubenet", lambda at: scenes.pod_name(at - 100))),
    )
    second = replace(other.clusters[0], name="aks2")
    nodes = tuple(replace(node, cluster="aks2") for node in other.nodes)
    vnet = replace(one.vnets[0], nics=one.vnets[0].nics + other.vnets[0].nics)
    both = replace(
        one,
        nodes=one.nodes + nodes,
        clusters=(*one.clusters, second),
        vnets=(vnet,),
        spaces=one.spaces + other.spaces,
    )
    scene = figure(name, both, PIXELS)
    check(scene, PIXELS)
    texts_apart(scene)


def odd(words: list[str]) -> Callable[[int], str]:
    return lambda at: f"{words[at % len(words)]}{at:x}"


NAMES = st.lists(st.text("<&\">'abz-.é漢😀\\{}|[]`#\x01", max_size=62), min_size=1, max_size=4)


@settings(max_examples=25, deadline=None)
@given(NAMES, st.integers(0, 20), st.sampled_from([*draw.FIGURES, "compare"]), st.booleans())
def test_names_that_nobody_expects(names: list[str], count: int, name: str, small: bool) -> None:
    made = (
        scenes.Made(at, count, "bridge", odd(names), "a & b" if small else LONG) for at in (0, 1)
    )
    m = CELLS if small else PIXELS
    scene = figure(name, scenes.lab(*made), m)
    check(scene, m)
    texts_apart(scene)


def test_a_thing_has_one_id_in_every_picture_of_it() -> None:
    few, more = scenes.of(3), scenes.of(9)
    for name in ("wiring", "veth"):
        before = {one.id: one.object for one in draw.scene(few, name).boxes if one.object}
        after = {one.id: one.object for one in draw.scene(more, name).boxes}
        assert {key: after.get(key) for key in before if "container" not in key} == {
            key: value for key, value in before.items() if "container" not in key
        }
