"""What no agent on this machine can beat: the C shim against servers that take no time themselves.

    python -m bench.ceiling [--rounds N]

As root, from the checkout. Four systems, each on a node of its own, take turns: the reference
plugins, the plugin with its agent, and the same shim before a C program (`floor.c`) that answers at
once, or after the kernel's part of an ADD and nothing else. An agent that needed no time for its
ledger, its log and Python would be as fast as the last.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.cni import BURST, CALLERS, C, System, at_once, ours, reference, sequential
from bench.up import machine
from rich.console import Console
from rich.table import Table

from podwire.kernel.netns import NetNamespace
from podwire.kernel.rtnetlink import RtNetlink

ANSWER, KERNEL, PEER = "shim, answered at once", "shim and kernel alone", 0
SETTLE_SECONDS = 0.3
"""What goes on after a DEL's answer is over then."""
_BRIDGE = "floor0"


@contextmanager
def floor(system: System, program: Path, mode: str) -> Iterator[None]:
    """The C server in place of the system's agent."""
    path = system.node.directory / "agent.sock"
    with RtNetlink(system.node.netns) as door:
        door.create_bridge(_BRIDGE, "02:00:00:00:00:01", 1500)
    enter = ["nsenter", f"--net={system.node.netns.path}"]
    process = subprocess.Popen([*enter, program, path, mode, *[_BRIDGE] * (mode == "kernel")])
    try:
        while not path.exists():
            if process.poll() is not None:
                sys.exit("the floor's server did not start")
            time.sleep(0.01)
        yield
    finally:
        process.kill()
        process.wait()


def compiled(directory: Path) -> Path:
    program = directory / "floor"
    source = Path(__file__).with_name("floor.c")
    subprocess.run(["gcc", "-O2", "-pthread", source, "-o", program], check=True)
    return program


def bursts(systems: Sequence[System], rounds: int) -> dict[str, list[float]]:
    """System -> ADDs a second, round by round, into the same namespaces.

    Not into new ones for each: the kernel takes old ones apart while the next system is measured.
    """
    found: dict[str, list[float]] = {one.name: [] for one in systems}
    with ExitStack() as stack:
        netns = [stack.enter_context(NetNamespace.create()) for _ in range(BURST)]
        for number in range(rounds):
            places = [(f"b{number}x{each}", one) for each, one in enumerate(netns)]
            turn = number % len(systems)
            for system in (*systems[turn:], *systems[:turn]):
                found[system.name].append(BURST / at_once(system, "ADD", places))
                at_once(system, "DEL", places)
                time.sleep(SETTLE_SECONDS)
    return found


def measure(directory: Path, rounds: int) -> tuple[list[System], dict[str, list[float]]]:
    with ExitStack() as stack:
        program = compiled(directory)
        systems = [
            reference(directory / "reference", stack),
            ours(C, "c", directory / "c", stack),
            ours(KERNEL, "c", directory / "kernel", stack, with_agent=False),
            ours(ANSWER, "c", directory / "answer", stack, with_agent=False),
        ]
        stack.enter_context(floor(systems[2], program, "kernel"))
        stack.enter_context(floor(systems[3], program, "answer"))
        with NetNamespace.create() as netns:
            sequential(systems, rounds * 20, netns)
        return systems, bursts(systems, rounds)


def report(console: Console, systems: Sequence[System], rates: dict[str, list[float]]) -> None:
    table = Table("", "ADD, ms", "to the reference", f"ADD/s, {CALLERS} callers", "to it")
    peer = systems[PEER]
    for one in systems:
        alone, rate = statistics.median(one.add[0]), statistics.median(rates[one.name])
        slower = alone / statistics.median(peer.add[0])
        faster = statistics.median(
            mine / its for mine, its in zip(rates[one.name], rates[peer.name], strict=True)
        )
        cells = (f"{alone:.2f}", f"{slower:.2f}", f"{rate:.0f}", f"{faster:.1f}x")
        table.add_row(one.name, *cells)
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8, help="bursts; times 20: single calls")
    parser.add_argument("--under", default="/run", help="the directory for all state")
    options = parser.parse_args()
    console = Console()
    console.print(machine())
    with tempfile.TemporaryDirectory(dir=options.under, prefix="podwire-ceiling-") as directory:
        systems, rates = measure(Path(directory), options.rounds)
    report(console, systems, rates)


if __name__ == "__main__":
    main()
