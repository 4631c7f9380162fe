"""`podwire cni install`: everything that is fixed when the plugins are put on a node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from podwire.cli import cni_options as at
from podwire.cni import install as installer
from podwire.cni import systemd
from podwire.cni.settings import INTERFACES_FILE, METRICS_SOCKET, SOCKET
from podwire.cni.shims import KINDS
from podwire.ipam.sources import AddressRange
from podwire.lab.preflight import check_root
from podwire.model.errors import UnavailableError

_ENVIRONMENTS = {"azure": "", "file": "fileIpam", "range": "range"}
"""--source, and the conflist's ipam.environment."""
_RANGE = {
    "subnet": "subnet",
    "gateway": "gateway",
    "range_start": "rangeStart",
    "range_end": "rangeEnd",
}


@click.command()
@click.option(
    "--mode", type=at.modes, default="bridge", show_default=True, help="How pods are wired."
)
@at.bin_dir
@at.conf_dir
@at.lib_dir
@at.state_dir
@at.log_dir
@at.log_format
@click.option(
    "--source",
    type=click.Choice(list(_ENVIRONMENTS)),
    default="azure",
    show_default=True,
    help="Whose addresses pods get: the card's, as Azure's wire server or a file tells them; or a "
    "range of a subnet, outside Azure.",
)
@at.wire_server_url
@at.path_option("--interfaces-file", INTERFACES_FILE, "Whose addresses are for source file.")
@click.option("--subnet", metavar="CIDR", default="", help="For source range, as in 10.1.0.0/24.")
@click.option("--gateway", metavar="IP", default="", help="Of --subnet.  [default: first host]")
@click.option("--range-start", metavar="IP", default="", help="Of --subnet.  [default: first host]")
@click.option("--range-end", metavar="IP", default="", help="Of --subnet.  [default: last host]")
@at.cooling
@click.option(
    "--shim",
    type=click.Choice(["none", *KINDS]),
    default="auto",
    show_default=True,
    help="What runtimes execute: a shim that asks the agent first (c: compiled here with gcc; "
    "python; auto: c where it can be had), or none: the plugin itself, no agent.",
)
@at.path_option("--socket", SOCKET, "Where the agent listens.")
@click.option(
    "--agent-timeout",
    "agent_seconds",
    metavar="SECONDS",
    type=click.FloatRange(min=0.1),
    default=10.0,
    show_default=True,
    help="After which a call to a hanging agent runs without it.",
)
@at.path_option("--metrics-socket", METRICS_SOCKET, "The agent's Prometheus metrics.")
@click.option(
    "--metrics-port", type=click.IntRange(0, 65535), default=0, help="... and on loopback."
)
@at.path_option(
    "--systemd-dir",
    None,
    f"For the agent's unit, {systemd.UNIT}; {systemd.UNIT_DIR} where systemd runs, '' for none.",
)
@click.option("--enable", is_flag=True, help="Start the agent, an older one anew, by systemctl.")
@click.option(
    "--root",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=Path("/"),
    help="The node's root directory, for an image that is being built.",
)
def install(root: Path, enable: bool, **given: Any) -> None:
    """Put azure-vnet, azure-vnet-ipam, 10-azure.conflist and the agent on this node.

    What a call needs to find its agent, its state and its log is written into the executables; it
    reads none of it from the environment. Nothing of the network changes before the first pod. An
    older version is replaced under way: calls that run go on.

    \b
    podwire cni install --enable         bridge mode, addresses from Azure, agent under systemd
    podwire cni install --shim none      without an agent: each call is a Python process
    podwire cni install --source range --subnet 10.1.0.0/24 --range-start 10.1.0.100
    """
    check_root()
    port, metrics = given.pop("metrics_port"), given.pop("metrics_socket")
    ipam = _ipam({key: given.pop(key) for key in ("source", *_RANGE)})
    unit_dir = _unit_dir(root, given.pop("systemd_dir"), given["shim"], enable)
    options = [f"--metrics-socket={metrics}"] if metrics else []
    options += [f"--metrics-port={port}"] if port else []
    installer.install(
        root,
        ipam=ipam,
        systemd_dir=unit_dir,
        agent_options=options,
        cooling_seconds=given.pop("cooling"),
        **given,
    )
    if enable:
        systemd.enable()
    _tell(given, unit_dir, enable)


def _ipam(given: dict[str, str]) -> dict[str, str]:
    """The conflist's further keys of ipam. Raises InvalidInputError for a range that is none."""
    source = given.pop("source")
    values = {key: value for key, value in given.items() if value}
    if source != "range" and values:
        names = ", ".join(f"--{key.replace('_', '-')}" for key in values)
        raise click.UsageError(f"{names} is for --source range")
    if source == "range":
        AddressRange.new(
            given["subnet"], given["gateway"], given["range_start"], given["range_end"]
        )
    chosen = {"environment": _ENVIRONMENTS[source]} if _ENVIRONMENTS[source] else {}
    return chosen | {_RANGE[key]: value for key, value in values.items()}


def _unit_dir(root: Path, asked: str | None, shim: str, enable: bool) -> str:
    """ "" for no unit. Raises UnavailableError when there is nothing to enable."""
    here = root == Path("/") and systemd.runs()
    if shim == "none":
        asked = ""
    if asked is None:
        asked = systemd.UNIT_DIR if here else ""
    if enable and not (here and asked):
        raise UnavailableError(
            "--enable needs a shim and a machine that systemd runs; without them start "
            "`podwire agent run` by what starts other services here"
        )
    return asked


def _tell(given: dict[str, Any], unit_dir: str, enabled: bool) -> None:
    agent = f"{given['lib_dir']}/{installer.AGENT}"
    log = f"{given['log_dir']}/azure-vnet.log"
    click.echo(f"installed in {given['bin_dir']}, mode {given['mode']}; log: {log}", err=True)
    if enabled:
        click.echo(f"agent: {systemd.UNIT} runs", err=True)
    elif unit_dir:
        words = "systemctl daemon-reload && systemctl enable {0} && systemctl restart {0}"
        click.echo(f"agent: {words.format(systemd.UNIT)}", err=True)
    elif given["shim"] != "none":
        click.echo(f"agent: {agent} is for what starts services here", err=True)
    if given["shim"] != "none" and not enabled:
        click.echo("until the agent runs, each call runs by itself, slower", err=True)
