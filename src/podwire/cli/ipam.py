"""`podwire ipam show | check | gc | release`: who holds which address, and what leaked."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from podwire.cli import cni_options as at
from podwire.cli import ipam_text
from podwire.cli.node import enter
from podwire.cli.options import lab_option
from podwire.cli.output import output_option, print_json
from podwire.cni import azure_state, leaks, mend
from podwire.cni import holdings as held
from podwire.cni.containers import look
from podwire.cni.log import Log
from podwire.cni.settings import COOLING_SECONDS, Settings
from podwire.cni.survey import Survey, require_here, survey
from podwire.cni.survey import azure_state as state_of
from podwire.ipam.keeper import Keeper
from podwire.kernel.netns import NetNamespace
from podwire.lab.preflight import check_root
from podwire.model.errors import InvalidInputError, PodwireError
from podwire.model.layout import LabLayout

F = TypeVar("F", bound=Callable[..., Any])
_TROUBLE = 2


@click.group()
def ipam() -> None:
    """The addresses of this node: who holds them, what leaked, and how to get it back.

    Run on the node as root, or from outside of a lab's node with --node.
    """


_node = click.option("--node", default="", help="A lab's node: its name, or what it ends with.")


def _place(command: F) -> F:
    return at.state_dir(_node(lab_option(command)))


def _evidence(command: F) -> F:
    runtime = click.option(
        "--runtime",
        default="",
        metavar="COMMAND",
        help="What prints the ids of all the runtime's containers, as `docker ps -q --no-trunc`; "
        "else crictl.",
    )
    grace = click.option(
        "--grace",
        type=click.FloatRange(0),
        default=leaks.GRACE,
        show_default=True,
        metavar="SECONDS",
        help="A younger lease is not held against the runtime's list.",
    )
    return runtime(grace(command))


@ipam.command()
@_place
@click.option(
    "--output",
    "-o",
    type=click.Choice(["text", "json", "azure"]),
    default="text",
    show_default=True,
    help="azure: as /var/run/azure-vnet.json and azure-vnet-ipam.json, in one document.",
)
@click.option(
    "--cooling",
    type=click.FloatRange(0),
    default=COOLING_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="How long the plugins, as installed, spare a freed address.",
)
def show(state_dir: str, node: str, layout: LabLayout, output: str, cooling: float) -> None:
    """Every address: free, cooling, or who holds it, since when, by which link.

    \b
    podwire ipam show
    podwire ipam show -o azure | jq '.Network.ExternalInterfaces'
    """
    _elsewhere(layout, node)
    with _opened(state_dir) as (keeper, host):
        now = time.time()
        if output == "azure":
            click.echo(ipam_text.tabbed(azure_state.document(state_of(keeper, host, now))))
            return
        found = held.holdings(keeper.addresses(), keeper.leases(), now=now, cooling=cooling)
        source = {"name": keeper.source(), "age": keeper.source_age()}
        pools = keeper.pools()
    if output == "json":
        print_json(ipam_text.show_document(found, pools, source))
    else:
        ipam_text.print_show(found, pools, source)


@ipam.command()
@_place
@_evidence
@output_option
def check(
    state_dir: str, node: str, layout: LabLayout, runtime: str, grace: float, output: str
) -> None:
    """Where ledger, kernel and runtime disagree, why, and what mends it. Changes nothing.

    Exit status 0 when they agree, 1 when they do not, 2 when it cannot be told.
    """
    try:
        _elsewhere(layout, node)
        with _opened(state_dir) as (keeper, host):
            seen, found = _judged(keeper, host, runtime, grace)
    except PodwireError as error:
        click.echo(f"podwire: {error}", err=True)
        raise SystemExit(_TROUBLE) from error
    if output == "json":
        print_json(ipam_text.check_document(seen, found))
    else:
        ipam_text.print_check(seen, found)
    if found:
        raise SystemExit(1)


@ipam.command()
@_place
@_evidence
@at.log_dir
@at.log_format
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@output_option
def gc(
    state_dir: str,
    node: str,
    layout: LabLayout,
    runtime: str,
    grace: float,
    log_dir: str,
    log_format: str,
    dry_run: bool,
    output: str,
) -> None:
    """Free what `check` proves to be leaked, with its network; leave the rest and say so.

    Exit status 0, or 1 when something that is proven could not be freed.
    """
    _elsewhere(layout, node)
    with _opened(state_dir) as (keeper, host):
        seen, found = _judged(keeper, host, runtime, grace)
        if dry_run:
            outcomes = [mend.Outcome(one, one.gc, "" if one.gc else mend.LEFT) for one in found]
        else:
            outcomes = mend.mend(found, keeper, host, _log(log_dir, log_format))
    if output == "json":
        print_json(ipam_text.gc_document(seen, outcomes, dry_run))
    else:
        ipam_text.print_gc(seen, outcomes, dry_run)
    if any(one.finding.gc and not one.action for one in outcomes):
        raise SystemExit(1)


@ipam.command()
@_place
@at.log_dir
@at.log_format
@click.option("--force", is_flag=True, help="Also while its pod is alive; it loses its network.")
@click.argument("which", metavar="ADDRESS|CONTAINER[/IFNAME]")
def release(
    state_dir: str,
    node: str,
    layout: LabLayout,
    log_dir: str,
    log_format: str,
    force: bool,
    which: str,
) -> None:
    """Free one lease by hand, with its pod's network. A container's id may be shortened."""
    _elsewhere(layout, node)
    with _opened(state_dir) as (keeper, host):
        require_here(keeper)
        lease = mend.chosen(keeper, which)
        mend.release(keeper, lease, host, _log(log_dir, log_format), force=force)
    click.echo(f"released {lease.address or 'the lease'} of {ipam_text.holder(lease)}")


@contextmanager
def _opened(state_dir: str) -> Iterator[tuple[Keeper, NetNamespace]]:
    check_root()
    with NetNamespace.current() as host, Keeper.open(state_dir, create=False) as keeper:
        yield keeper, host


def _judged(
    keeper: Keeper, host: NetNamespace, runtime: str, grace: float
) -> tuple[Survey, list[leaks.Finding]]:
    try:
        command = shlex.split(runtime)
    except ValueError as error:
        raise InvalidInputError(f"--runtime {runtime!r} is no command: {error}") from error
    seen = survey(keeper, host, look(command))
    return seen, leaks.findings(seen, now=time.time(), grace=grace)


def _log(log_dir: str, log_format: str) -> Log:
    return Log.of(Settings(log_dir=log_dir, log_format=log_format), "azure-vnet")


def _elsewhere(layout: LabLayout, node: str) -> None:
    """With --node this process becomes the same command on that node of the lab."""
    if node:
        words = _words(click.get_current_context())
        enter(layout, node, [sys.executable, "-I", "-m", "podwire.cli.main", "ipam", *words])


def _words(context: click.Context) -> list[str]:
    """The command as it was given, without what names the node."""
    words = [context.info_name or ""]
    last = []
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        if parameter.name in ("node", "layout"):
            continue
        if isinstance(parameter, click.Argument):
            last.append(str(value))
        elif value is True:
            words.append(parameter.opts[0])
        elif value is not False:
            words.append(f"{parameter.opts[0]}={value}")
    return [*words, "--", *last]
