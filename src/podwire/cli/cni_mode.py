"""`podwire cni migrate | uninstall`: a node's mode, and the way back to none."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from podwire.cli import cni_options as at
from podwire.cli.cni_install import install
from podwire.cli.output import output_option, print_json
from podwire.cni import install as installer
from podwire.cni import migrate as mover
from podwire.cni import systemd
from podwire.cni.migrate import Moved
from podwire.cni.settings import Settings
from podwire.lab.preflight import check_root


@click.command()
@click.option("--to", "mode", type=at.modes, required=True, help="The mode to move the node to.")
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@at.conf_dir
@at.state_dir
@at.log_dir
@at.log_format
@output_option
def migrate(mode: str, dry_run: bool, conf_dir: str, output: str, **fixed: Any) -> None:
    """Move this live node, and the pods on it, to another mode.

    Addresses, routes and pods' links move in one journalled step: interrupted, run it again.
    Established connections of the node and of its pods go on.
    """
    check_root()
    conflist = Path(conf_dir) / installer.CONFLIST
    settings = Settings(**fixed)
    _tell(mover.migrate(mode, settings, conflist, dry_run=dry_run), output, dry_run)


@click.command()
@click.option("--force", is_flag=True, help="Also while pods are wired; they lose their network.")
@at.bin_dir
@at.conf_dir
@at.lib_dir
@at.state_dir
@at.log_dir
@at.log_format
@at.systemd_dir
@output_option
def uninstall(
    force: bool,
    output: str,
    bin_dir: str,
    conf_dir: str,
    lib_dir: str,
    systemd_dir: str,
    **fixed: Any,
) -> None:
    """Take the plugins and the agent off this node. Its card gets back its addresses and routes.

    Logs and the state directory stay. Name the directories that `podwire cni install` was given.
    """
    check_root()
    moved = mover.uninstall(
        Settings(**fixed), bin_dir=bin_dir, conf_dir=conf_dir, lib_dir=lib_dir, force=force
    )
    systemd.remove(Path(systemd_dir))
    _tell(moved, output, False)


def _tell(moved: Moved, output: str, dry_run: bool) -> None:
    if output == "json":
        print_json(_document(moved, dry_run))
        return
    for change in moved.changes:
        click.echo(change)
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
