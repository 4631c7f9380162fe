"""`podwire replay`: the birth of a pod, line by line, for who learns or teaches."""

from __future__ import annotations

import time
from dataclasses import asdict

import click

from podwire.cli.output import output_option, print_json
from podwire.cli.plugin_log import plugin_log
from podwire.cli.snapshots import Source, snapshot_options, take
from podwire.lens.commands import on_node
from podwire.lens.replay import Birth, Step, birth, find

_PAUSE = 1.5
"""Seconds between two steps at speed 1: about what it takes to read one."""


@click.command()
@snapshot_options
@click.option("--pod", required=True, metavar="NAMESPACE/NAME", help="Whose birth.")
@click.option("--step", is_flag=True, help="Wait for Enter after each step.")
@click.option(
    "--speed",
    type=click.FloatRange(0.1, 1000),
    default=1.0,
    show_default=True,
    help="How many times faster than one reads.",
)
@output_option
def replay(source: Source, pod: str, step: bool, speed: float, output: str) -> None:
    """How a pod got its network: each line of the plugin's log, what it means, what came to be by
    it, and the command that shows it now. Of a live pod, or of one in a support bundle.

    \b
    podwire replay --pod default/nginx-5b656dcb8-jnh77 --step
    podwire replay --pod nginx-5b656dcb8-jnh77 --from ours.tar.gz -o json
    """
    snapshot = take(source)
    node, lease = find(snapshot, pod)
    told = birth(node, lease, plugin_log(source, snapshot, node.name))
    if output == "json":
        print_json(asdict(told))
        return
    _play(told, on_node(snapshot.lab, node.name), step=step, pause=_PAUSE / speed)


def _play(told: Birth, prefix: str, *, step: bool, pause: float) -> None:
    click.echo(f"{told.pod} on {told.node}, container {told.container_id[:12]}\n")
    for number, one in enumerate(told.steps, start=1):
        _show(one, f"{number}/{len(told.steps)}", prefix)
        if step:
            click.pause("", err=True)
        else:
            time.sleep(pause)
    took = "its end is not in the log" if told.took is None else f"{told.took:.1f} ms in all"
    click.echo(f"{'it failed; ' if told.failed else ''}{took}")


def _show(one: Step, number: str, prefix: str) -> None:
    when = one.stamp if one.at is None else f"+{one.at * 1000:.1f} ms"
    click.echo(f"{click.style(number, bold=True)} {click.style(when, dim=True)}  {one.line}")
    if one.meaning:
        click.echo(f"      {one.meaning}")
    if one.show:
        command = one.show if one.show.startswith("kubectl") else prefix + one.show
        click.echo(f"      $ {command}")
    click.echo("")
