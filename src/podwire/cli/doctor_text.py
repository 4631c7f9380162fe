"""What `podwire doctor` prints, for people and for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

import click

from podwire.cli.output import print_table
from podwire.lens.doctor.catalog import KINDS
from podwire.lens.doctor.mend import Done
from podwire.lens.doctor.values import SEVERITIES, Finding, Report, Room
from podwire.lens.snapshot import Snapshot

_COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}


def document(report: Report, done: list[tuple[str, Done]] | None) -> dict[str, Any]:
    """As `--output json` has it. done: None when nothing was to be mended."""
    return {
        "findings": [{**asdict(one), "title": KINDS[one.id].title} for one in report.findings],
        "rooms": [{**asdict(one), "free": one.free} for one in report.rooms],
        "unread": dict(report.unread),
        "changed": list(report.changed),
        "done": None if done is None else [{"node": name, **asdict(one)} for name, one in done],
    }


def show(snapshot: Snapshot, report: Report, done: list[tuple[str, Done]] | None) -> None:
    for name, one in done or ():
        said = one.action or f"could not be mended: {one.why}"
        click.echo(f"{name}: {one.thing}: {said}")
    if done:
        click.echo()
    for finding in report.findings:
        for line in _finding(finding):
            click.echo(line)
    _rooms(report.rooms)
    for what, why in report.unread.items():
        click.echo(f"not looked at: {what}: {why}")
    for change in report.changed:
        click.echo(f"changed meanwhile: {change}")
    click.echo(_summary(snapshot, report.findings, mended=done is not None))


def _finding(one: Finding) -> Iterator[str]:
    mark = click.style(one.severity, fg=_COLOURS[one.severity], bold=True)
    yield f"{mark} {one.id}: {KINDS[one.id].title}"
    yield f"    what   {one.thing}" + (f", on {one.node}" if one.node else "")
    yield f"    seen   {one.evidence}"
    yield f"    so     {one.consequence}"
    yield f"    mend   {one.remedy}"
    yield ""


def _rooms(rooms: Iterable[Room]) -> None:
    rows = [
        (*one.thing.split(" ", 1), str(one.used), str(one.free), str(one.total), _until(one))
        for one in rooms
    ]
    if rows:
        print_table(("ADDRESSES OF", "NAME", "USED", "FREE", "ALL", "FULL IN"), rows)
        click.echo()


def _until(one: Room) -> str:
    """At the pace of the last hour."""
    return "-" if one.full_in is None else f"{one.full_in:.1f} h at least"


def _summary(snapshot: Snapshot, findings: tuple[Finding, ...], *, mended: bool) -> str:
    pods = sum(len(one.pods) for one in snapshot.nodes)
    looked = f"{len(snapshot.nodes)} nodes, {pods} pods"
    left = " is left" if mended else ""
    if not findings:
        return f"nothing{left or ' found'}: {looked}"
    counts = Counter(one.severity for one in findings)
    said = ", ".join(_count(counts[one], one) for one in SEVERITIES if counts[one])
    ours = sum(one.ours for one in findings)
    more = f"; `podwire doctor --fix` can mend {ours}" if ours and not mended else ""
    return f"{said}{' left' if mended else ''} ({looked}){more}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
