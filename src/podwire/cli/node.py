"""`podwire node list | shell | exec`: to be on a node."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from podwire.cli.options import lab_option
from podwire.cli.output import output_option, print_json, print_table
from podwire.cluster.node import enter_argv
from podwire.lab import control
from podwire.model.errors import InvalidInputError
from podwire.model.layout import LabLayout


@click.group()
def node() -> None:
    """The nodes: list them, get a root shell on one, run a command on one."""


@node.command("list")
@lab_option
@output_option
def list_nodes(layout: LabLayout, output: str) -> None:
    """The lab's nodes."""
    nodes = control.ask(layout, op="status")["nodes"]
    if output == "json":
        print_json(nodes)
        return
    rows = [
        (
            *(one["name"], one["address"], one["state"]),
            *("-" if one["pid"] is None else str(one["pid"]), str(one["restarts"])),
        )
        for one in nodes
    ]
    print_table(("NAME", "ADDRESS", "STATE", "PID", "RESTARTS"), rows)


@node.command()
@lab_option
@click.argument("name", metavar="NODE")
def shell(layout: LabLayout, name: str) -> None:
    """A root shell on NODE (its name, or what it ends with: 0, vmss000001)."""
    enter(layout, name, ["/bin/bash", "-l"])


@node.command("exec", context_settings={"ignore_unknown_options": True})
@lab_option
@click.argument("name", metavar="NODE")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def exec_(layout: LabLayout, name: str, command: tuple[str, ...]) -> None:
    """Run COMMAND on NODE as root, in the node's namespaces and cgroups; its exit status is ours.

    \b
    podwire node exec 0 -- brctl show
    """
    enter(layout, name, list(command))


def enter(layout: LabLayout, name: str, command: list[str]) -> None:
    """Become `command` on a node. Raises InvalidInputError for a node that is not there, or down,
    UnavailableError without a lab."""
    found = find_node(control.ask(layout, op="status")["nodes"], name)
    if found["pid"] is None:
        raise InvalidInputError(f"node {found['name']} is down now; see `podwire status`")
    argv = enter_argv(found["pid"], found["name"], found["cgroups"], command)
    sys.stdout.flush()
    os.execvp(argv[0], argv)


def find_node(nodes: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """By its name or the unambiguous end of it. Raises InvalidInputError naming what there is."""
    exact = [one for one in nodes if one["name"] == name]
    found = exact or [one for one in nodes if one["name"].endswith(name)]
    if len(found) != 1:
        have = ", ".join(one["name"] for one in nodes) or "none"
        what = "is ambiguous" if found else "does not exist"
        raise InvalidInputError(f"node {name!r} {what}; the lab has: {have}")
    return found[0]
