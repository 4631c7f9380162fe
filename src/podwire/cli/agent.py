"""`podwire agent`: the resident half of the CNI plugins."""

from __future__ import annotations

import os
import sys

import click

from podwire.cli import cni_options as at
from podwire.cni.settings import INTERFACES_FILE, SOCKET


@click.group()
def agent() -> None:
    """The resident half of the CNI plugins: a call costs a few milliseconds, not a Python start.

    `podwire cni install` puts shims where the container runtime looks for plugins; they ask the
    agent, and make the call themselves when it does not answer. See docs/agent.md.
    """


@agent.command()
@at.state_dir
@at.path_option("--socket", SOCKET, "Where the shims ask; root's alone.")
@at.log_dir
@at.log_format
@at.wire_server_url
@at.path_option("--interfaces-file", INTERFACES_FILE, "The same from a file.")
@at.cooling
@at.path_option("--metrics-socket", "", "Prometheus metrics on this unix socket.")
@click.option(
    "--metrics-port", type=click.IntRange(0, 65535), default=0, help="... and on loopback."
)
def run(**options: object) -> None:
    """Run the agent in the foreground until SIGTERM. Start it in the node's namespaces, as root.

    What `podwire cni install` was given must be given here too: the state directory above all. It
    writes an executable that has it all, /opt/cni/lib/podwire-agent, and a systemd unit for it;
    this command is for trying it out.

    \b
    podwire agent run --metrics-socket /run/podwire-cni/metrics.sock &
    curl --unix-socket /run/podwire-cni/metrics.sock http://agent/metrics
    tail -f /var/log/azure-vnet.log          # [the agent's pid] in the lines of its calls
    """
    words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    # A process of its own kind: the command line's libraries would stay in its memory.
    os.execv(sys.executable, [sys.executable, "-I", "-m", "podwire.cni.agent", *words])
