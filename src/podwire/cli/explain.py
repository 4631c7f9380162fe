"""`podwire explain`: the way of a packet, hop by hop, with what decides and who is to blame."""

from __future__ import annotations

from dataclasses import asdict

import click

from podwire.cli.explain_text import lines
from podwire.cli.output import FAULT, output_option, print_json
from podwire.cli.snapshots import Source, snapshot_options, take
from podwire.lens import names
from podwire.lens.explain import explain as explained
from podwire.lens.explain.explaining import PROTOCOLS


@click.command()
@click.argument("asker", metavar="FROM")
@click.argument("to", metavar="TO[:PORT]")
@click.option(
    "--proto",
    type=click.Choice(PROTOCOLS),
    default="tcp",
    show_default=True,
    help="What kind of packet.",
)
@click.option("--size", type=click.IntRange(0, 65535), default=0, help="Bytes of the IP packet.")
@click.option(
    "--backend",
    metavar="POD|ADDRESS:PORT",
    default="",
    help="Which backend of a service to follow; without it the first that fails, else the first.",
)
@click.option("--entries", is_flag=True, help="Below each hop: the entry that decides, whole.")
@snapshot_options
@output_option
def explain(
    source: Source,
    asker: str,
    to: str,
    proto: str,
    size: int,
    backend: str,
    entries: bool,
    output: str,
) -> None:
    """The path that a packet would take, and its answer, hop by hop; who is to blame if it fails.

    FROM is a pod or a node; TO is a pod, a service (svc/NAME), a node, an address or a DNS name,
    which is looked up as FROM would; NAME@CLUSTER is another cluster's. Nothing is sent: it is
    worked out from a snapshot. Of a service every backend is tried. Exit status 0 when the answer
    arrives, else 3.

    \b
    podwire explain default/client svc/default/web:80
    podwire explain client web.default.svc.cluster.local:80
    podwire explain client 10.220.2.36:80 --size 1500 --entries
    podwire explain client svc/kube-system/kube-dns --proto udp --from now.json -o json
    """
    seen = take(source)
    begin = names.source(seen, asker)
    told = explained(
        seen,
        begin,
        names.target(seen, to, proto, begin.cluster),
        protocol=proto,
        size=size,
        backend=backend,
    )
    if output == "json":
        print_json(asdict(told))
    else:
        for line in lines(told, proto, entries=entries):
            click.echo(line)
    if told.verdict != "delivered":
        raise SystemExit(FAULT)
