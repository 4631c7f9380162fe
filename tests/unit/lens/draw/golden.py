"""What the figures look like, kept in golden/. After a change that is meant:

python -m tests.unit.lens.draw.golden

writes the files anew, and the pictures of the documentation, which are of real labs; then look at
the difference, and at the pictures.
"""

from __future__ import annotations

from pathlib import Path

from podwire.lens import draw
from podwire.lens.draw import graph, page, svg, text
from podwire.lens.draw.compare import compare
from podwire.lens.draw.metrics import CELLS, PIXELS, Metrics
from podwire.lens.draw.scene import Scene
from tests.unit.lens.draw import scenes
from tests.unit.lens.saved import NAMES, saved

HERE = Path(__file__).parent / "golden"
IMAGES = Path(__file__).parents[4] / "docs" / "images"
MODES = ("bridge", "transparent", "kubenet")


def figure(name: str, m: Metrics) -> Scene:
    snapshot = scenes.of(2, nodes=2)
    if name == "compare":
        return compare([(mode, scenes.of(2, mode, 1)) for mode in MODES], m)
    return draw.scene(snapshot, name, metrics=m)


def files() -> dict[str, str]:
    """Name of the file -> what it must hold."""
    found = {}
    for name in (*draw.FIGURES, "compare"):
        found[f"{name}.svg"] = svg.render(figure(name, PIXELS), "auto")
        found[f"{name}.txt"] = text.render(figure(name, CELLS))
    found["wiring-dark.svg"] = svg.render(figure("wiring", PIXELS), "dark")
    found["wiring.html"] = page.render(figure("wiring", PIXELS), "light")
    for mode in MODES[1:]:
        found[f"wiring-{mode}.txt"] = text.render(
            draw.scene(scenes.of(2, mode, 1), "wiring", metrics=CELLS)
        )
    found["wiring.mmd"] = graph.mermaid(figure("wiring", PIXELS))
    found["services.dot"] = graph.dot(figure("services", PIXELS))
    found["thirty.txt"] = text.render(draw.scene(scenes.of(30, nodes=1), "veth", metrics=CELLS))
    return found


def images() -> dict[str, str]:
    """The same of docs/images."""
    lab = saved("bridge")
    nginx = next(one.key for one in lab.clusters[0].pods if one.name.startswith("nginx"))
    scenes_ = {
        "wiring": draw.scene(lab, "wiring"),
        "veth": draw.scene(lab, "veth", pod=nginx),
        "services": draw.scene(lab, "services"),
        "vnet": draw.scene(lab, "vnet"),
        "modes": compare([(name, saved(name)) for name in NAMES], PIXELS),
        **{f"bridge-{name}": _beside_bridge(name) for name in MODES[1:]},
    }
    return {f"{name}.svg": svg.render(scene, "auto") for name, scene in scenes_.items()}


def _beside_bridge(name: str) -> Scene:
    return compare([(one, saved(one)) for one in ("bridge", name)], PIXELS)


if __name__ == "__main__":
    for name, content in files().items():
        (HERE / name).write_text(content)
    for name, content in images().items():
        (IMAGES / name).write_text(content)
