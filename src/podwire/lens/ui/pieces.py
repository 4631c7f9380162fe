"""A scene as pieces that a page can move: what did not change is not sent, and not drawn again.

A piece is a box with its texts, or a line, drawn as if its corner were at the origin; where it is
is told apart, relative to the piece around it. So a node that moves is one piece that moves.
Pure; the markup is `draw.svg`'s, the layout `draw`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeAlias

from podwire.lens.draw import svg
from podwire.lens.draw.scene import Box, Line, Scene, Text

Delta: TypeAlias = dict[str, Any]
LOOSE = "loose-texts"
"""The piece of the texts that are in no box."""


@dataclass(frozen=True, slots=True)
class Piece:
    """parent: id of the piece around, "" for none; after: id of the one before it there, among
    those of its kind. x, y: relative to the parent's corner. kind: "box", "line" or "texts".

    ends: ids of the boxes that a line joins; points: of a line, relative to its first.
    """

    id: str
    kind: str
    parent: str
    after: str
    x: int
    y: int
    markup: str
    object: str = ""
    label: str = ""
    width: int = 0
    height: int = 0
    ends: tuple[str, str] = ("", "")
    points: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Picture:
    """pieces: a parent before its children."""

    figure: str
    title: str
    description: str
    width: int
    height: int
    pieces: Mapping[str, Piece]


def picture(scene: Scene) -> Picture:
    boxes = {one.id: one for one in scene.boxes}
    texts: dict[str, list[Text]] = {}
    for text in scene.texts:
        texts.setdefault(text.box, []).append(text)
    found = [
        *_loose(texts.get("", [])),
        *(_box(one, boxes, texts.get(one.id, [])) for one in scene.boxes),
        *(_line(one, boxes) for one in scene.lines),
    ]
    size = scene.width, scene.height
    said = scene.figure, scene.title, scene.description
    return Picture(*said, *size, {one.id: one for one in _in_order(found)})


def delta(old: Picture | None, new: Picture) -> Delta:
    """What makes the old picture the new one, as JSON's values. old: None for no picture."""
    before = old.pieces if old is not None and old.figure == new.figure else {}
    return {
        "figure": new.figure,
        "title": new.title,
        "description": new.description,
        "width": new.width,
        "height": new.height,
        "fresh": not before,
        "gone": [one for one in before if one not in new.pieces],
        "put": [asdict(one) for one in new.pieces.values() if before.get(one.id) != one],
    }


def _loose(texts: list[Text]) -> Iterator[Piece]:
    if texts:
        yield Piece(LOOSE, "texts", "", "", 0, 0, "".join(svg.markup(one) for one in texts))


def _box(box: Box, boxes: Mapping[str, Box], texts: list[Text]) -> Piece:
    around = boxes.get(box.parent)
    x, y = (around.x, around.y) if around else (0, 0)
    own = svg.markup(replace(box, x=0, y=0))
    said = "".join(svg.markup(replace(one, x=one.x - box.x, y=one.y - box.y)) for one in texts)
    return Piece(
        id=box.id,
        kind="box",
        parent=box.parent,
        after="",
        x=box.x - x,
        y=box.y - y,
        markup=own + said,
        object=box.object,
        label=box.title or " ".join(one.full for one in texts),
        width=box.width,
        height=box.height,
    )


def _line(line: Line, boxes: Mapping[str, Box]) -> Piece:
    parent = _common(line.start, line.end, boxes)
    around = boxes.get(parent)
    x, y = (around.x, around.y) if around else (0, 0)
    first = line.points[0]
    points = tuple((px - first[0], py - first[1]) for px, py in line.points)
    return Piece(
        id=line.id,
        kind="line",
        parent=parent,
        after="",
        x=first[0] - x,
        y=first[1] - y,
        markup=svg.markup(replace(line, points=points)),
        object=line.object,
        label=line.title,
        ends=(line.start, line.end),
        points=points,
    )


def _common(one: str, other: str, boxes: Mapping[str, Box]) -> str:
    """The innermost box around both: what moves when both move."""
    mine = list(_around(one, boxes))
    return next((id for id in _around(other, boxes) if id in mine), "")  # noqa: A001


def _around(id: str, boxes: Mapping[str, Box]) -> Iterator[str]:  # noqa: A002
    while id in boxes:
        id = boxes[id].parent  # noqa: A001
        if id:
            yield id


def _in_order(pieces: list[Piece]) -> Iterator[Piece]:
    last: dict[tuple[str, str], str] = {}
    for one in pieces:
        where = one.parent, one.kind
        yield replace(one, after=last.get(where, ""))
        last[where] = one.id
