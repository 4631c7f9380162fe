"""`podwire agent`: the resident half of the CNI plugins."""

from __future__ import annotations

import os
import sys

import click

from podwire.cni.settings import SOCKET
from podwire.ipam.ledger import STATE_DIR
from podwire.ipam.wireserver import URL


@click.group()
def agent() -> None:
    """Answer CNI calls from a process that stays: ten times faster than a process per call."""


@agent.command()
@click.option("--state-dir", default=STATE_DIR, show_default=True, help="The ledger's directory.")
@click.option("--socket", default=SOCKET, show_default=True, help="Where the shims ask.")
@click.option("--log-dir", default="/var/log", show_default=True, help="Of azure-vnet.log.")
@click.option("--wire-server-url", default=URL, show_default=True)
@click.option("--metrics-socket", default="", help="Prometheus metrics on this unix socket.")
@click.option("--metrics-port", type=click.IntRange(0, 65535), default=0, help="... on loopback.")
def run(**options: object) -> None:
    """Run the agent in the foreground until SIGTERM. Start it in the node's namespaces, as root.

    It must have the state directory that `podwire cni install` was given.
    """
    words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    # A process of its own kind: the command line's libraries would stay in its memory.
    os.execv(sys.executable, [sys.executable, "-I", "-m", "podwire.cni.agent", *words])
