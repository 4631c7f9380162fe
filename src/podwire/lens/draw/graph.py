"""A scene as a graph for other programs to lay out: Mermaid flowcharts and Graphviz dot.

Boxes within boxes become subgraphs, lines edges. Positions are not used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from podwire.lens.draw.palette import HUES, LIGHT
from podwire.lens.draw.scene import Box, Line, Scene

_DASHED = {"route", "dnat"}
_THICK = {"port", "cable"}


def mermaid(scene: Scene) -> str:
    """As ```mermaid fences of Markdown take it."""
    tree = _Tree(scene)
    lines = ["---", f"title: {_quoted(scene.title)}", "---", "flowchart LR"]
    lines += tree.walk("", 1, _mermaid_open, _mermaid_leaf, lambda: "end")
    for one in tree.edges():
        arrow = "-.-" if one.role in _DASHED else "===" if one.role in _THICK else "---"
        arrow += ">" * bool(one.arrows == "end")
        if one.arrows == "both":
            arrow = "<-->"
        lines.append(
            f"  {tree.name(one.start)} {arrow.replace('--->', '-->')} {tree.name(one.end)}"
        )
    lines += _mermaid_classes(scene, tree)
    return "\n".join(lines) + "\n"


def _mermaid_open(name: str, box: Box, said: list[str]) -> str:
    return f"subgraph {name}[{_mermaid_text(said)}]"


def _mermaid_leaf(name: str, box: Box, said: list[str]) -> str:
    return f"{name}[{_mermaid_text(said)}]"


def _mermaid_text(said: list[str]) -> str:
    """Mermaid knows HTML's entities, written with # for &."""
    code = {c: f"#{ord(c)};" for c in '"#&<>`\\[]{}|'}
    return '"' + "<br/>".join("".join(code.get(c, c) for c in one) for one in said) + '"'


def _mermaid_classes(scene: Scene, tree: _Tree) -> Iterator[str]:
    for role in sorted({one.role for one in scene.boxes}):
        names = ",".join(tree.name(one.id) for one in scene.boxes if one.role == role)
        kind = role.replace("-", "_")
        fill, line = LIGHT.fill(role), LIGHT.line(role)
        yield f"  classDef {kind} fill:{fill},stroke:{line},color:{LIGHT.ink}"
        yield f"  class {names} {kind}"


def dot(scene: Scene) -> str:
    """As `dot -Tsvg` takes it."""
    tree = _Tree(scene)
    lines = [
        "digraph podwire {",
        f"  label={_quoted(scene.title)}; labelloc=t; rankdir=LR; compound=true;",
        '  node [shape=box, style="rounded,filled", fontname="monospace", fontsize=10];',
        '  edge [dir=none]; graph [fontname="sans-serif", style=rounded];',
    ]
    lines += tree.walk("", 1, _dot_open, _dot_leaf, lambda: "}")
    lines += [_dot_edge(tree, one) for one in tree.edges()]
    return "\n".join([*lines, "}"]) + "\n"


def _dot_open(name: str, box: Box, said: list[str]) -> str:
    """A cluster has an unseen node, for edges that end at its border."""
    inner = f"{name} [shape=point, style=invis];"
    colour = f'color="{LIGHT.line(box.role)}";'
    return f"subgraph cluster_{name} {{ label={_quoted(*said)}; {colour} {inner}"


def _dot_leaf(name: str, box: Box, said: list[str]) -> str:
    fill, line = LIGHT.fill(box.role), LIGHT.line(box.role)
    return f'{name} [label={_quoted(*said)}, fillcolor="{fill}", color="{line}"];'


def _dot_edge(tree: _Tree, one: Line) -> str:
    said = [f'color="{LIGHT.line(one.role) if one.role in HUES else LIGHT.ink}"']
    said += ["style=dashed"] * (one.role in _DASHED) + ["penwidth=2"] * (one.role in _THICK)
    said += {"both": ["dir=both"], "end": ["dir=forward"]}.get(one.arrows, [])
    said += [f"ltail=cluster_{tree.name(one.start)}"] * (one.start in tree.parents)
    said += [f"lhead=cluster_{tree.name(one.end)}"] * (one.end in tree.parents)
    return f"  {tree.name(one.start)} -> {tree.name(one.end)} [{', '.join(said)}];"


def _quoted(*said: str) -> str:
    escaped = (one.replace("\\", "\\\\").replace('"', '\\"') for one in said)
    return '"' + "\\n".join(escaped) + '"'


class _Tree:
    """Boxes by their parents, with short names that every program takes."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.names = {one.id: f"n{at}" for at, one in enumerate(scene.boxes)}
        self.parents = {one.parent for one in scene.boxes if one.parent}
        self.said: dict[str, list[str]] = {}
        for text in scene.texts:
            self.said.setdefault(text.box, []).append(text.full)

    def name(self, id: str) -> str:  # noqa: A002
        return self.names[id]

    def edges(self) -> Iterator[Line]:
        return (one for one in self.scene.lines if one.start and one.end)

    def walk(
        self,
        parent: str,
        depth: int,
        opened: Callable[[str, Box, list[str]], str],
        leaf: Callable[[str, Box, list[str]], str],
        closed: Callable[[], str],
    ) -> Iterator[str]:
        for box in self.scene.children(parent):
            said = self.said.get(box.id) or [box.title or box.role]
            pad = "  " * depth
            if box.id in self.parents:
                yield pad + opened(self.name(box.id), box, said)
                yield from self.walk(box.id, depth + 1, opened, leaf, closed)
                yield pad + closed()
            else:
                yield pad + leaf(self.name(box.id), box, said)
