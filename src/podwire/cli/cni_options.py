"""Options that the commands on a node's plugins share: where things are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from podwire.cni.install import LIB_DIR
from podwire.cni.loglines import FORMATS
from podwire.cni.settings import COOLING_SECONDS
from podwire.cni.systemd import UNIT_DIR
from podwire.ipam.ledger import STATE_DIR
from podwire.ipam.wireserver import URL

F = TypeVar("F", bound=Callable[..., Any])


def absolute(_context: click.Context, _parameter: click.Parameter, path: str | None) -> str | None:
    if path and not path.startswith("/"):
        raise click.BadParameter(f"{path!r} must be an absolute path, as the node sees it.")
    return path


def path_option(name: str, default: str | None, help_text: str) -> Callable[[F], F]:
    """An absolute path; "" or None for one that need not be given."""
    return click.option(
        name,
        metavar="PATH",
        default=default,
        show_default=bool(default),
        callback=absolute,
        help=help_text,
    )


cooling = click.option(
    "--cooling",
    "cooling",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    default=COOLING_SECONDS,
    show_default=True,
    help="How long a freed address is spared while others are free.",
)
log_format = click.option(
    "--log-format",
    type=click.Choice(FORMATS),
    default="text",
    show_default=True,
    help="Azure CNI's lines, or the same as JSON.",
)
wire_server_url = click.option(
    "--wire-server-url",
    metavar="URL",
    default=URL,
    show_default="Azure's",
    help="Which addresses the node's card has.",
)
modes = click.Choice(["bridge", "transparent"])
bin_dir = path_option("--bin-dir", "/opt/cni/bin", "Where the runtime looks for plugins.")
conf_dir = path_option("--conf-dir", "/etc/cni/net.d", "Where the runtime looks for networks.")
lib_dir = path_option("--lib-dir", LIB_DIR, "The plugins' code, and the agent.")
state_dir = path_option("--state-dir", STATE_DIR, "The ledger: who holds which address.")
log_dir = path_option("--log-dir", "/var/log", "Of azure-vnet.log and azure-vnet-ipam.log.")
systemd_dir = path_option("--systemd-dir", UNIT_DIR, "Where the agent's unit is.")
