"""What a CNI call takes, as a container runtime sees it, beside the reference plugins.

    python -m bench.cni [--rounds N] [--json FILE] [--under DIR]

As root, from the checkout.

Each system has a node of its own, made of namespaces; its calls are posix_spawn of the executable
with the CNI environment and stdin, to its reaped exit. Sequential calls are interleaved, one of
each system in turn, so that the machine's other load meets all alike: on empty nodes, and with
PODS pods on each, as the peers were measured when the goals were set; a full node and an empty one
in turn, too. State of all systems is
under --under: /run, where a node has a tmpfs. The agents' in-process plugins are taken away
first: a call that they did not answer fails.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import phases
from bench.up import machine
from rich.console import Console
from rich.table import Table
from tests.netns.cni.node import CONFIG, URL, Node, build

from podwire.cluster.packages import unpack
from podwire.cni.install import IN_PROCESS, install
from podwire.kernel.netns import NetNamespace
from podwire.model.layout import CACHE

REFERENCE, C, PYTHON, IN = "bridge + host-local", "C shim", "Python shim", "in process"
BRIDGED, TRANSPARENT = "bridge", "transparent"
CALLERS = 8
BURST = 80
"""ADDs, by CALLERS at a time."""
IDLE_SECONDS = 5.0
PODS, FULL, ROUTED = 100, 240, 900
"""Pods that stand on a node: of each system, of one in bridge mode, of one in transparent mode."""
ROUTED_CONFIG = {
    **CONFIG,
    "mode": "transparent",
    "ipam": {
        "type": "azure-vnet-ipam",
        "environment": "range",
        "subnet": "10.221.0.0/16",
        "rangeStart": "10.221.0.10",
        "rangeEnd": "10.221.7.254",
    },
}


@dataclass
class System:
    """One way to make a pod's network, on a node of its own. Milliseconds of each call."""

    name: str
    node: Node
    program: Path
    config: dict[str, Any]
    agent: subprocess.Popen[bytes] | None = None
    add: dict[int, list[float]] = field(default_factory=dict)
    delete: dict[int, list[float]] = field(default_factory=dict)
    """By the number of pods that stand on the node."""
    pods: int = 0
    add_per_second: float = 0.0

    def call(self, verb: str, container: str, netns: NetNamespace) -> float:
        """Milliseconds; the calling thread must be in the node's namespace."""
        env = {
            "CNI_COMMAND": verb,
            "CNI_CONTAINERID": container,
            "CNI_NETNS": netns.path,
            "CNI_IFNAME": "eth0",
            "CNI_ARGS": "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=bench",
            "CNI_PATH": str(self.program.parent),
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        }
        milliseconds, status, said = spawned(self.program, env, json.dumps(self.config).encode())
        if status:
            sys.exit(f"{self.name}: {verb} failed: {said.decode()}")
        return milliseconds


def spawned(program: Path, env: dict[str, str], stdin: bytes) -> tuple[float, int, bytes]:
    """(milliseconds, exit status, stdout); neither stdin nor stdout may be above a pipe's room."""
    (read_in, write_in), (read_out, write_out) = os.pipe(), os.pipe()
    os.write(write_in, stdin)
    os.close(write_in)
    actions = [(os.POSIX_SPAWN_DUP2, read_in, 0), (os.POSIX_SPAWN_DUP2, write_out, 1)]
    begun = time.perf_counter()
    child = os.posix_spawn(program, [str(program)], env, file_actions=actions)
    _, status = os.waitpid(child, 0)
    taken = time.perf_counter() - begun
    os.close(read_in)
    os.close(write_out)
    with open(read_out, "rb") as file:
        return taken * 1000, os.waitstatus_to_exitcode(status), file.read()


def reference(directory: Path, stack: ExitStack) -> System:
    tree = unpack(["containernetworking-plugins"], CACHE / "packages/containernetworking-plugins")
    config = {
        "cniVersion": "0.3.1",
        "name": "reference",
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": "10.230.0.0/16"}]],
            "routes": [{"dst": "0.0.0.0/0"}],
            "dataDir": str(directory / "host-local"),
        },
    }
    directory.mkdir()
    return System(REFERENCE, build(directory, stack), tree / "usr/lib/cni/bridge", config)


def ours(
    name: str,
    shim: str,
    directory: Path,
    stack: ExitStack,
    *,
    with_agent: bool = True,
    config: dict[str, Any] = CONFIG,
) -> System:
    """shim: as `install` takes it; with one there is an agent too."""
    directory.mkdir()
    node = build(directory, stack, count=250)
    install(
        Path("/"),
        bin_dir=str(node.bin),
        conf_dir=str(directory / "conf"),
        lib_dir=str(directory / "lib"),
        state_dir=node.settings.state_dir,
        log_dir=node.settings.log_dir,
        wire_server_url=URL,
        shim=shim,
        socket=str(directory / "agent.sock"),
        agent_seconds=60,
    )
    system = System(name, node, node.bin / "azure-vnet", config)
    if shim != "none":
        shutil.rmtree(directory / "lib" / IN_PROCESS)
        if with_agent:
            system.agent = stack.enter_context(agent_of(node))
    return system


