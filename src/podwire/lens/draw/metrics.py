"""How much room text and boxes take: in pixels for pictures, in cells for a terminal.

A viewer's fonts are unknown, so widths are those of the widest common ones (DejaVu Sans,
DejaVu Sans Bold; every common fixed font is at most 0.603 em wide): what fits here fits anywhere.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from podwire.lens.draw.scene import Run

FIXED = 60.3
"""Hundredths of an em that a character of a fixed font is wide."""
WIDE = 105
"""The same of a character that the tables do not have: Chinese, emoji."""
# Advance widths of " " to "~".
SANS = (
    *(32, 40, 46, 84, 64, 95, 78, 28, 40, 40, 50, 84, 32, 37, 32, 34, 64, 64, 64, 64, 64, 64, 64),
    *(64, 64, 64, 34, 34, 84, 84, 84, 54, 100, 69, 69, 70, 77, 64, 58, 78, 76, 30, 30, 66, 56, 87),
    *(75, 79, 61, 79, 70, 64, 62, 74, 69, 99, 69, 62, 69, 40, 34, 40, 84, 50, 50, 62, 64, 55, 64),
    *(62, 36, 64, 64, 28, 28, 58, 28, 98, 64, 62, 64, 64, 42, 53, 40, 64, 60, 82, 60, 60, 53, 64),
    *(34, 64, 84),
)
BOLD = (
    *(35, 46, 53, 84, 70, 101, 88, 31, 46, 46, 53, 84, 38, 42, 38, 37, 70, 70, 70, 70, 70, 70, 70),
    *(70, 70, 70, 40, 40, 84, 84, 84, 58, 100, 78, 77, 74, 83, 69, 69, 83, 84, 38, 38, 78, 64, 100),
    *(84, 85, 74, 85, 77, 72, 69, 82, 78, 111, 78, 73, 73, 46, 37, 46, 84, 50, 50, 68, 72, 60, 72),
    *(68, 44, 72, 72, 35, 35, 67, 35, 105, 72, 69, 72, 72, 50, 60, 48, 72, 66, 93, 65, 66, 59, 72),
    *(37, 72, 84),
)


@dataclass(frozen=True, slots=True)
class Style:
    """size: of the font in pixels; line: height of its line. fixed: all letters equally wide."""

    size: int
    line: int
    fixed: bool = False
    bold: bool = False
    dim: bool = False


STYLES = {
    "title": Style(18, 26, bold=True),
    "head": Style(13, 19, bold=True),
    "text": Style(12, 17),
    "dim": Style(11, 16, dim=True),
    "mono": Style(12, 17, fixed=True),
    "name": Style(12, 17, fixed=True, bold=True),
    "index": Style(12, 17, fixed=True, bold=True),
    "peer": Style(12, 17, fixed=True, bold=True),
    "small": Style(11, 16, fixed=True, dim=True),
    "tick": Style(10, 14, fixed=True),
}
"""index: an ifindex; peer: @ifN, the other end's; tick: inside of small cells."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """pad_x, pad_y: from a box's edge to what is inside; slim_x, slim_y: of a slim one.

    gap: between boxes; wire: between two columns that lines join. border: what of a box's width its
    right and lower edge take (a terminal's lines fill a cell). margin: around the picture. dense:
    from how many pods on a node each is one line. rows: at most in a column before another begins.
    bar: width of a bar of used and free; tick, ticks: width of an address' cell, cells in a line.
    cells: whether the unit is a terminal's cell. longest: characters of a name.
    """

    pad_x: int
    pad_y: int
    slim_x: int
    slim_y: int
    gap: int
    wire: int
    border: int
    margin: int
    dense: int
    rows: int
    bar: int
    tick: int
    ticks: int
    longest: int
    cells: bool = False

    def width(self, runs: Iterable[Run]) -> int:
        if self.cells:
            return sum(cells(one.text) for one in runs)
        return -int(-sum(_pixels(one) for one in runs) // 1)

    def height(self, runs: Iterable[Run]) -> int:
        return 1 if self.cells else max((STYLES[one.style].line for one in runs), default=0)


PIXELS = Metrics(
    pad_x=10, pad_y=7, slim_x=6, slim_y=2, gap=10, wire=44, border=0, margin=18, dense=7, rows=15,
    bar=880, tick=28, ticks=32, longest=38,
)  # fmt: skip
CELLS = Metrics(
    pad_x=2, pad_y=1, slim_x=1, slim_y=0, gap=1, wire=4, border=1, margin=0, dense=0, rows=10**6,
    bar=80, tick=6, ticks=16, longest=38, cells=True,
)  # fmt: skip


def cells(text: str) -> int:
    """How many cells of a terminal it fills."""
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.combining(c) != 0 for c in text)


def _pixels(run: Run) -> float:
    style = STYLES[run.style]
    table = BOLD if style.bold else SANS
    total = 0.0
    for character in run.text:
        at = ord(character) - 32
        if 0 <= at < len(table):
            total += FIXED if style.fixed else table[at]
        elif character in "·…–×✕→←↔≠":
            total += FIXED if style.fixed else 100
        else:
            total += max(WIDE, FIXED)
    return total * style.size / 100


def shorten(text: str, longest: int) -> str:
    """At most `longest` characters: the middle goes, for begin and end tell names apart."""
    if len(text) <= longest:
        return text
    head = (longest - 1) * 3 // 5
    return f"{text[:head]}…{text[len(text) - (longest - 1 - head) :]}"


def run(text: str, style: str = "mono", longest: int = 0) -> Run:
    """A run of `text`, shortened to `longest` characters, 0 for as it is."""
    shown = shorten(text, longest) if longest else text
    return Run(shown, style, text if shown != text else "")
