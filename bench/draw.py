"""How long a figure takes: a snapshot of 3 nodes x 30 pods read from JSON, laid out and written.

    python -m bench.draw [--nodes N] [--pods N] [--times N]

Needs no root and no lab; the snapshot is made by hand. The aim: each under 0.5 s.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

from rich.console import Console
from rich.table import Table
from tests.unit.lens.draw import scenes

from podwire.lens import codec, draw
from podwire.lens.draw import svg, text
from podwire.lens.draw.compare import compare
from podwire.lens.draw.metrics import CELLS, PIXELS, Metrics
from podwire.lens.draw.scene import Scene
from podwire.lens.snapshot import Snapshot


def figure(name: str, snapshot: Snapshot, metrics: Metrics) -> Scene:
    if name == "compare":
        return compare([("", snapshot)], metrics)
    return draw.scene(snapshot, name, metrics=metrics)


def timed(work: Callable[[], object], times: int) -> float:
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken) * 1000


def main() -> None:
    wish = argparse.ArgumentParser(description=__doc__)
    wish.add_argument("--nodes", type=int, default=3)
    wish.add_argument("--pods", type=int, default=30)
    wish.add_argument("--times", type=int, default=7)
    said = wish.parse_args()
    made = scenes.of(said.pods, nodes=said.nodes)
    written = codec.to_json(made)
    table = Table(title=f"{said.nodes} nodes x {said.pods} pods, median of {said.times}, ms")
    for head in ("figure", "read JSON", "SVG", "text", "SVG in kB"):
        table.add_column(head, justify="right")
    read = timed(lambda: codec.from_json(written), said.times)
    for name in (*draw.FIGURES, "compare"):
        drawn = timed(lambda name=name: svg.render(figure(name, made, PIXELS)), said.times)
        typed = timed(lambda name=name: text.render(figure(name, made, CELLS)), said.times)
        size = len(svg.render(figure(name, made, PIXELS)).encode()) // 1000
        table.add_row(name, f"{read:.0f}", f"{drawn:.0f}", f"{typed:.0f}", str(size))
    Console().print(table)


if __name__ == "__main__":
    main()