@contextmanager
def agent_of(node: Node) -> Iterator[subprocess.Popen[bytes]]:
    path = node.directory / "agent.sock"
    words = [f"--state-dir={node.settings.state_dir}", f"--log-dir={node.settings.log_dir}"]
    words += [f"--socket={path}", f"--wire-server-url={URL}"]
    enter = ["nsenter", f"--net={node.netns.path}"]
    process = subprocess.Popen([*enter, sys.executable, "-Im", "podwire.cni.agent", *words])
    try:
        while not path.exists():
            if process.poll() is not None:
                sys.exit("the agent did not start")
            time.sleep(0.01)
        yield process
    finally:
        process.kill()
        process.wait()


def one_pod(system: System, container: str, netns: NetNamespace) -> tuple[float, float]:
    """Milliseconds of ADD and of DEL."""
    with system.node.netns.entered():
        added = system.call("ADD", container, netns)
        return added, system.call("DEL", container, netns)


def sequential(systems: Sequence[System], rounds: int, netns: NetNamespace) -> None:
    for system in systems:
        one_pod(system, "warm", netns)  # the first makes the bridge and asks the wire server
    for number in range(rounds):
        turn = number % len(systems)
        for system in (*systems[turn:], *systems[:turn]):
            added, deleted = one_pod(system, f"s{number}", netns)
            system.add.setdefault(system.pods, []).append(added)
            system.delete.setdefault(system.pods, []).append(deleted)


def at_once(system: System, verb: str, places: Sequence[tuple[str, NetNamespace]]) -> float:
    """Seconds for one call at each of `places`, by CALLERS at a time."""

    def one(place: tuple[str, NetNamespace]) -> None:
        with system.node.netns.entered():
            system.call(verb, *place)

    with ThreadPoolExecutor(CALLERS) as pool:
        begun = time.perf_counter()
        list(pool.map(one, places))
        return time.perf_counter() - begun


def burst(system: System, netns: Sequence[NetNamespace]) -> None:
    places = [(f"b{number}", one) for number, one in enumerate(netns[:BURST])]
    system.add_per_second = len(places) / at_once(system, "ADD", places)
    at_once(system, "DEL", places)


def crowd(system: System, count: int, stack: ExitStack) -> None:
    """Pods until `count` stand on the node; they stay."""
    more = [
        (f"f{number}", stack.enter_context(NetNamespace.create()))
        for number in range(system.pods, count)
    ]
    at_once(system, "ADD", more)
    system.pods = count


def resident(pid: int) -> float:
    """MB."""
    match = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(match[1]) / 1024 if match else 0.0


def idle_share(pid: int) -> float:
    """Of a core, in percent."""

    def ticks() -> int:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(words[11]) + int(words[12])

    before = ticks()
    time.sleep(IDLE_SECONDS)
    return (ticks() - before) / os.sysconf("SC_CLK_TCK") / IDLE_SECONDS * 100


