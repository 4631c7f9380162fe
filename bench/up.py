"""How long `podwire up` and `down` take, phase by phase, and what memory a lab has.

    python bench/up.py [--runs N]

Caches are warm after the first run. Peers cannot run beside it (they need a container engine and
a network), so the published figures for one node on a warm machine stand beside ours.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from podwire.cluster.cgroups import LabCgroups
from podwire.model.layout import LabLayout

LAB = "bench"
PODWIRE = str(Path(sys.executable).with_name("podwire"))
PUBLISHED = {"k3d": 20.0, "kind": 33.0, "minikube": 51.0}
"""Seconds to a one-node cluster, as published."""


def timed(*words: str, env: dict[str, str]) -> tuple[float, str]:
    """Wall seconds of a podwire command, and what it said on stderr."""
    begun = time.monotonic()
    done = subprocess.run([PODWIRE, *words], env=env, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - begun
    if done.returncode:
        sys.exit(f"podwire {' '.join(words)} failed:\n{done.stderr}")
    return seconds, done.stderr


def phases(said: str) -> dict[str, float]:
    """`[ 1.2 s] Title` lines; nodes' names are shortened to their number."""
    found = {}
    for seconds, title in re.findall(r"(?m)^\[\s*([\d.]+) s\] (.*)$", said):
        found[re.sub(r"aks-\S+vmss0*(\w)", r"\1", title)] = float(seconds)
    return found


def memory(layout: LabLayout) -> dict[str, float]:
    """MB of proportional set size by program, of every process in the lab's cgroups."""
    groups = LabCgroups.find(layout)
    sizes: dict[str, float] = {}
    for pid in groups.pids() if groups else ():
        try:
            name = Path(f"/proc/{pid}/comm").read_text().strip()
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        match = re.search(r"(?m)^Pss:\s+(\d+) kB", rollup)
        sizes[name] = sizes.get(name, 0.0) + (int(match[1]) / 1024 if match else 0.0)
    return sizes


def machine() -> str:
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    total = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    return (
        f"{os.cpu_count()} x {model[1] if model else platform.machine()}, "
        f"{int(total[1]) // 1024 // 1024 if total else '?'} GiB, Linux {platform.release()}, "
        f"load {os.getloadavg()[0]:.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    console = Console()
    console.print(machine())
    ups, downs, steps, sizes = [], [], {}, {}
    with tempfile.TemporaryDirectory() as home:
        env = {**os.environ, "KUBECONFIG": f"{home}/config", "PODWIRE_LAB": LAB}
        for number in range(runs):
            seconds, said = timed("up", env=env)
            ups.append(seconds)
            steps = phases(said)
            sizes = memory(LabLayout(LAB))
            downs.append(timed("down", env=env)[0])
            console.print(f"run {number + 1}: up {ups[-1]:.1f} s, down {downs[-1]:.1f} s")
    report(console, ups, downs, steps, sizes)


def report(
    console: Console,
    ups: list[float],
    downs: list[float],
    steps: dict[str, float],
    sizes: dict[str, float],
) -> None:
    table = Table("phase (last run; they overlap)", "seconds")
    for title, seconds in steps.items():
        table.add_row(title, f"{seconds:.1f}")
    console.print(table)
    table = Table("program", "PSS MB")
    for name, size in sorted(sizes.items(), key=lambda one: -one[1]):
        table.add_row(name, f"{size:.0f}")
    table.add_row("all", f"{sum(sizes.values()):.0f}")
    console.print(table)
    best = statistics.median(ups)
    table = Table("what", "seconds", "podwire / it")
    table.add_row("podwire up, 3 nodes, nginx, DNS (median)", f"{best:.1f}", "1.0")
    table.add_row("podwire down (median)", f"{statistics.median(downs):.1f}", "")
    for name, seconds in PUBLISHED.items():
        table.add_row(f"{name}, 1 node (published)", f"{seconds:.0f}", f"{best / seconds:.2f}")
    console.print(table)


if __name__ == "__main__":
    main()
