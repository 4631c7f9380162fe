"""`podwire down`: nothing is left, whatever state the lab was in."""

from __future__ import annotations

import click

from podwire.cli.options import lab_option
from podwire.cli.output import StepDisplay
from podwire.lab import control, preflight, sweep
from podwire.model.layout import LabLayout


@click.command()
@lab_option
@click.option("--keep-logs", is_flag=True, help="Leave the lab's log directory where it is.")
def down(layout: LabLayout, keep_logs: bool) -> None:
    """Remove the lab: processes, namespaces, mounts, cgroups, links, files, kubeconfig entry.

    Works as well after a kill -9 of any part, a half-finished `up`, or a crash of the machine.
    """
    preflight.check_root()
    existed = sweep.exists(layout)
    with StepDisplay() as display:
        if control.daemon_pid(layout) is not None:
            try:
                for event in control.request(layout, {"op": "down"}):
                    display.show(event)
            except control.DaemonError as error:
                click.echo(f"the daemon did not manage ({error}); ending it", err=True)
        sweep.sweep(layout, keep_logs=keep_logs)
    click.echo(f"lab {layout.name}: {'removed' if existed else 'there was none'}", err=True)
