"""`podwire env`: what a shell needs, for `eval "$(podwire env)"`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from podwire.arm.files import ArmFiles
from podwire.arm.profile import log_in, logged_in, note_version
from podwire.cli.options import lab_option
from podwire.cli.output import output_option, print_json
from podwire.lab import control
from podwire.model.layout import LabLayout


@click.command()
@lab_option
@output_option
def env(layout: LabLayout, output: str) -> None:
    """Print the exports that make this shell's kubectl and az talk to the lab.

    Logs az in again if somebody typed `az logout`.

    \b
    eval "$(podwire env)"
    """
    values = _values(layout, control.ask(layout, op="status"))
    if output == "json":
        print_json(values)
        return
    click.echo(f'export PATH={shlex.quote(values.pop("PATH"))}:"$PATH"')
    for name, value in values.items():
        click.echo(f"export {name}={shlex.quote(value)}")


def _values(layout: LabLayout, status: dict[str, Any]) -> dict[str, str]:
    """What to export: for kubectl, for az, for podwire itself. PATH: what goes before the rest."""
    files = ArmFiles(layout)
    note_version(files)
    if not logged_in(files):
        log_in(files)
    values = {"PATH": str(Path(status["kubectl"]).parent)}
    if status["user_kubeconfig"]:
        values["KUBECONFIG"] = status["user_kubeconfig"]
    return {
        **values,
        "AZURE_CONFIG_DIR": str(files.profile),
        "REQUESTS_CA_BUNDLE": str(files.bundle),
        "PODWIRE_LAB": layout.name,
    }
