"""`podwire snapshot`: all that a node, or a lab, has at one moment, as one JSON document."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from podwire.cli.snapshots import Source, snapshot_options, take
from podwire.lens import codec
from podwire.lens.snapshot import Snapshot
from podwire.model.errors import InvalidInputError


@click.command()
@snapshot_options
@click.option(
    "--output",
    "-o",
    metavar="FILE",
    default="-",
    show_default=True,
    help="Where to put the JSON; - is stdout.",
)
def snapshot(source: Source, output: str) -> None:
    """Everything that decides on packets, as it is now: one JSON document to keep or to send.

    Links, addresses, routes, neighbours, nft and iptables, connections, sockets of every node and
    pod; the ledger, the runtime, Kubernetes' objects; of a lab its VNets as well. What could not
    be read is told in it. It changes nothing.

    \b
    podwire snapshot -o now.json          # of the lab, or of this machine's own node
    podwire draw wiring --from now.json   # what reads one takes it live or from a file
    """
    taken = take(source)
    text = codec.to_json(taken)
    if output == "-":
        click.echo(text)
    else:
        _write(Path(output), text)
    for line in _summary(taken):
        click.echo(line, err=True)


def _write(path: Path, text: str) -> None:
    """It tells much of a cluster: root's alone."""
    try:
        path.touch(mode=0o600)
        path.write_text(text + "\n")
    except OSError as error:
        raise InvalidInputError(f"cannot write {path}: {error.strerror}; see --output") from error


def _summary(taken: Snapshot) -> Iterator[str]:
    pods = sum(len(one.pods) for one in taken.nodes)
    of = f"lab {taken.lab}" if taken.lab else "this machine"
    counts = f"nodes {len(taken.nodes)}, pods {pods}, namespaces {len(taken.spaces)}"
    yield f"{of}: {counts}, {taken.took:.1f} s"
    yield from (f"cluster {one.name}: {one.why_not}" for one in taken.clusters if one.why_not)
    for space in taken.spaces:
        yield from (f"unread {space.id} {part}: {why}" for part, why in space.unread.items())
    yield from (f"changed meanwhile: {one}" for one in taken.changed)
