"""Layout: parts are measured, then placed. A part is a frame, a stack or a grid of parts.

Pure; knows metrics, not what the boxes stand for. Figures build parts, place them on a `Canvas`,
and then draw lines between the boxes that are on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeAlias

from podwire.lens.draw.metrics import Metrics, run
from podwire.lens.draw.scene import Box, Line, Point, Run, Scene, Text, ident

Label: TypeAlias = tuple[Run, ...]
Size: TypeAlias = tuple[int, int]


def label(text: str, style: str = "mono", longest: int = 0) -> Label:
    return (run(text, style, longest),)


class Part(Protocol):
    def size(self, metrics: Metrics) -> Size: ...

    def place(self, canvas: Canvas, x: int, y: int, size: Size, parent: str) -> None:
        """Puts itself on the canvas, at least as large as its own size."""


@dataclass(slots=True)
class Canvas:
    """A picture in the making."""

    metrics: Metrics
    boxes: dict[str, Box] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)

    def put(self, part: Part, x: int, y: int, parent: str = "") -> Size:
        size = part.size(self.metrics)
        part.place(self, x, y, size, parent)
        return size

    def write(self, text: Label, x: int, y: int, box: str = "") -> None:
        if text:
            size = self.metrics.width(text), self.metrics.height(text)
            self.texts.append(Text(x, y, *size, text, box))

    def scene(self, figure: str, title: str, description: str) -> Scene:
        """With the title above what is drawn, and a margin around everything."""
        m = self.metrics
        heading, margin = label(title, "title"), m.margin
        self._move(margin - self._least("x"), margin + m.height(heading) + m.gap - self._least("y"))
        shapes: list[Box | Text] = [*self.boxes.values(), *self.texts]
        right = max((one.x + one.width for one in shapes), default=0)
        bottom = max((one.y + one.height for one in shapes), default=0)
        self.write(heading, margin, margin)
        return Scene(
            figure,
            title,
            description,
            max(right, margin + m.width(heading)) + margin,
            bottom + margin,
            tuple(self.boxes.values()),
            tuple(self.lines),
            tuple(self.texts),
        )

    def merge(self, other: Canvas, dx: int, dy: int, prefix: str) -> None:
        """Another picture beside what there is. prefix: for its ids, which may be here already."""

        def named(id: str) -> str:  # noqa: A002
            return id and ident(prefix, id)

        other._move(dx, dy)
        for one in other.boxes.values():
            box = replace(one, id=named(one.id), parent=named(one.parent))
            self.boxes[box.id] = box
        self.texts += [replace(one, box=named(one.box)) for one in other.texts]
        self.lines += [
            replace(one, id=named(one.id), start=named(one.start), end=named(one.end))
            for one in other.lines
        ]

    def _least(self, side: str) -> int:
        shapes = (*self.boxes.values(), *self.texts)
        return min((getattr(one, side) for one in shapes), default=0)

    def _move(self, dx: int, dy: int) -> None:
        for id, one in self.boxes.items():  # noqa: A001
            self.boxes[id] = replace(one, x=one.x + dx, y=one.y + dy)
        self.texts = [replace(one, x=one.x + dx, y=one.y + dy) for one in self.texts]
        self.lines = [
            replace(one, points=tuple((x + dx, y + dy) for x, y in one.points))
            for one in self.lines
        ]

    def left(self, id: str) -> Point:  # noqa: A002
        """The middle of a box's left edge."""
        return self.boxes[id].x, self.middle(id)

    def right(self, id: str) -> Point:  # noqa: A002
        return self.boxes[id].right - self.metrics.border, self.middle(id)

    def middle(self, id: str) -> int:  # noqa: A002
        one = self.boxes[id]
        return one.y + (one.height - self.metrics.border) // 2

    def bottom(self, id: str) -> int:  # noqa: A002
        return self.boxes[id].bottom - self.metrics.border