def p99(values: Sequence[float]) -> float:
    return sorted(values)[max(0, -(-len(values) * 99 // 100) - 1)]


def figures(systems: Sequence[System]) -> dict[str, dict[str, float]]:
    """System -> what was measured; milliseconds, calls a second."""
    found = {}
    for one in systems:
        first = next(iter(one.add))
        found[one.name] = {"add_p99": p99(one.add[first]), "add_per_second": one.add_per_second}
        for pods in one.add:
            found[one.name][f"add_{pods}"] = statistics.median(one.add[pods])
            found[one.name][f"delete_{pods}"] = statistics.median(one.delete[pods])
    return found


def growth(found: dict[str, dict[str, float]], name: str, count: int) -> float:
    return found[f"{name}, full"][f"add_{count}"] / found[f"{name}, empty"]["add_0"]


def goals(
    found: dict[str, dict[str, float]], memory: float, idle: float
) -> list[tuple[str, float, str, float]]:
    """(what, measured, sense, goal)."""
    peer, c, python = found[REFERENCE], found[C], found[PYTHON]
    wanted = []
    for pods in (PODS, 0):
        beside = f"to the reference, {pods} pods"
        for name, ours_, key, goal in (
            ("ADD median, C shim", c, "add", 0.25),
            ("ADD median, Python shim", python, "add", 0.9),
            ("DEL median, C shim", c, "delete", 0.5),
        ):
            key = f"{key}_{pods}"
            wanted.append((f"{name}, {beside}", ours_[key] / peer[key], "<=", goal))
    burst_ = c["add_per_second"] / peer["add_per_second"]
    return [
        *wanted,
        ("ADD p99 to its own median, C shim", c["add_p99"] / c["add_0"], "<=", 3),
        (f"ADD/s with {CALLERS} callers, C shim, to the reference", burst_, ">=", 4),
        (f"ADD at {FULL} pods to at 0, bridge", growth(found, BRIDGED, FULL), "<=", 1.2),
        (
            f"ADD at {ROUTED} pods to at 0, transparent",
            growth(found, TRANSPARENT, ROUTED),
            "<=",
            1.3,
        ),
        (f"agent's RSS at {FULL} pods, MB", memory, "<=", 40),
        ("agent's CPU when idle, % of a core", idle, "<=", 0.1),
    ]


def report(
    console: Console,
    found: dict[str, dict[str, float]],
    wanted: Sequence[tuple[str, float, str, float]],
) -> None:
    counts = sorted({int(key[4:]) for one in found.values() for key in one if key[4:].isdigit()})
    table = Table("ms", "ADD p99", *(f"ADD, {pods}" for pods in counts), "DEL", "ADD/s")
    for name, one in found.items():
        known = (one.get(f"add_{pods}") for pods in counts)
        cells = ["-" if value is None else f"{value:.2f}" for value in known]
        rate = f"{one['add_per_second']:.0f}" if one["add_per_second"] else "-"
        deleted = next(value for key, value in one.items() if key.startswith("delete_"))
        table.add_row(name, f"{one['add_p99']:.2f}", *cells, f"{deleted:.2f}", rate)
    console.print(table)
    table = Table("goal", "measured", "goal", "met")
    for what, value, sense, goal in wanted:
        met = value <= goal if sense == "<=" else value >= goal
        table.add_row(what, f"{value:.2f}", f"{sense} {goal:g}", "yes" if met else "NO")
    console.print(table)


def phases_of(directory: Path, rounds: int, netns: NetNamespace) -> dict[str, float]:
    """Of an ADD by the C shim and an agent with clocks, on a node of its own."""
    with ExitStack() as stack:
        system = ours(C, "c", directory, stack, with_agent=False)
        path, told = directory / "agent.sock", directory / "phases.json"

        def add() -> float:
            return system.call("ADD", "alone", netns)

        with system.node.netns.entered():
            shim = phases.shim_alone(path, add, rounds)
        agent = phases.start(system.node, path, told)
        try:
            sequential([system], rounds, netns)
        finally:
            agent.terminate()
            agent.wait()
        return phases.table(system.add[0], shim, told)


def measure(rounds: int, directory: Path) -> tuple[dict[str, dict[str, float]], Any]:
    with ExitStack() as stack:
        systems = [
            reference(directory / "reference", stack),
            ours(C, "c", directory / "c", stack),
            ours(PYTHON, "python", directory / "python", stack),
            ours(IN, "none", directory / "in", stack),
        ]
        peers = systems[:3]
        netns = [stack.enter_context(NetNamespace.create()) for _ in range(BURST)]
        sequential(peers, rounds, netns[-1])
        sequential(systems[3:], rounds // 3, netns[-1])
        for one in systems:
            burst(one, netns)
        for one in peers:
            crowd(one, PODS, stack)
        sequential(peers, rounds, netns[-1])
        agent = systems[1].agent
        assert agent is not None
        for name, count, config in (
            (BRIDGED, FULL, CONFIG),
            (TRANSPARENT, ROUTED, ROUTED_CONFIG),
        ):
            pair = [
                ours(f"{name}, {which}", "c", directory / f"{name}-{which}", stack, config=config)
                for which in ("empty", "full")
            ]
            crowd(pair[1], count, stack)
            sequential(pair, rounds // 2, netns[-1])
            systems += pair
        found = figures(systems)
        full = systems[5].agent
        assert full is not None
        return found, goals(found, resident(full.pid), idle_share(full.pid))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=150)
    parser.add_argument("--json", type=Path, help="write what was measured to this file, too")
    parser.add_argument("--under", default="/run", help="the directory for all state")
    options = parser.parse_args()
    console = Console()
    before = machine()
    console.print(before)
    with tempfile.TemporaryDirectory(dir=options.under, prefix="podwire-bench-") as directory:
        found, wanted = measure(options.rounds, Path(directory))
        with NetNamespace.create() as netns:
            where = phases_of(Path(directory) / "phases", options.rounds, netns)
    report(console, found, wanted)
    phases.report(console, where)
    if options.json:
        document = {"machine": before, "systems": found, "goals": wanted, "phases": where}
        options.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
