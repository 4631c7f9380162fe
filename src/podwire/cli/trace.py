"""`podwire trace FROM TO`: one real packet, seen at every hop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cattrs
import click

from podwire.cli.output import FAULT, output_option, print_json
from podwire.cli.snapshots import Source, snapshot_options, take
from podwire.cli.trace_text import trace_lines
from podwire.lens import names
from podwire.lens.snapshot import Snapshot
from podwire.lens.trace import Captured, Request, Trace, pcapng, trace
from podwire.model.errors import InvalidInputError


@click.command("trace")
@snapshot_options
@click.argument("source_word", metavar="FROM")
@click.argument("target_word", metavar="TO[:PORT]")
@click.option(
    "--proto",
    type=click.Choice(["tcp", "udp", "icmp"]),
    default="tcp",
    show_default=True,
    help="What to send: a TCP connection, a datagram, an echo request.",
)
@click.option(
    "--size",
    type=click.IntRange(0, 65000),
    default=0,
    help="Bytes of the packet, which may not be cut; with TCP, one once connected.",
)
@click.option(
    "--wait", type=click.FloatRange(0.05, 60), default=1.0, show_default=True, metavar="SECONDS"
)
@click.option("--watch", is_flag=True, help="Send nothing: wait for real traffic that fits.")
@click.option(
    "--for",
    "patience",
    type=click.FloatRange(0.1, 3600),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for it with --watch.",
)
@click.option("--count", type=click.IntRange(1, 1000), default=1, show_default=True)
@click.option(
    "--pcap", type=click.Path(dir_okay=False, path_type=Path), help="Also write a pcapng file."
)
@output_option
def trace_command(
    source: Source,
    source_word: str,
    target_word: str,
    count: int,
    pcap: Path | None,
    output: str,
    **more: Any,
) -> None:
    """Send a packet from FROM to TO, and see it at every hop: where, when, rewritten how.

    FROM is a pod or a node; TO is a pod, svc/NAMESPACE/NAME, a node, an address or a DNS name.
    A probe is sent from FROM's own network namespace, and every link on the way is captured with
    one clock; nftables and iptables-nft tell which rules it met. The last lines say where it ended,
    why, and whether `podwire explain` says the same. Nothing that it adds stays behind.

    Exit status 0 when the answer came back, 3 when it did not, as `podwire explain` has it.

    \b
    podwire trace default/web svc/default/nginx:80
    podwire trace web 10.220.2.36 --proto icmp --size 1500
    podwire trace web svc/kube-system/kube-dns:53 --proto udp --pcap way.pcapng
    podwire trace web 10.220.2.36:80 --watch      # send nothing, watch what web does itself
    """
    if source.file:
        raise InvalidInputError("trace sends a packet: it works live only; see `podwire explain`")
    snapshot = take(source)
    request = _request(snapshot, source_word, target_word, **more)
    done = []
    for number in range(count):
        if number:
            snapshot = take(source)
        done.append(trace(snapshot, request))
        _show(done[-1][0], output, number, count)
    if pcap:
        _write(pcap, [frame for _, frames in done for frame in frames])
    if any(one.state != "delivered" for one, _ in done):
        raise SystemExit(FAULT)


def _request(
    snapshot: Snapshot,
    source_word: str,
    target_word: str,
    *,
    proto: str,
    size: int,
    wait: float,
    watch: bool,
    patience: float,
) -> Request:
    source = names.source(snapshot, source_word)
    return Request(
        source,
        names.target(snapshot, target_word, proto, source.cluster),
        proto,
        size,
        wait,
        patience if watch else 0.0,
    )


def _show(one: Trace, output: str, number: int, count: int) -> None:
    if output == "json":
        print_json(_plain(one))
        return
    if count > 1:
        click.echo(f"--- {number + 1} of {count}")
    for line in trace_lines(one):
        click.echo(line)


def _plain(one: Trace) -> Any:
    converter = cattrs.Converter()
    converter.register_unstructure_hook(bytes, lambda data: data.hex())
    return converter.unstructure(one)


def _write(path: Path, frames: list[Captured]) -> None:
    try:
        path.write_bytes(pcapng(frames))
    except OSError as error:
        raise InvalidInputError(f"cannot write {path}: {error.strerror}; see --pcap") from error
    click.echo(f"{path}: {len(frames)} frames", err=True)
