"""A picture as a value: boxes, lines and texts with positions. Renderers turn it into a format.

Knows nothing of snapshots, colours or formats. Positions are whole numbers in the unit of the
metrics that it was laid out with: pixels, or a terminal's cells. y grows downwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

Point = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Run:
    """A piece of a line of text in one style (metrics.STYLES). full: what it was before it was
    shortened, "" when it was not."""

    text: str
    style: str = "mono"
    full: str = ""


@dataclass(frozen=True, slots=True)
class Text:
    """One line of text; (x, y) is its upper left corner. box: id of the box that it is in."""

    x: int
    y: int
    width: int
    height: int
    runs: tuple[Run, ...]
    box: str = ""

    @property
    def plain(self) -> str:
        return "".join(one.text for one in self.runs)

    @property
    def full(self) -> str:
        return "".join(one.full or one.text for one in self.runs)


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle that stands for a thing. id: unique, the same in every picture of that thing.

    role: what it is ("node", "pod", "bridge", "veth", ...): decides on shape, dash and colour.
    state: "" for well, "off" for what is down or not ready, "lost" for what is missing or dangling.
    object: the thing, as in "pod NS/NAME", "" for none. parent: id of the box around, "" for none.
    title: its full name and facts in words, shown by a pointer and read by screen readers.
    slim: one line high, drawn close around its text.
    """

    id: str
    role: str
    x: int
    y: int
    width: int
    height: int
    object: str = ""
    parent: str = ""
    title: str = ""
    state: str = ""
    slim: bool = False

    @property
    def right(self) -> int:
        return self.x + self.width

    @property
    def bottom(self) -> int:
        return self.y + self.height


@dataclass(frozen=True, slots=True)
class Line:
    """A polyline of horizontal and vertical pieces. start, end: ids of boxes, "" for none.

    arrows: "", "start", "end" or "both". Its role decides on weight, dash and colour.
    """

    id: str
    role: str
    points: tuple[Point, ...]
    start: str = ""
    end: str = ""
    object: str = ""
    title: str = ""
    state: str = ""
    arrows: str = ""


@dataclass(frozen=True, slots=True)
class Scene:
    """boxes: a parent before its children. figure: "wiring", "veth", ...; title and description
    are what a screen reader says of it."""

    figure: str
    title: str
    description: str
    width: int
    height: int
    boxes: tuple[Box, ...] = ()
    lines: tuple[Line, ...] = ()
    texts: tuple[Text, ...] = ()
    _by_id: dict[str, Box] = field(default_factory=dict, compare=False, repr=False)

    def box(self, id: str) -> Box:  # noqa: A002  what it is called everywhere
        """Raises KeyError."""
        if not self._by_id:
            self._by_id.update((one.id, one) for one in self.boxes)
        return self._by_id[id]

    def children(self, parent: str) -> Iterator[Box]:
        return (one for one in self.boxes if one.parent == parent)

    def texts_of(self, box: str) -> Iterator[Text]:
        return (one for one in self.texts if one.box == box)


def ident(*words: str) -> str:
    """An id that HTML accepts (no white space), and that no other words give."""
    quoted = (word.replace("%", "%25").replace(":", "%3A") for word in words)
    return ":".join("".join(f"%{ord(c):02X}" if c.isspace() else c for c in w) for w in quoted)