@dataclass(frozen=True, slots=True)
class Gap:
    """Room that nothing fills."""

    width: int = 0
    height: int = 0

    def size(self, metrics: Metrics) -> Size:
        return self.width, self.height

    def place(self, canvas: Canvas, x: int, y: int, size: Size, parent: str) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Frame:
    """A box: lines of text, and below them a part. Without an id only its text is drawn.

    width, height: at least this large.
    """

    id: str = ""
    role: str = ""
    labels: tuple[Label, ...] = ()
    inside: Part | None = None
    object: str = ""
    title: str = ""
    state: str = ""
    slim: bool = False
    width: int = 0
    height: int = 0

    def _inset(self, m: Metrics) -> Size:
        if not self.id:
            return 0, 0
        return (m.slim_x, m.slim_y) if self.slim else (m.pad_x, m.pad_y)

    def _above(self, m: Metrics) -> int:
        """Height of its text, with the gap below it."""
        text = sum(m.height(one) for one in self.labels)
        between = bool(self.inside is not None and self.labels and not m.cells)
        return text + between * (m.gap // 2)

    def size(self, m: Metrics) -> Size:
        inset_x, inset_y = self._inset(m)
        inner = self.inside.size(m) if self.inside is not None else (0, 0)
        wide = max([inner[0], *(m.width(one) for one in self.labels)])
        tall = self._above(m) + inner[1]
        return max(self.width, wide + 2 * inset_x), max(self.height, tall + 2 * inset_y)

    def place(self, canvas: Canvas, x: int, y: int, size: Size, parent: str) -> None:
        m = canvas.metrics
        inset_x, inset_y = self._inset(m)
        if self.id:
            self._box(canvas, x, y, size, parent)
        owner = self.id or parent
        at = y + inset_y
        if self.inside is None:  # alone, text stands in the middle
            text = sum(m.height(one) for one in self.labels)
            at = y + (size[1] - text) // 2
        for one in self.labels:
            canvas.write(one, x + inset_x, at, owner)
            at += m.height(one)
        if self.inside is not None:
            below = y + inset_y + self._above(m)
            room = size[0] - 2 * inset_x, y + size[1] - inset_y - below
            self.inside.place(canvas, x + inset_x, below, room, owner)

    def _box(self, canvas: Canvas, x: int, y: int, size: Size, parent: str) -> None:
        id, again = self.id, 1  # noqa: A001
        while id in canvas.boxes:  # two clusters can have a pod of one name
            again += 1
            id = f"{self.id}~{again}"  # noqa: A001
        box = Box(id, self.role, x, y, *size, self.object, parent)
        canvas.boxes[id] = replace(box, title=self.title, state=self.state, slim=self.slim)


@dataclass(frozen=True, slots=True)
class Stack:
    """Parts below each other, or beside each other. stretch: all as wide (high) as the widest.

    last: the last one takes what room is left, along the stack.
    """

    parts: tuple[Part, ...]
    gap: int = 0
    across: bool = False
    stretch: bool = True
    last: bool = False

    def size(self, m: Metrics) -> Size:
        sizes = [one.size(m) for one in self.parts]
        gaps = self.gap * max(0, len(sizes) - 1)
        if self.across:
            return sum(w for w, _ in sizes) + gaps, max((h for _, h in sizes), default=0)
        return max((w for w, _ in sizes), default=0), sum(h for _, h in sizes) + gaps

    def place(self, canvas: Canvas, x: int, y: int, size: Size, parent: str) -> None:
        end_x, end_y = x + size[0], y + size[1]
        for at, part in enumerate(self.parts):
            wide, tall = part.size(canvas.metrics)
            fill = self.last and at == len(self.parts) - 1
            if self.across:
                own = (end_x - x if fill else wide, size[1] if self.stretch else tall)
            else:
                own = (size[0] if self.stretch else wide, end_y - y if fill else tall)
            part.place(canvas, x, y, own, parent)
            x += self.across * (own[0] + self.gap)
            y += (not self.across) * (own[1] + self.gap)


@dataclass(frozen=True, slots=True)
class Grid:
    """Rows of parts whose columns are equally wide, each part as large as its cell."""

    rows: tuple[tuple[Part, ...], ...]
    gap_x: int = 0
    gap_y: int = 0

    def _sides(self, m: Metrics) -> tuple[list[int], list[int]]:
        sizes = [[one.size(m) for one in row] for row in self.rows]
        count = max((len(row) for row in sizes), default=0)
        wide = [max(row[at][0] for row in sizes if at < len(row)) for at in range(count)]
        return wide, [max((h for _, h in row), default=0) for row in sizes]

    def size(self, m: Metrics) -> Size:
        wide, tall = self._sides(m)
        gaps = self.gap_x * max(0, len(wide) - 1), self.gap_y * max(0, len(tall) - 1)
        return sum(wide) + gaps[0], sum(tall) + gaps[1]

    def place(self, canvas: Canvas, x: int, y: int, size: Size, parent: str) -> None:
        wide, tall = self._sides(canvas.metrics)
        for row, height in zip(self.rows, tall, strict=True):
            at = x
            for part, width in zip(row, wide, strict=False):
                part.place(canvas, at, y, (width, height), parent)
                at += width + self.gap_x
            y += height + self.gap_y


def columns(parts: Sequence[Part], count: int, gap_x: int, gap_y: int) -> Grid:
    """The parts down the first column, then down the next."""
    tall = -(-len(parts) // max(1, count))
    cells = [parts[at :: tall or 1] for at in range(tall)]
    return Grid(tuple(tuple(row) for row in cells), gap_x, gap_y)


def widest(m: Metrics, labels: Iterable[Label]) -> int:
    return max((m.width(one) for one in labels), default=0)


def straight(points: Sequence[Point]) -> tuple[Point, ...]:
    """Without points that are there twice or on the way between their neighbours."""
    kept: list[Point] = []
    for point in points:
        if kept and kept[-1] == point:
            continue
        if len(kept) > 1 and _in_line(kept[-2], kept[-1], point):
            kept.pop()
        kept.append(point)
    return tuple(kept)


def _in_line(a: Point, b: Point, c: Point) -> bool:
    return len({x for x, _ in (a, b, c)}) == 1 or len({y for _, y in (a, b, c)}) == 1


def elbow(start: Point, end: Point, bend: int) -> tuple[Point, ...]:
    """From `start` level to x = `bend`, up or down there, and level to `end`."""
    return straight([start, (bend, start[1]), (bend, end[1]), end])
