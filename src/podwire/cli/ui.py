"""`podwire ui`: the page, served on loopback until ^C."""

from __future__ import annotations

import os
import tempfile
import webbrowser
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import click

from podwire.cli.snapshots import Source, live_site, snapshot_options, take
from podwire.lens import logs
from podwire.lens.collect import Site, collect
from podwire.lens.collect.kubernetes import watching
from podwire.lens.kube_values import Cluster
from podwire.lens.snapshot import Snapshot
from podwire.lens.ui.feed import Feed, of_file
from podwire.model.errors import UnavailableError


@click.command()
@snapshot_options
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Where on 127.0.0.1; 0, the default, for any that is free.",
)
@click.option("--no-browser", is_flag=True, help="Only print the address.")
def ui(source: Source, port: int, no_browser: bool) -> None:
    """A page that shows the wiring live: pods appear and vanish as they do.

    Press a thing to read its kernel objects, and the ADD that made a pod line by line; see the
    addresses of each node and subnet; let a packet go its way. All of it by keyboard as well: press
    ? there. It only shows, and only to who has the address that is printed.

    \b
    podwire ui                        # of the lab, or of this machine's own node
    podwire ui --from now.json        # of a snapshot that somebody sent
    ssh -L 8377:127.0.0.1:8377 host podwire ui --port 8377 --no-browser
    """
    from podwire.lens.ui.server import serve  # starlette takes its time; other commands have none

    feed = of_file(take(source)) if source.file else _live(source)
    with tempfile.TemporaryDirectory(prefix="podwire-ui-") as room:

        def opened(address: str) -> None:
            click.echo(address)
            click.echo("^C ends it.", err=True)
            if not no_browser:
                _show(address, Path(room))

        serve(feed, port, opened)


def _live(source: Source) -> Feed:
    """Raises what `live_site` raises, at once and not in the page."""
    live = _Live(source)
    return Feed(
        take=live.take,
        live=True,
        clusters=live.clusters,
        bells=live.bells,
        watches=live.watches,
        log=live.log,
    )


class _Live:
    """site: as it was when it was last asked for; nodes and clusters come and go."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._site: Site = live_site(source)

    def bells(self) -> Mapping[str, str]:
        self._site = live_site(self._source)
        nodes = {one.netns: one.name for one in self._site.doors}
        return nodes | {one.netns: "" for one in self._site.places}

    def take(self, clusters: Sequence[Cluster], nodes: Collection[str] | None) -> Snapshot:
        """No API server is asked: those of whom nothing is known yet say so."""
        known = {one.name: one for one in clusters}
        apis = tuple(
            replace(one, answered=known.get(one.known.name, _silent(one.known)))
            for one in self._site.apis
        )
        site = replace(self._site, apis=apis)
        if nodes is not None:
            doors = tuple(one for one in site.doors if one.name in nodes)
            site = replace(site, doors=doors, places=())
        return collect(site)

    def clusters(self) -> Sequence[Cluster]:
        return collect(Site((), apis=self._site.apis)).clusters

    def watches(self) -> Sequence[tuple[str, ...]]:
        """Pods alone: what else changes, changes with them, or is seen with the next look."""
        return [watching(one) for one in self._site.apis if not one.unreachable]

    def log(self, node: str) -> str:
        door = next((one for one in self._site.doors if one.name == node), None)
        if door is None:
            raise UnavailableError(f"node {node} is not there now")
        return logs.read_here() if door.pid == os.getpid() else logs.read(door.pid)


def _silent(cluster: Cluster) -> Cluster:
    return replace(cluster, asked=False, why_not="it has not answered yet")


def _show(address: str, room: Path) -> None:
    """In a browser, where there is a screen. Other users see what is on a command line, so the
    browser is given a file of ours that leads to the address."""
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return
    page = room / "open.html"
    page.touch(mode=0o600)
    page.write_text(f'<!doctype html><meta http-equiv="refresh" content="0;url={address}">')
    webbrowser.open(page.as_uri())
