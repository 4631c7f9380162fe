"""`podwire doctor [--fix]`: what is wrong with a node or a lab, and mending what is ours."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict
from typing import Any

import click

from podwire.cli import doctor_text
from podwire.cli.output import FAULT, output_option, print_json
from podwire.cli.snapshots import Source, snapshot_options, take
from podwire.cluster.node import enter_argv
from podwire.cni.settings import Settings
from podwire.lab import control
from podwire.lab.preflight import check_root
from podwire.lens.doctor.judge import judge
from podwire.lens.doctor.mend import Done, mend
from podwire.lens.doctor.values import Report
from podwire.lens.snapshot import Snapshot
from podwire.model.errors import InvalidInputError, PodwireError

_PAUSE = 1.0
"""Seconds between two looks: what is only under way is gone in the second."""
_PATIENCE = 120.0


@click.command()
@snapshot_options
@click.option("--node", default="", help="Only this node: its name, or what it ends with.")
@click.option("--fix", is_flag=True, help="Mend what is provably this product's own, then look.")
@click.option("--mend-here", is_flag=True, hidden=True)
@output_option
def doctor(source: Source, node: str, fix: bool, mend_here: bool, output: str) -> None:
    """What is wrong: each fault with evidence, consequence, and the command that mends it.

    Compares, node by node: the wiring that pods should have with what the kernel has; the ledger
    with the runtime; Kubernetes' objects with the kernel; looks for doubled addresses, for filters
    and routes of others that shadow ours, for wrong kernel settings, and tells how long the
    addresses last. It changes nothing without --fix.

    --fix makes the wirings of live pods again and frees leaked addresses; never what others made.
    It can be run again at any time, also after it was killed.

    \b
    podwire doctor                       # the lab, or this machine's own node
    podwire doctor --from now.json       # a saved snapshot: what was wrong then
    podwire doctor --fix --node 0        # mend one node; what is left is told

    Exit status 0 when nothing is found, 3 when findings are there (after --fix: are left), 1 when
    it cannot be told, 2 for wrong usage.
    """
    if mend_here:
        check_root()
        print_json([asdict(one) for one in mend(Settings(), node)])
        return
    if fix and source.file:
        raise InvalidInputError(f"{source.file} is a saved snapshot: --fix mends live nodes only")
    snapshot, report = _look(source, node)
    done: list[tuple[str, Done]] = []
    if fix and (names := _ours(report)):
        done = [(name, one) for name in names for one in _mended(source, snapshot, name)]
        snapshot, report = _look(source, node)
    if output == "json":
        print_json(doctor_text.document(report, done if fix else None))
    else:
        doctor_text.show(snapshot, report, done if fix else None)
    if report.findings:
        raise SystemExit(FAULT)


def _look(source: Source, node: str) -> tuple[Snapshot, Report]:
    """Of a live one a finding counts when a second look has it too."""
    snapshot = take(source)
    name = _chosen(snapshot, node)
    report = judge(snapshot, name)
    if source.file or not report.findings:
        return snapshot, report
    time.sleep(_PAUSE)
    first = {(one.id, one.thing, one.node) for one in report.findings}
    snapshot = take(source)
    return snapshot, judge(snapshot, name).only(first)


def _chosen(snapshot: Snapshot, node: str) -> str:
    """Raises InvalidInputError naming what there is."""
    if not node:
        return ""
    names = [one.name for one in snapshot.nodes]
    matching = [one for one in names if one == node] or [one for one in names if one.endswith(node)]
    if len(matching) != 1:
        what = "is ambiguous" if matching else "does not exist"
        raise InvalidInputError(f"node {node!r} {what}; there are: {', '.join(names) or 'none'}")
    return matching[0]


def _ours(report: Report) -> list[str]:
    """Nodes with something that `--fix` can mend."""
    return sorted({one.node for one in report.findings if one.ours})


def _mended(source: Source, snapshot: Snapshot, name: str) -> list[Done]:
    """One node that cannot be mended stops no other."""
    try:
        return _on_lab(source, name) if snapshot.lab else mend(Settings(), name)
    except PodwireError as error:
        return [Done(f"node {name}", "", str(error))]


def _on_lab(source: Source, name: str) -> list[Done]:
    """By this same program on the node, in its namespaces."""
    nodes: list[dict[str, Any]] = control.ask(source.layout, op="status")["nodes"]
    found = next((one for one in nodes if one["name"] == name and one["pid"]), None)
    if found is None:
        raise InvalidInputError(f"node {name} is down now; see `podwire status`")
    command = [sys.executable, "-I", "-m", "podwire.cli.main", "doctor", "--mend-here"]
    argv = enter_argv(found["pid"], name, found["cgroups"], [*command, "--node", name])
    run = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE, check=False
    )
    if run.returncode:
        said = run.stderr.decode(errors="replace").strip().splitlines() or ["nothing"]
        raise InvalidInputError(f"mending {name} ended with {run.returncode}: {said[-1]}")
    return [Done(**one) for one in json.loads(run.stdout)]
