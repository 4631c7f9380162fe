"""`podwire env`: what a shell needs, for `eval "$(podwire env)"`."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from podwire.cli.options import lab_option
from podwire.cli.output import output_option, print_json
from podwire.lab import control
from podwire.model.errors import PodwireError
from podwire.model.layout import LabLayout


@click.command()
@lab_option
@output_option
def env(layout: LabLayout, output: str) -> None:
    """Print the exports that make this shell talk to the lab.

    \b
    eval "$(podwire env)"
    """
    status = control.ask(layout, op="status")
    if not status["user_kubeconfig"]:
        raise PodwireError(f"lab {layout.name} is {status['state']}; `podwire up` finishes it")
    values = {
        "PATH": str(Path(status["kubectl"]).parent),
        "KUBECONFIG": status["user_kubeconfig"],
        "PODWIRE_LAB": layout.name,
    }
    if output == "json":
        print_json(values)
        return
    click.echo(f'export PATH={shlex.quote(values["PATH"])}:"$PATH"')
    click.echo(f"export KUBECONFIG={shlex.quote(values['KUBECONFIG'])}")
    click.echo(f"export PODWIRE_LAB={shlex.quote(values['PODWIRE_LAB'])}")
