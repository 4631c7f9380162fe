"""A scene as SVG: the same bytes for the same scene; text stays text; no font, no script.

Each thing has `data-object` and a stable id; a line also `data-from` and `data-to`, ids of boxes.
Theme "auto" follows the reader's (prefers-color-scheme) by CSS variables, which a page around it
may set; "light" and "dark" have no variables, for programs that know none (librsvg, Inkscape).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from xml.sax.saxutils import escape as _escape

from podwire.lens.draw.metrics import STYLES
from podwire.lens.draw.palette import DASHES, HUES, THEMES, WEIGHTS, Theme
from podwire.lens.draw.scene import Box, Line, Point, Scene, Text
from podwire.model.errors import InvalidInputError

MONO = "Menlo,Consolas,'Liberation Mono','DejaVu Sans Mono',monospace"
SANS = "'Segoe UI',Roboto,'Helvetica Neue',Arial,'Liberation Sans','DejaVu Sans',sans-serif"
AUTO = "auto"
_ROUND = 7


def render(scene: Scene, theme: str = AUTO) -> str:
    """theme: "light", "dark" or "auto". Raises InvalidInputError for any other."""
    if theme != AUTO and theme not in THEMES:
        raise InvalidInputError(f"there is no theme {theme!r}; there are: auto, light, dark")
    size = f'width="{scene.width}" height="{scene.height}"'
    view = f'viewBox="0 0 {scene.width} {scene.height}" {size} role="img"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="podwire" xml:space="preserve" {view}>',
        f"<title>{escape(scene.title)}</title>",
        f"<desc>{escape(scene.description)}</desc>",
        f"<style>{style(theme)}</style>",
        f'<rect class="paper" {size}/>',
        *(_box(one) for one in scene.boxes),
        *(_line(one) for one in scene.lines),
        *(_text(one) for one in scene.texts),
        "</svg>\n",
    ]
    return "\n".join(parts)


def escape(text: str) -> str:
    """For text and attributes; a character that XML forbids becomes U+FFFD."""
    legal = "".join(c if c >= " " and c not in "\x7f\ufffe\uffff" else "\ufffd" for c in text)
    return _escape(legal, {'"': "&quot;"})


def style(theme: str) -> str:
    """Every rule is below `.podwire`, so that a page around the picture keeps its own look."""
    if theme != AUTO:
        return "".join(_rules(_literal(THEMES[theme])))
    light, dark = (variables(one) for one in THEMES)
    return f".podwire{{{light}}}@media (prefers-color-scheme:dark){{.podwire{{{dark}}}}}" + "".join(
        _rules(lambda name: f"var(--pw-{name})")
    )


def variables(theme: str) -> str:
    """The declarations of a theme's colours, for a page that chooses itself. Raises KeyError."""
    return "".join(f"--pw-{name}:{value};" for name, value in _names(THEMES[theme]))


def markup(one: Box | Line | Text) -> str:
    """One element of a picture, for who puts pictures together: the page, which moves them."""
    if isinstance(one, Box):
        return _box(one)
    return _line(one) if isinstance(one, Line) else _text(one)


def _names(theme: Theme) -> Iterator[tuple[str, str]]:
    """Every colour by its name, in order."""
    for name in ("paper", "ink", "faint", "index", "bad"):
        yield name, getattr(theme, name)
    for role in HUES:
        yield f"{role}-line", theme.line(role)
        yield f"{role}-fill", theme.fill(role)


def _literal(theme: Theme) -> Callable[[str], str]:
    return dict(_names(theme)).__getitem__


