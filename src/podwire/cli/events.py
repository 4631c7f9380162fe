"""`podwire events`: what the lab is doing, as it does it."""

from __future__ import annotations

from typing import Any

import click

from podwire.cli.options import lab_option
from podwire.cli.output import output_option, print_json_line
from podwire.lab import control
from podwire.model.layout import LabLayout


@click.command()
@lab_option
@output_option
def events(layout: LabLayout, output: str) -> None:
    """Follow what the lab is doing: each step of each cluster and VNet, until ^C.

    \b
    networklab/azurecni-cluster creating: Node aks-...-vmss000000: Ready (0.8 s)
    """
    for event in control.request(layout, {"op": "events"}):
        if output == "json":
            print_json_line(event)
        else:
            click.echo(_line(event))


def _line(event: dict[str, Any]) -> str:
    said = f": {event['text']}" if event["text"] else ""
    state = f"{event['seconds']:.1f} s" if event["state"] == "done" else event["state"]
    return f"{event['subject']} {event['work']}: {event['title']}{said} ({state})"
