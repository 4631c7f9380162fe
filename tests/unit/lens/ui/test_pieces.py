"""A scene as pieces: they are where the scene has them, and what stays is not sent again."""

from __future__ import annotations

import json
import re

import pytest

from podwire.lens.draw import scene
from podwire.lens.draw.scene import Box, Scene, Text
from podwire.lens.ui.pieces import Picture, delta, picture
from tests.unit.lens.draw import scenes
from tests.unit.lens.saved import NAMES, saved


def corner(found: Picture, name: str) -> tuple[int, int]:
    """Where the page draws it: the sum of all offsets around it."""
    x = y = 0
    while name:
        one = found.pieces[name]
        x, y, name = x + one.x, y + one.y, one.parent
    return x, y


@pytest.mark.parametrize("figure", ["wiring", "veth", "services", "vnet"])
@pytest.mark.parametrize("name", NAMES)
def test_every_piece_is_where_the_scene_has_it(name: str, figure: str) -> None:
    made = scene(saved(name), figure)
    found = picture(made)
    for box in made.boxes:
        assert corner(found, box.id) == (box.x, box.y)
    for line in made.lines:
        x, y = corner(found, line.id)
        points = [(x + px, y + py) for px, py in found.pieces[line.id].points]
        assert tuple(points) == line.points
    drawn = "".join(one.markup for one in found.pieces.values())
    assert drawn.count("<text") == len(made.texts)


def test_a_parent_is_before_its_children_and_the_one_before_is_there() -> None:
    seen: set[str] = {""}
    for one in picture(scene(scenes.of(5), "wiring")).pieces.values():
        assert one.parent in seen
        assert one.after in seen
        seen.add(one.id)


def test_nothing_new_is_nothing_to_send() -> None:
    one = picture(scene(scenes.of(3), "wiring"))
    again = delta(one, picture(scene(scenes.of(3), "wiring")))
    assert (again["put"], again["gone"], again["fresh"]) == ([], [], False)


def test_the_first_and_another_figure_are_sent_whole() -> None:
    one = picture(scene(scenes.of(3), "wiring"))
    assert delta(None, one)["fresh"]
    other = picture(scene(scenes.of(3), "vnet"))
    assert delta(one, other)["fresh"]
    assert len(delta(one, other)["put"]) == len(other.pieces)


def test_a_node_that_moves_is_one_piece_that_moves() -> None:
    few = scenes.lab(*(scenes.Made(at, 3) for at in range(4)))
    more = scenes.lab(scenes.Made(0, 4), *(scenes.Made(at, 3) for at in range(1, 4)))
    before, after = (picture(scene(one, "wiring")) for one in (few, more))
    sent = {one["id"] for one in delta(before, after)["put"]}
    last = next(id for id in after.pieces if id.startswith("node:") and id.endswith("3"))  # noqa: A001
    inside = {id for id, one in after.pieces.items() if one.parent == last}  # noqa: A001
    assert last in sent
    assert after.pieces[last].y > before.pieces[last].y
    assert not inside & sent


def test_a_pod_that_went_is_gone_with_all_that_was_its() -> None:
    before, after = (picture(scene(scenes.of(n), "wiring")) for n in (3, 2))
    gone = delta(before, after)["gone"]
    assert set(before.pieces) - set(after.pieces) == set(gone)
    assert len([one for one in gone if one.startswith("pod:")]) == 3


def test_what_a_name_says_is_text() -> None:
    evil = '<img src=x onerror="alert(1)">&'
    box = Box("b", "pod", 5, 6, 70, 80, f"pod {evil}", title=evil)
    text = Text(7, 8, 10, 10, (), "b")
    (one,) = picture(Scene("wiring", evil, evil, 100, 100, (box,))).pieces.values()
    assert text.box == "b"
    assert "<img" not in one.markup
    assert not re.search(r'onerror="', one.markup)
    assert json.loads(json.dumps(one.object)) == f"pod {evil}"
