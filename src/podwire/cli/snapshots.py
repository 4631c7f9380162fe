"""Where the lens's commands take their snapshot from: a file, a lab, or this machine's own node.

`snapshot_options` adds the options, `take` makes the snapshot of what they say.
"""

from __future__ import annotations

import functools
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import cattrs
import click
from click.core import ParameterSource

from podwire.cli.options import lab_option
from podwire.lab import control
from podwire.lab.preflight import check_root
from podwire.lens import codec
from podwire.lens.collect import Api, Door, Place, Site, collect
from podwire.lens.kube_values import Cluster
from podwire.lens.snapshot import Snapshot, VirtualNetwork
from podwire.model.layout import LabLayout
from podwire.model.vnet import VNet

F = TypeVar("F", bound=Callable[..., Any])
_PATIENCE = 2.0
_OWN_CLUSTER = "kubernetes"
"""What the cluster of a node without a lab is called: it has no name that its API server knows."""


@dataclass(frozen=True, slots=True)
class Source:
    """What the options said. file: "" for a live one; kubeconfig: "" for the lab's, or what kubectl
    takes; chosen: the lab was named, so that nothing else will do."""

    layout: LabLayout
    file: str = ""
    kubeconfig: str = ""
    chosen: bool = False


def snapshot_options(command: F) -> F:
    """--from FILE, --name LAB and --kubeconfig FILE, handed on as `source: Source` for `take`."""

    @functools.wraps(command)
    def given(layout: LabLayout, from_: str, kubeconfig: str, **rest: Any) -> Any:
        said = click.get_current_context().get_parameter_source("layout")
        chosen = said is not ParameterSource.DEFAULT
        return command(source=Source(layout, from_, kubeconfig, chosen), **rest)

    from_file = click.option(
        "--from",
        "from_",
        metavar="FILE",
        default="",
        help="A snapshot or support bundle that was saved, - for stdin, instead of how things are "
        "now.",
    )
    api_server = click.option(
        "--kubeconfig",
        metavar="FILE",
        default="",
        help="Whose API server to ask, instead of the lab's, or on a node without a lab of the "
        "one that kubectl takes.",
    )
    return lab_option(from_file(api_server(cast("F", given))))


def take(source: Source) -> Snapshot:
    """From the file; else of the lab, when it runs or was named; else of this machine's own node.

    Needs root, but for a file. Raises InvalidInputError, DaemonError for a lab that does not run.
    """
    if source.file == "-":
        return codec.from_bytes(sys.stdin.buffer.read(), "stdin")
    if source.file:
        return codec.load(Path(source.file))
    site = live_site(source)
    with _patience() as say:
        return collect(site, say)


def live_site(source: Source) -> Site:
    """What is collected when it is no file. Needs root. Raises DaemonError for a lab that does not
    run."""
    check_root()
    if source.chosen or control.daemon_pid(source.layout) is not None:
        return lab_site(control.ask(source.layout, op="facts"), source.kubeconfig)
    return own_site(source.kubeconfig)


def own_site(kubeconfig: str = "") -> Site:
    """This machine's own node, or the one that this process was put on."""
    name = os.uname().nodename
    why_not = "" if shutil.which("kubectl") else "there is no kubectl on PATH to ask it with"
    api = Api(Cluster(name=_OWN_CLUSTER), kubeconfig=kubeconfig, unreachable=why_not)
    door = Door(name, "/proc/self/ns/net", os.getpid(), _OWN_CLUSTER)
    return Site((door,), apis=(api,))


def lab_site(facts: Mapping[str, Any], kubeconfig: str = "") -> Site:
    """What the daemon of a lab says of it."""
    places = [Place(f"fabric/{_key(one)}", "fabric", one["namespace"]) for one in facts["vnets"]]
    places += [
        Place(f"plane/{one['name']}", "plane", one["control_plane"])
        for one in facts["clusters"]
        if one["control_plane"]
    ]
    places += [Place("", "other", one["platform"]) for one in facts["vnets"] if one["platform"]]
    return Site(
        doors=tuple(
            Door(one["name"], f"/proc/{one['pid']}/ns/net", one["pid"] or 0, one["cluster"])
            for one in facts["nodes"]
        ),
        lab=facts["lab"],
        apis=tuple(_api(one, facts["kubectl"], kubeconfig) for one in facts["clusters"]),
        places=tuple(places),
        vnets=tuple(_vnet(one) for one in facts["vnets"]),
    )


def _key(vnet: Mapping[str, Any]) -> str:
    return cattrs.structure(vnet["vnet"], VNet).key


def _vnet(facts: Mapping[str, Any]) -> VirtualNetwork:
    return cattrs.structure({**facts, "space": f"fabric/{_key(facts)}"}, VirtualNetwork)


def _api(facts: Mapping[str, Any], kubectl: str, kubeconfig: str) -> Api:
    names = ("name", "version", "service_cidr", "dns_ip", "pod_cidr", "vnet", "subnet", "plugin")
    path = kubeconfig or facts["kubeconfig"]
    why_not = "" if path else f"cluster {facts['name']} is {facts['state']}: no API server runs"
    return Api(Cluster(**{one: facts[one] for one in names}), kubectl, path, why_not)


@contextmanager
def _patience() -> Iterator[Callable[[str], None]]:
    """Says what is being done once it takes longer than people think it does."""
    doing = [""]
    timer = threading.Timer(_PATIENCE, lambda: click.echo(f"{doing[0]}...", err=True))
    timer.daemon = True
    timer.start()
    try:
        yield lambda text: doing.__setitem__(0, text)
    finally:
        timer.cancel()
