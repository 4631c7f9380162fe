"""How the command speaks: progress of steps, tables, JSON. Text for people goes to stderr while
something is under way, results to stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

stderr = Console(stderr=True)
_PAUSE = 2.0

FAULT = 3
"""Exit status of what looked, and found a fault: 1 is that it could not look, 2 wrong usage."""

output_option = click.option(
    "--output",
    "-o",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How to print the result.",
)


def print_json(value: Any) -> None:
    json.dump(value, sys.stdout, indent=2)
    sys.stdout.write("\n")


def print_json_line(value: Any) -> None:
    """One of many, as soon as it is there."""
    click.echo(json.dumps(value))


def print_table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, err: bool = False) -> None:
    """As kubectl prints one: upper-case heads, three spaces between columns, nothing wrapped."""
    lines = [list(heads), *(list(row) for row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(heads))]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("   ".join(cells).rstrip(), err=err)


class StepDisplay:
    """Shows step events: bars on a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._tasks: dict[str, TaskID] = {}
        self._bars: Progress | None = None
        self._told: dict[str, tuple[str, float]] = {}

    def __enter__(self) -> StepDisplay:
        if stderr.is_terminal:
            columns = (
                SpinnerColumn(finished_text="[green]✔[/]"),
                TextColumn("{task.description}"),
                BarColumn(bar_width=20),
                TextColumn("[dim]{task.fields[note]}"),
                TimeElapsedColumn(),
            )
            self._bars = Progress(*columns, console=stderr)
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def show(self, event: dict[str, Any]) -> None:
        if event["state"] in ("done", "failed"):
            self.seconds[event["step"]] = event["seconds"]
        if self._bars is None:
            self._line(event)
        else:
            self._bar(self._bars, event)

    def _bar(self, bars: Progress, event: dict[str, Any]) -> None:
        step, state = event["step"], event["state"]
        if step not in self._tasks:
            self._tasks[step] = bars.add_task(event["title"], total=None, note="")
        task = self._tasks[step]
        if state == "done":
            bars.update(task, total=1, completed=1, note="")
        elif state == "failed":
            bars.update(task, description=f"[red]{event['title']}", note="failed")
            bars.stop_task(task)
        elif event["fraction"] is not None:
            bars.update(task, total=1, completed=event["fraction"], note=event["text"])
        else:
            bars.update(task, note=event["text"])

    def _line(self, event: dict[str, Any]) -> None:
        if event["state"] == "done":
            click.echo(f"[{event['seconds']:6.1f} s] {event['title']}", err=True)
        elif event["state"] == "failed":
            click.echo(f"FAILED {event['title']}: {event['text']}", err=True)
        elif event["state"] == "progress":
            self._progress_line(event)

    def _progress_line(self, event: dict[str, Any]) -> None:
        """At most one in two seconds for each step, so that a build's log stays readable."""
        text, when = self._told.get(event["step"], ("", -_PAUSE))
        if event["text"] != text and event["seconds"] - when >= _PAUSE:
            self._told[event["step"]] = (event["text"], event["seconds"])
            click.echo(f"           {event['title']}: {event['text']}", err=True)
