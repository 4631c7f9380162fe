"""`podwire status`: every node, component, pid, restart, and the addresses in use."""

from __future__ import annotations

from typing import Any

import click

from podwire.cli.options import lab_option
from podwire.cli.output import output_option, print_json, print_table
from podwire.ipam.lease import Lease
from podwire.ipam.ledger import STATE_DIR, Ledger
from podwire.kernel.mountns import inside
from podwire.lab import control
from podwire.model.errors import UnavailableError
from podwire.model.layout import LabLayout


@click.command()
@lab_option
@output_option
def status(layout: LabLayout, output: str) -> None:
    """What the lab is doing. Exit status 0 when everything that shall run runs, else 3."""
    now = control.ask(layout, op="status")
    for node in now["nodes"]:
        node["addresses"] |= _held(node)
    if output == "json":
        print_json(now)
    else:
        _print(now)
    if now["state"] not in ("running", "empty") or any(
        one["pid"] is None for one in now["components"]
    ):
        raise SystemExit(3)


def _held(node: dict[str, Any]) -> dict[str, Any]:
    """How many of the NIC's pod addresses the node's own ledger says are held."""
    if node["pid"] is None:
        return {"used": 0, "holders": []}
    try:
        leases = inside(node["pid"], _leases)
    except UnavailableError:  # no pod was wired yet
        leases = []
    holders = [
        {"address": one.address, "pod": f"{one.pod_namespace}/{one.pod_name}"} for one in leases
    ]
    return {"used": len(leases), "holders": holders}


def _leases() -> list[Lease]:
    with Ledger.open(STATE_DIR, create=False) as ledger:
        return ledger.leases()


def _print(now: dict[str, Any]) -> None:
    click.secho(f"lab {now['lab']}: {now['state']}", bold=True)
    if now["error"]:
        click.echo(f"error   {now['error']}")
    for one in now["clusters"]:
        click.echo(
            f"cluster {one['name']} ({one['state']}), Kubernetes {one['kubernetes']}, "
            f"API {one['api']}"
        )
    click.echo(f"logs    {now['logs']}\n")
    nodes = [
        (
            *(one["name"], one["address"], one["state"], _pid(one), str(one["restarts"])),
            f"{one['addresses']['used']} of {one['addresses']['total']} used",
        )
        for one in now["nodes"]
    ]
    print_table(("NODE", "ADDRESS", "STATE", "PID", "RESTARTS", "POD ADDRESSES"), nodes)
    click.echo()
    parts = [
        (one["name"], _pid(one), str(one["restarts"]), one["last_exit"])
        for one in now["components"]
    ]
    print_table(("COMPONENT", "PID", "RESTARTS", "LAST EXIT"), parts)


def _pid(one: dict[str, Any]) -> str:
    return "down" if one["pid"] is None else str(one["pid"])