def _rules(colour: Callable[[str], str]) -> Iterator[str]:
    yield f".podwire .paper{{fill:{colour('paper')}}}"
    yield f".podwire text{{fill:{colour('ink')};font-family:{SANS};white-space:pre}}"
    for name, one in STYLES.items():
        bold = ";font-weight:600" if one.bold else ""
        fixed = f";font-family:{MONO}" if one.fixed else ""
        dim = f";fill:{colour('faint')}" if one.dim else ""
        yield f".podwire .t-{name}{{font-size:{one.size}px{bold}{fixed}{dim}}}"
    yield f".podwire .t-index,.podwire .t-peer{{fill:{colour('index')}}}"
    yield ".podwire .box rect{stroke-width:1.3}.podwire .line path{fill:none;stroke-width:1.5}"
    yield ".podwire .line path{stroke-linejoin:round;stroke-linecap:round}"
    for role in HUES:
        dash = f";stroke-dasharray:{DASHES[role]}" if role in DASHES else ""
        wide = f";stroke-width:{WEIGHTS[role]}" if role in WEIGHTS else ""
        yield (
            f".podwire .{role} rect{{fill:{colour(role + '-fill')};"
            f"stroke:{colour(role + '-line')}{dash}{wide}}}"
        )
        yield f".podwire .{role} path{{stroke:{colour(role + '-line')}{dash}{wide}}}"
        yield f".podwire .{role} .arrow{{fill:{colour(role + '-line')};stroke:none}}"
    yield (
        f".podwire .off rect,.podwire .lost rect{{stroke:{colour('bad')};"
        "stroke-dasharray:3 3;stroke-width:2}"
    )
    yield f".podwire .off path,.podwire .lost path{{stroke:{colour('bad')};stroke-dasharray:2 5}}"


def _attributes(one: Box | Line, kind: str) -> str:
    words = " ".join(word for word in (kind, one.role, one.state) if word)
    said = f' id="{escape(one.id)}" class="{escape(words)}"'
    return said + (f' data-object="{escape(one.object)}"' if one.object else "")


def _title(text: str) -> str:
    return f"<title>{escape(text)}</title>" if text else ""


def _box(box: Box) -> str:
    round_ = 4 if box.slim else 7
    parent = f' data-parent="{escape(box.parent)}"' if box.parent else ""
    return (
        f"<g{_attributes(box, 'box')}{parent}>{_title(box.title)}"
        f'<rect x="{box.x}" y="{box.y}" width="{box.width}" height="{box.height}" rx="{round_}"/>'
        "</g>"
    )


def _line(line: Line) -> str:
    ends = f' data-from="{escape(line.start)}"' if line.start else ""
    ends += f' data-to="{escape(line.end)}"' if line.end else ""
    heads = "".join(_heads(line))
    return (
        f"<g{_attributes(line, 'line')}{ends}>{_title(line.title)}"
        f'<path d="{_path(line.points)}"/>{heads}</g>'
    )


def _path(points: tuple[Point, ...]) -> str:
    """With rounded corners."""
    said = [f"M{points[0][0]} {points[0][1]}"]
    for before, here, after in zip(points, points[1:], points[2:], strict=False):
        radius = min(_ROUND, _far(before, here) // 2, _far(here, after) // 2)
        (x1, y1), (x2, y2) = _towards(here, before, radius), _towards(here, after, radius)
        said.append(f"L{x1} {y1}Q{here[0]} {here[1]} {x2} {y2}")
    return "".join(said) + f"L{points[-1][0]} {points[-1][1]}"


def _far(one: Point, other: Point) -> int:
    return abs(one[0] - other[0]) + abs(one[1] - other[1])


def _towards(start: Point, end: Point, far: int) -> Point:
    def step(a: int, b: int) -> int:
        return (b > a) - (b < a)

    return start[0] + step(start[0], end[0]) * far, start[1] + step(start[1], end[1]) * far


def _heads(line: Line) -> Iterator[str]:
    """Arrows at the ends of a line; drawn and not markers, whose ids would meet in a page."""
    if line.arrows in ("start", "both"):
        yield _head(line.points[0], line.points[1])
    if line.arrows in ("end", "both"):
        yield _head(line.points[-1], line.points[-2])


def _head(tip: Point, behind: Point) -> str:
    x, y = _towards(tip, behind, 7)
    side = 4
    dx, dy = (0, side) if y == tip[1] else (side, 0)
    corners = f"{x - dx} {y - dy}L{x + dx} {y + dy}"
    return f'<path class="arrow" d="M{tip[0]} {tip[1]}L{corners}Z"/>'


def _text(text: Text) -> str:
    size = max(STYLES[one.style].size for one in text.runs)
    base = text.y + (text.height + size) // 2 - size // 6 - 1
    whole = _title(text.full) if text.full != text.plain else ""
    owner = f' data-box="{escape(text.box)}"' if text.box else ""
    if len(text.runs) == 1:
        inner = escape(text.plain)
        kind = f' class="t-{text.runs[0].style}"'
    else:
        kind = ""
        inner = "".join(
            f'<tspan class="t-{one.style}">{escape(one.text)}</tspan>' for one in text.runs
        )
    return f'<text x="{text.x}" y="{base}"{kind}{owner}>{whole}{inner}</text>'
