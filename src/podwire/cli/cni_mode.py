"""`podwire cni install | migrate | uninstall`: the plugins on a node, and the node's mode."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from podwire.cli.output import output_option, print_json
from podwire.cni import install as installer
from podwire.cni import migrate as mover
from podwire.cni.migrate import Moved
from podwire.cni.settings import SOCKET, Settings
from podwire.cni.shims import KINDS
from podwire.ipam.ledger import STATE_DIR
from podwire.lab.preflight import check_root

_modes = click.Choice(["bridge", "transparent"])
_bin_dir = click.option("--bin-dir", default="/opt/cni/bin", show_default=True)
_conf_dir = click.option("--conf-dir", default="/etc/cni/net.d", show_default=True)
_lib_dir = click.option("--lib-dir", default="/opt/cni/lib", show_default=True)
_state_dir = click.option("--state-dir", default=STATE_DIR, show_default=True)
_log_dir = click.option("--log-dir", default="/var/log", show_default=True)


@click.command()
@click.option("--mode", type=_modes, default="bridge", show_default=True)
@_bin_dir
@_conf_dir
@_lib_dir
@_state_dir
@_log_dir
@click.option(
    "--shim",
    type=click.Choice(["none", *KINDS]),
    default="none",
    show_default=True,
    help="What runtimes execute: the plugin itself, or a shim that asks `podwire agent run` first.",
)
@click.option("--socket", default=SOCKET, show_default=True, help="The agent's, for a shim.")
@click.option(
    "--root", type=click.Path(path_type=Path, exists=True, file_okay=False), default=Path("/")
)
def install(root: Path, **where: Any) -> None:
    """Put azure-vnet, azure-vnet-ipam and 10-azure.conflist on this node.

    Nothing of the network changes before the first pod. An older version is replaced under way.
    """
    check_root()
    installer.install(root, **where)
    click.echo(
        f"installed in {where['bin_dir']}, mode {where['mode']}; "
        f"log: {where['log_dir']}/azure-vnet.log",
        err=True,
    )


@click.command()
@click.option("--to", "mode", type=_modes, required=True, help="The mode to move the node to.")
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@_conf_dir
@_state_dir
@_log_dir
@output_option
def migrate(
    mode: str, dry_run: bool, conf_dir: str, state_dir: str, log_dir: str, output: str
) -> None:
    """Move this live node, and the pods on it, to another mode.

    Addresses, routes and pods' links move in one journalled step: interrupted, run it again.
    Established connections of the node and of its pods go on.
    """
    check_root()
    conflist = Path(conf_dir) / installer.CONFLIST
    settings = Settings(state_dir=state_dir, log_dir=log_dir)
    _tell(mover.migrate(mode, settings, conflist, dry_run=dry_run), output, dry_run)


@click.command()
@click.option("--force", is_flag=True, help="Also while pods are wired; they lose their network.")
@_bin_dir
@_conf_dir
@_lib_dir
@_state_dir
@_log_dir
@output_option
def uninstall(force: bool, output: str, state_dir: str, log_dir: str, **where: str) -> None:
    """Take the plugins off this node; its card gets back its addresses and routes."""
    check_root()
    settings = Settings(state_dir=state_dir, log_dir=log_dir)
    _tell(mover.uninstall(settings, force=force, **where), output, False)


def _tell(moved: Moved, output: str, dry_run: bool) -> None:
    if output == "json":
        print_json(_document(moved, dry_run))
        return
    for change in moved.changes:
        click.echo(change)
    for warning in moved.warnings:
        click.echo(f"warning: {warning}", err=True)
    if moved.before == moved.after:
        click.echo(f"the node is in mode {moved.after} already", err=True)
    elif not moved.after:
        click.echo(f"uninstalled; the node was in mode {moved.before or 'none'}", err=True)
    else:
        would = "would go" if dry_run else "went"
        click.echo(f"{would} from {moved.before} to {moved.after}, {moved.pods} pods", err=True)


def _document(moved: Moved, dry_run: bool) -> dict[str, Any]:
    return {**asdict(moved), "dry_run": dry_run}


COMMANDS = (install, migrate, uninstall)
"""For the group `podwire cni`."""
