"""A scene that was laid out in cells, as text with box-drawing characters.

Lines and borders are kept as weights of a cell's four sides, so that they join where they meet.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from itertools import pairwise

from podwire.lens.draw.metrics import cells
from podwire.lens.draw.scene import Box, Line, Point, Scene

NORTH, EAST, SOUTH, WEST = range(4)
_SIDES = {
    "UP": (NORTH,),
    "RIGHT": (EAST,),
    "DOWN": (SOUTH,),
    "LEFT": (WEST,),
    "HORIZONTAL": (EAST, WEST),
    "VERTICAL": (NORTH, SOUTH),
}
_WEIGHTS = {"LIGHT": 1, "HEAVY": 2}
_HEAVY = {"bridge", "port"}
_BARE = {"free"}
"""Slim boxes without brackets: what nobody has."""


def _glyphs() -> dict[tuple[int, ...], str]:
    """Weights of north, east, south, west -> character, from the characters' Unicode names."""
    found = {}
    for code in (*range(0x2500, 0x254C), *range(0x2574, 0x257C)):
        words = unicodedata.name(chr(code)).removeprefix("BOX DRAWINGS ").split()
        known = {*_SIDES, *_WEIGHTS, "AND"}
        if not set(words) <= known:
            continue
        weights = [0, 0, 0, 0]
        common = _WEIGHTS.get(words[0], 0)
        for part in " ".join(words[bool(common) :]).split(" AND "):
            *sides, last = part.split()
            weight = common or _WEIGHTS[last]
            for side in [*sides, *([last] if common else [])]:
                for one in _SIDES[side]:
                    weights[one] = weight
        found[tuple(weights)] = chr(code)
    return found


class Page:
    """Cells of a terminal in the making."""

    def __init__(self) -> None:
        self.sides: defaultdict[Point, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        self.letters: dict[Point, str] = {}

    def stroke(self, start: Point, end: Point, weight: int) -> None:
        """A level or upright line from the middle of one cell to that of another."""
        (x1, y1), (x2, y2) = sorted((start, end))
        for x in range(x1, x2):
            self._join((x, y1), EAST, (x + 1, y1), WEST, weight)
        for y in range(y1, y2):
            self._join((x1, y), SOUTH, (x1, y + 1), NORTH, weight)

    def _join(self, one: Point, side: int, other: Point, across: int, weight: int) -> None:
        self.sides[one][side] = max(self.sides[one][side], weight)
        self.sides[other][across] = max(self.sides[other][across], weight)

    def write(self, text: str, x: int, y: int) -> None:
        for character in text:
            wide = cells(character)
            if wide == 0:
                continue
            self.letters[x, y] = character
            if wide == 2:
                self.letters[x + 1, y] = ""
            x += wide

    def clear(self, box: Box) -> None:
        for x in range(box.x, box.right):
            self.letters[x, box.y] = " "


def render(scene: Scene) -> str:
    """Lines end in what they show: no white space before a line's end."""
    page, glyphs = Page(), _glyphs()
    slim = {one.id for one in scene.boxes if one.slim}
    for line in scene.lines:
        _draw(page, line)
    for box in scene.boxes:
        _frame(page, box, slim)
    for text in scene.texts:
        page.write(text.plain, text.x, text.y)
    rows = []
    for y in range(scene.height):
        row = "".join(_cell(page, glyphs, (x, y)) for x in range(scene.width))
        rows.append(row.rstrip())
    return "\n".join(rows).rstrip("\n") + "\n"


def _cell(page: Page, glyphs: dict[tuple[int, ...], str], at: Point) -> str:
    letter = page.letters.get(at)
    if letter is not None:
        return letter
    return glyphs.get(tuple(page.sides[at]), " ") if at in page.sides else " "


def _draw(page: Page, line: Line) -> None:
    for start, end in pairwise(line.points):
        page.stroke(start, end, 2 if line.role in _HEAVY else 1)


def _frame(page: Page, box: Box, slim: set[str]) -> None:
    right, bottom = box.right - 1, box.bottom - 1
    if box.slim or box.height == 1:
        page.clear(box)
        if box.parent not in slim and box.role not in _BARE:
            page.write("[", box.x, box.y)
            page.write("]", right, box.y)
        return
    weight = 2 if box.role in _HEAVY else 1
    corners = ((box.x, box.y), (right, box.y), (right, bottom), (box.x, bottom), (box.x, box.y))
    for start, end in pairwise(corners):
        page.stroke(start, end, weight)
