"""How long `podwire doctor` judges a snapshot: the saved ones, and the same with full nodes.

    python -m bench.doctor [--pods N] [--repeat N]

The judging alone, then the whole command with the largest snapshot in a file, until it ends. Needs
no root and no lab: taking the snapshot is not measured (`bench.snapshot`).
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time

from rich.console import Console
from rich.table import Table
from tests.unit.lens.doctor.grown import grown
from tests.unit.lens.saved import NAMES, saved

from podwire.lens.codec import to_json
from podwire.lens.doctor.judge import judge
from podwire.lens.snapshot import Snapshot


def seconds(snapshot: Snapshot, repeat: int) -> list[float]:
    found = []
    for _ in range(repeat):
        begun = time.perf_counter()
        judge(snapshot)
        found.append(time.perf_counter() - begun)
    return found


def command(snapshot: Snapshot, repeat: int) -> list[float]:
    """`podwire doctor --from FILE`, from its start to its end."""
    found = []
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write(to_json(snapshot))
        file.flush()
        for _ in range(repeat):
            begun = time.perf_counter()
            argv = [sys.executable, "-m", "podwire.cli.main", "doctor", "--from", file.name]
            subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
            found.append(time.perf_counter() - begun)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pods", type=int, default=29)
    parser.add_argument("--repeat", type=int, default=10)
    asked = parser.parse_args()
    table = Table("snapshot", "pods", "median ms", "worst ms", title="doctor (< 1000 ms)")
    snapshots = [(name, saved(name)) for name in NAMES]
    for name in NAMES[:2]:
        big = grown(name, asked.pods)
        assert judge(big).findings == (), "it must be healthy"
        snapshots.append((f"{name}, {asked.pods} pods on a node", big))
    taken = [(name, one, seconds(one, asked.repeat)) for name, one in snapshots]
    taken.append((f"podwire doctor --from: {name}", big, command(big, asked.repeat)))
    for name, snapshot, times in taken:
        pods = str(sum(len(one.pods) for one in snapshot.nodes))
        median, worst = statistics.median(times) * 1000, max(times) * 1000
        table.add_row(name, pods, f"{median:.1f}", f"{worst:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
