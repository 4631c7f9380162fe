"""How long `podwire doctor` judges a snapshot: the saved ones, and the same with full nodes.

    python -m bench.doctor [--pods N] [--repeat N]

Needs no root and no lab: taking the snapshot is not measured.
"""

from __future__ import annotations

import argparse
import statistics
import time

from rich.console import Console
from rich.table import Table
from tests.unit.lens.doctor.grown import grown
from tests.unit.lens.saved import NAMES, saved

from podwire.lens.doctor.judge import judge
from podwire.lens.snapshot import Snapshot


def seconds(snapshot: Snapshot, repeat: int) -> list[float]:
    found = []
    for _ in range(repeat):
        begun = time.perf_counter()
        judge(snapshot)
        found.append(time.perf_counter() - begun)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pods", type=int, default=30)
    parser.add_argument("--repeat", type=int, default=10)
    asked = parser.parse_args()
    table = Table("snapshot", "pods", "median ms", "worst ms", title="doctor: judging (< 1000 ms)")
    snapshots = [(name, saved(name)) for name in NAMES]
    for name in NAMES[:2]:
        big = grown(name, asked.pods)
        assert judge(big).findings == (), "it must be healthy"
        snapshots.append((f"{name}, {asked.pods} pods on a node", big))
    for name, snapshot in snapshots:
        taken = [one * 1000 for one in seconds(snapshot, asked.repeat)]
        pods = str(sum(len(one.pods) for one in snapshot.nodes))
        table.add_row(name, pods, f"{statistics.median(taken):.1f}", f"{max(taken):.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
