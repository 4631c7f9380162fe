"""Each format says all that the scene says, whatever characters the names have."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from xml.etree import ElementTree

import pytest

from podwire.lens import draw
from podwire.lens.draw import graph, page, png, svg, text
from podwire.lens.draw.metrics import CELLS
from podwire.lens.draw.palette import HUES, THEMES, mix
from podwire.model.errors import InvalidInputError, ProcessError
from tests.unit.lens.draw import scenes

EVIL = "<&\">'--\\nginx"
SVG = "{http://www.w3.org/2000/svg}"


def evil(figure: str = "wiring", cells: bool = False) -> draw.Scene:
    made = scenes.lab(scenes.Made(0, 2, "bridge", lambda at: f"{EVIL}{at}"))
    return draw.scene(made, figure, metrics=CELLS if cells else draw.PIXELS)


def elements(picture: str) -> Iterator[ElementTree.Element]:
    return ElementTree.fromstring(picture).iter()


@pytest.mark.parametrize("figure", draw.FIGURES)
@pytest.mark.parametrize("theme", ["light", "dark", "auto"])
def test_svg_is_xml_and_says_every_name(figure: str, theme: str) -> None:
    scene = evil(figure)
    picture = svg.render(scene, theme)
    said = "".join(ElementTree.fromstring(picture).itertext())
    assert EVIL in said
    ids = [one.get("id") for one in elements(picture) if one.get("id")]
    assert len(ids) == len(set(ids))
    known = set(ids)
    for one in elements(picture):
        for end in ("data-from", "data-to", "data-box", "data-parent"):
            assert one.get(end) is None or one.get(end) in known


def test_the_same_snapshot_gives_the_same_bytes() -> None:
    assert svg.render(evil()) == svg.render(evil())


def test_things_are_named_as_the_lens_names_them() -> None:
    made = scenes.of(2, nodes=1)
    node = made.nodes[0].name
    found = {one.get("data-object") for one in elements(svg.render(draw.scene(made, "wiring")))}
    pod = made.clusters[0].pods[0].key
    link = f"link node/{node} azv00000000000"
    wanted = {
        f"node {node}",
        f"pod {pod}",
        link,
        f"link pod/{pod} eth0",
        f"link node/{node} azure0",
    }
    assert wanted | {"subnet networklab/aksvnet azurecni", "nic nic-0"} <= found
    ranges = svg.render(draw.scene(made, "vnet"))
    addresses = {one.get("data-object") for one in elements(ranges)}
    assert f"address pod/{pod} eth0 10.220.2.5/24" in addresses
    assert "service default/nginx" in addresses


def test_auto_has_variables_and_the_others_none() -> None:
    assert "prefers-color-scheme:dark" in svg.render(evil(), "auto")
    for theme in ("light", "dark"):
        assert "var(" not in svg.render(evil(), theme)


def test_an_unknown_theme() -> None:
    with pytest.raises(InvalidInputError, match="'pink'; there are: auto, light, dark"):
        svg.render(evil(), "pink")


@pytest.mark.parametrize("theme", THEMES)
def test_text_can_be_read_on_every_filling(theme: str) -> None:
    """WCAG's contrast of 4.5, of the faint text as well."""
    one = THEMES[theme]
    for role in HUES:
        for ink in (one.ink, one.faint, one.index):
            assert contrast(ink, one.fill(role)) >= (4.5 if ink == one.ink else 3), (role, ink)


def contrast(one: str, other: str) -> float:
    a, b = sorted((luminance(one), luminance(other)))
    return (b + 0.05) / (a + 0.05)


def luminance(colour: str) -> float:
    parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_mix() -> None:
    assert mix("#000000", "#ffffff", 50) == "#7f7f7f"
    assert mix("#102030", "#ffffff", 0) == "#102030"


def test_text_joins_lines_where_they_meet() -> None:
    said = text.render(draw.scene(scenes.of(2, nodes=1), "wiring", metrics=CELLS))
    assert "┣━[11: azv00000000000@if10]────[ 10: eth0@if11 10.220.2.5/24" in said
    assert all(line == line.rstrip() for line in said.splitlines())


def test_text_keeps_lines_straight_beside_wide_letters() -> None:
    made = scenes.lab(scenes.Made(0, 2, "bridge", lambda at: f"漢字{at}" if at else "plain"))
    rows = text.render(draw.scene(made, "wiring", metrics=CELLS)).splitlines()
    pods = [one for one in rows if "eth0@if" in one]
    assert len({len(one) + one.count("漢") + one.count("字") for one in pods}) == 1


def test_html_is_one_page_with_the_picture() -> None:
    said = page.render(evil(), "auto")
    assert svg.render(evil(), "auto") in said
    assert "http" not in said.replace("http://www.w3.org/2000/svg", "")


def test_mermaid_and_dot_name_every_box_and_edge() -> None:
    scene = evil()
    lines = [one for one in scene.lines if one.start and one.end]
    for said, edge in ((graph.mermaid(scene), "--"), (graph.dot(scene), "->")):
        for at in range(len(scene.boxes)):
            assert f"n{at}" in said
        assert said.count(edge) >= len(lines)
    assert "#60;#38;#34;#62;" in graph.mermaid(scene)
    assert '<&\\">' in graph.dot(scene)


def test_png_without_its_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ProcessError, match="librsvg2-bin"):
        png.render("<svg/>")


def test_png_when_its_program_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    fake = f"{tmp_path}/rsvg-convert"
    with open(fake, "w") as file:
        file.write("#!/bin/sh\ncat > /dev/null\necho no such luck >&2\nexit 1\n")
    subprocess.run([shutil.which("chmod") or "chmod", "+x", fake], check=True)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(ProcessError, match="no such luck"):
        png.render("<svg/>")
