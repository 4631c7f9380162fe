"""How long a snapshot takes: of a lab that runs, whole, and where its time goes.

    python -m bench.snapshot [--name LAB] [--times N]

Needs root and a lab, for the aim (under 2 s) of 3 nodes with 30 pods each:

    podwire up --no-workload
    kubectl create deployment idle --replicas=85 \\
        --image=mcr.microsoft.com/oss/kubernetes/pause:1.3.1
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.table import Table

from podwire.cli.snapshots import lab_site
from podwire.lab import control
from podwire.lens import codec
from podwire.lens.collect import collect
from podwire.model.layout import DEFAULT_LAB, LabLayout


@contextmanager
def measured(into: list[tuple[float, float, float]]) -> Iterator[None]:
    """Seconds by the clock, and of CPU: this process's, and its programs'."""
    start, own, programs = time.perf_counter(), *_cpu()
    yield
    now = _cpu()
    into.append((time.perf_counter() - start, now[0] - own, now[1] - programs))


def _cpu() -> tuple[float, float]:
    both = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    used = [resource.getrusage(who) for who in both]
    return used[0].ru_utime + used[0].ru_stime, used[1].ru_utime + used[1].ru_stime


def main() -> None:
    wish = argparse.ArgumentParser(description=__doc__)
    wish.add_argument("--name", default=DEFAULT_LAB)
    wish.add_argument("--times", type=int, default=7)
    said = wish.parse_args()
    layout = LabLayout(said.name)
    parts: dict[str, list[tuple[float, float, float]]] = {}
    for _ in range(said.times):
        with measured(parts.setdefault("ask the lab", [])):
            facts = control.ask(layout, op="facts")
        with measured(parts.setdefault("collect", [])):
            taken = collect(lab_site(facts))
        with measured(parts.setdefault("write JSON", [])):
            text = codec.to_json(taken)
        with measured(parts.setdefault("read JSON", [])):
            codec.from_json(text)
    pods = sum(len(one.pods) for one in taken.nodes)
    table = Table(
        title=f"{len(taken.nodes)} nodes, {pods} pods, {len(text) // 1000} kB; "
        f"the best of {said.times}, s"
    )
    for head in ("part", "clock", "own CPU", "programs' CPU"):
        table.add_column(head, justify="right")
    for name, times in parts.items():
        table.add_row(name, *(f"{one:.2f}" for one in min(times)))
    Console().print(table)


if __name__ == "__main__":
    main()
