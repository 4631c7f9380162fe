"""`podwire cni`: the CNI plugins from the command line, for operators and for tests."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from podwire.cli import cni_mode
from podwire.cli.output import output_option, print_json, print_table
from podwire.cni.attachment import Attachment
from podwire.cni.networklist import AZURE, CONF_DIR, NetworkList
from podwire.cni.runtime import BIN_DIR, CACHE_DIR, Runtime
from podwire.model.cni_error import CniError
from podwire.model.errors import InvalidInputError

F = TypeVar("F", bound=Callable[..., Any])


@click.group()
def cni() -> None:
    """The CNI plugins of a node: put them there, and call them as a container runtime does.

    \b
    podwire cni install                              on a node; see docs/operators.md
    podwire cni status                               could a pod start now?
    ip netns add web                                 a pod of your own:
    podwire cni add --netns web --pod default/web
    podwire cni check --netns web                    is its network as it was made?
    podwire cni del --netns web
    """


for _command in cni_mode.COMMANDS:
    cni.add_command(_command)


def _options(*options: Callable[[F], F]) -> Callable[[F], F]:
    def apply(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return apply


_network = _options(
    click.option(
        "--conf",
        metavar="FILE|DIR",
        help="The network's conflist, or a directory, of which the first one.  "
        f"[default: {CONF_DIR}, else azure-vnet in bridge mode]",
    ),
    click.option(
        "--bin-dir",
        metavar="DIR[:DIR]",
        default=BIN_DIR,
        show_default=True,
        help="Where the plugins are.",
    ),
    click.option(
        "--cache-dir",
        metavar="DIR",
        default=CACHE_DIR,
        show_default=True,
        help="Where `add` notes its results, for `check` and `del`.",
    ),
)
_container = _options(
    click.option(
        "--container-id", metavar="ID", default="", help="Derived from --netns when not given."
    ),
    click.option("--ifname", default="eth0", show_default=True, help="The link inside."),
    click.option("--pod", metavar="NAMESPACE/NAME", default="", help="For the log and the ledger."),
    click.option(
        "--port",
        "ports",
        multiple=True,
        metavar="[IP:]HOST:POD[/PROTO]",
        help="A host port, for plugins with the capability portMappings.",
    ),
)
_netns = click.option(
    "--netns",
    default="",
    metavar="PATH|NAME",
    help="The pod's network namespace: a path, or a name of `ip netns`.",
)
_plugin = click.option(
    "--plugin",
    metavar="NAME",
    default="",
    help="Ask this plugin of the list alone, in the newest version that it knows: the list that "
    "`install` writes is older than CHECK and STATUS.",
)


@cni.command()
@_network
@_netns
@_container
@output_option
def add(output: str, **given: Any) -> None:
    """Attach a network namespace to the network.

    \b
    ip netns add web
    podwire cni add --netns web --pod default/web
    """
    if not given["netns"]:
        raise click.UsageError("--netns is missing: `ip netns add web`, then --netns web")
    runtime = _runtime(given)
    attachment = _attachment(given)
    result = _told(lambda: runtime.add(attachment))
    if output == "json":
        print_json(result)
        return
    click.echo(f"container {attachment.container_id}")
    for one in result.get("ips", ()):
        gateway = f" gateway {one['gateway']}" if one.get("gateway") else ""
        click.echo(f"address   {one['address']}{gateway}")
    for one in result.get("interfaces", ()):
        inside = one.get("sandbox") or "the host"
        click.echo(f"link      {one['name']} {one.get('mac', '')} in {inside}")


@cni.command("del")
@_network
@_netns
@_container
def delete(**given: Any) -> None:
    """Take an attachment away. Nothing of it being there is success.

    The network namespace stays: `ip netns del web`.

    \b
    podwire cni del --netns web
    podwire cni del --container-id ID        of a namespace that is gone
    """
    runtime, attachment = _runtime(given), _attachment(given)
    _told(lambda: runtime.delete(attachment))


@cni.command()
@_network
@_plugin
@_netns
@_container
def check(**given: Any) -> None:
    """Whether an attachment is as it was made. Exit status 0, or 1 and what differs.

    Of a pod that the kubelet started give the whole id of its sandbox: `crictl pods -q --no-trunc`.

    \b
    podwire cni check --netns web
    podwire cni check --container-id ID --plugin azure-vnet
    """
    runtime, attachment = _asked(given), _attachment(given)
    _told(lambda: runtime.check(attachment))


@cni.command()
@_network
@click.option(
    "--keep",
    multiple=True,
    metavar="CONTAINER[/IFNAME]",
    help="An attachment that is in use. Give each one of the network.",
)
@click.option(
    "--ours-alone",
    is_flag=True,
    help="No other runtime uses the network: keep what was added from here and has its netns.",
)
def gc(keep: tuple[str, ...], ours_alone: bool, **given: Any) -> None:
    """Remove the network's attachments that are not in use, whoever added them.

    Where containerd or podman use the network too, all their containers must be named: one that
    is not loses its network.

    \b
    podwire cni gc --ours-alone              only `podwire cni add` uses this network
    """
    if bool(keep) == ours_alone:
        raise click.UsageError("which are in use? give --keep for each one, or --ours-alone")
    runtime = _runtime(given)
    kept = {(one.partition("/")[0], one.partition("/")[2] or "eth0") for one in keep}
    if not keep:
        known = [one for one in runtime.attachments() if os.path.exists(one.netns)]
        kept = {(one.container_id, one.ifname) for one in known}
    for one in _told(lambda: runtime.gc(kept)):
        click.echo(f"removed {one.container_id} {one.ifname}")


@cni.command()
@_network
@_plugin
def status(**given: Any) -> None:
    """Could a pod be attached now? Exit status 0, or 1 and why not.

    Asks the network's plugins (CNI's STATUS); changes nothing.

    \b
    podwire cni status --plugin azure-vnet
    """
    runtime = _asked(given)
    _told(runtime.status)
    click.echo(f"network {runtime.network.name}: ready")


@cni.command()
@_network
@output_option
def version(output: str, **given: Any) -> None:
    """The specification versions that each plugin of the list knows."""
    runtime = _runtime(given)
    said = _told(runtime.versions)
    if output == "json":
        print_json({"cniVersion": runtime.network.version, "plugins": said})
        return
    rows = [(kind, ", ".join(versions)) for kind, versions in said.items()]
    print_table(("PLUGIN", "VERSIONS"), rows)


def _runtime(given: dict[str, Any]) -> Runtime:
    network = _load(given.pop("conf"))
    return Runtime(network, bin_dirs=given.pop("bin_dir"), cache_dir=given.pop("cache_dir"))


def _asked(given: dict[str, Any]) -> Runtime:
    """The network's runtime, or one for the plugin that was chosen."""
    plugin, runtime = given.pop("plugin"), _runtime(given)
    return _told(lambda: runtime.alone(plugin)) if plugin else runtime


