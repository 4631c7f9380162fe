"""`podwire cni`: the CNI plugins from the command line, for operators and for tests."""

from __future__ import annotations

import click


@click.group()
def cni() -> None:
    """Run CNI plugins as a container runtime does, and put them on a node."""
