"""How fast explain answers with a thousand services, beside what a person does without it.

    python -m bench.explain [--services N] [--times N]

Needs no root and no lab: the snapshot is made by hand. The baseline is what finds one service's
rules in the text of iptables-save: three greps, and nothing that follows from them.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table
from tests.unit.lens import build

from podwire.lens import codec, names
from podwire.lens.explain import explain
from podwire.lens.snapshot import Snapshot


def saved(seen: Snapshot) -> str:
    """The nat table of n1 as iptables-save prints it."""
    space = seen.space("node/n1")
    assert space is not None
    table = next(one for one in space.iptables if one.name == "nat")
    return "".join(f"-A {one.name} {rule.text}\n" for one in table.chains for rule in one.rules)


def ask(seen: Snapshot, target: str) -> None:
    told = explain(seen, names.source(seen, "client-1"), names.target(seen, target))
    assert told.verdict == "delivered", told.culprit


def grep(path: Path, words: tuple[str, ...]) -> None:
    for word in words:
        subprocess.run(["grep", "-e", word, path], capture_output=True, check=False)


def timed(work: Callable[[], None], times: int) -> list[float]:
    found = []
    for _ in range(times):
        begin = time.perf_counter()
        work()
        found.append(1000 * (time.perf_counter() - begin))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--services", type=int, default=1000)
    parser.add_argument("--times", type=int, default=10)
    asked = parser.parse_args()
    seen = build.lab("bridge", asked.services)
    text = codec.to_json(seen)
    table = Table(title=f"explain, {asked.services} services (milliseconds)")
    for head in ("what", "first", "median", "most"):
        table.add_column(head, justify="left" if head == "what" else "right")
    with tempfile.NamedTemporaryFile("w", suffix=".rules") as file:
        file.write(saved(seen))
        file.flush()
        last = f"svc/many/s{asked.services - 1}"
        words = ("10.200.0.80/32", "KUBE-SVC-", "KUBE-SEP-")
        for what, work in (
            ("pod to the last service, there and back, both backends", lambda: ask(seen, last)),
            ("pod to pod", lambda: ask(seen, "web-2:80")),
            ("the snapshot read from its file", lambda: codec.from_json(text) and None),
            ("baseline: three greps in iptables-save", lambda: grep(Path(file.name), words)),
        ):
            took = timed(work, asked.times)
            shown = (took[0], statistics.median(took), max(took))
            table.add_row(what, *(f"{one:.1f}" for one in shown))
    Console().print(table)


if __name__ == "__main__":
    main()