def _load(conf: str | None) -> NetworkList:
    if conf:
        return NetworkList.load(conf)
    if os.path.isdir(CONF_DIR):
        try:
            return NetworkList.load(CONF_DIR)
        except InvalidInputError:
            if any(not one.startswith(".") for one in os.listdir(CONF_DIR)):
                raise
    return NetworkList.parse(AZURE, "the built-in network")


def _attachment(given: dict[str, Any]) -> Attachment:
    netns = given["netns"]
    if netns and "/" not in netns:
        netns = f"/run/netns/{netns}"
    if not netns and not given["container_id"]:
        raise click.UsageError("whose? give --netns or --container-id")
    identity = given["container_id"] or hashlib.sha256(netns.encode()).hexdigest()
    mappings = [_port(one) for one in given["ports"]]
    return Attachment(
        identity,
        netns,
        given["ifname"],
        _arguments(given["pod"], identity),
        {"portMappings": mappings} if mappings else {},
    )


def _arguments(pod: str, container_id: str) -> str:
    if not pod:
        return ""
    namespace, slash, name = pod.partition("/")
    if not slash or not namespace or not name or ";" in pod:
        raise click.UsageError(f"--pod is {pod!r}; it must be NAMESPACE/NAME, as in default/web")
    return (
        f"IgnoreUnknown=1;K8S_POD_NAMESPACE={namespace};K8S_POD_NAME={name};"
        f"K8S_POD_INFRA_CONTAINER_ID={container_id}"
    )


def _port(text: str) -> dict[str, Any]:
    """As docker run -p: [IP:]HOST:POD[/PROTO]."""
    ports, _, protocol = text.partition("/")
    rest, _, inside = ports.rpartition(":")
    address, _, outside = rest.rpartition(":")
    numbers = [one for one in (outside, inside) if one.isdecimal() and 0 < int(one) < 65536]
    if len(numbers) != 2 or protocol not in ("", "tcp", "udp", "sctp"):
        raise click.UsageError(
            f"--port is {text!r}; it must be as in 8080:80 or 127.0.0.1:53:53/udp"
        )
    mapping = {
        "hostPort": int(outside),
        "containerPort": int(inside),
        "protocol": protocol or "tcp",
    }
    return mapping | ({"hostIP": address.strip("[]")} if address else {})


T = TypeVar("T")


def _told(call: Callable[[], T]) -> T:
    """An error of a plugin with its code and details, exit status 1."""
    try:
        return call()
    except CniError as error:
        details = f"\n{error.details}" if error.details else ""
        raise click.ClickException(f"{error.msg} (CNI code {error.code}){details}") from error
