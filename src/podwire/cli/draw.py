"""`podwire draw`: the figures of a snapshot, in the format that is asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from podwire.cli.snapshots import Source, snapshot_options, take
from podwire.lens import codec, draw
from podwire.lens.draw import graph, page, png, svg, text
from podwire.lens.draw.compare import compare
from podwire.lens.draw.metrics import CELLS, PIXELS
from podwire.lens.draw.scene import Scene
from podwire.lens.snapshot import Snapshot
from podwire.model.errors import InvalidInputError

FORMATS = ("svg", "png", "mermaid", "dot", "text", "html")
THEMES = ("light", "dark", "auto")
_COMPARE = "compare"
_BY_SUFFIX = {".svg": "svg", ".png": "png", ".mmd": "mermaid", ".dot": "dot", ".gv": "dot",
              ".txt": "text", ".html": "html"}  # fmt: skip


@click.command("draw")
@click.argument("figure", type=click.Choice([*draw.FIGURES, _COMPARE]))
@snapshot_options
@click.option("--node", "nodes", multiple=True, metavar="NODE", help="Of this node alone; of "
              "`compare`, given twice: of these.")  # fmt: skip
@click.option("--pod", default="", metavar="NS/POD", help="Of this pod alone, on its node.")
@click.option(
    "--with",
    "others",
    multiple=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Of `compare`: a saved snapshot for the next side; may be given more than once.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    help="Default: by the name of --out, else text.",
)
@click.option(
    "--theme",
    type=click.Choice(THEMES),
    default="auto",
    show_default=True,
    help="Of svg, png and html; auto follows the reader's, png is light then.",
)
@click.option("--out", metavar="FILE", default="-", show_default=True, help="- is stdout.")
def draw_figure(
    source: Source,
    figure: str,
    nodes: tuple[str, ...],
    pod: str,
    others: tuple[Path, ...],
    format_: str | None,
    theme: str,
    out: str,
) -> None:
    """A figure of what is running, or of a saved snapshot.

    \b
    wiring    VNet, subnet, node, eth0, azure0 (cbr0, routes), veth, pod, containers
    veth      the pairs of interfaces: azv...@ifN on the node, eth0@ifM in the pod
    services  from a service's address by KUBE-SVC and KUBE-SEP to its pods
    vnet      which range each address comes from, and who has which
    compare   two nodes side by side, the same pods in line, and what differs

    \b
    podwire draw wiring                                   # in the terminal
    podwire draw veth --node aks-nodepool1-…-vmss000000 --out veth.svg
    podwire draw services --pod default/nginx-7cf567cc7-5pvnj --out nginx.png --theme dark
    podwire draw compare --from bridge.json --with kubenet.json --out modes.html

    The same snapshot gives the same file, byte by byte. A PNG takes the package librsvg2-bin.
    """
    format_ = format_ or _BY_SUFFIX.get(Path(out).suffix, "text")
    _check(figure, nodes, others)
    metrics = CELLS if format_ == "text" else PIXELS
    snapshot = take(source)
    if figure == _COMPARE:
        sides = [
            (_name(source, snapshot), snapshot),
            *((one.name, codec.load(one)) for one in others),
        ]
        scene = compare(sides if others else [("", snapshot)], metrics, nodes, pod)
    else:
        scene = draw.scene(snapshot, figure, node="".join(nodes), pod=pod, metrics=metrics)
    _write(render(scene, format_, theme), out)


def _check(figure: str, nodes: Sequence[str], others: Sequence[Path]) -> None:
    if figure != _COMPARE and others:
        raise click.UsageError(f"--with is for `compare`; `{figure}` is of one snapshot: --from")
    if figure != _COMPARE and len(nodes) > 1:
        raise click.UsageError(f"`{figure}` takes one --node or none, and not {len(nodes)}")


def _name(source: Source, snapshot: Snapshot) -> str:
    """What a side is called."""
    if source.file and source.file != "-":
        return Path(source.file).name
    return f"lab {snapshot.lab}" if snapshot.lab else "now"


def render(scene: Scene, format_: str, theme: str) -> bytes:
    """The scene in one of FORMATS; one in cells for text. Raises ProcessError: no PNG here."""
    if format_ == "png":
        return png.render(svg.render(scene, "light" if theme == svg.AUTO else theme))
    if format_ == "svg":
        return svg.render(scene, theme).encode()
    if format_ == "html":
        return page.render(scene, theme).encode()
    by_format: dict[str, Callable[[Scene], str]]
    by_format = {"mermaid": graph.mermaid, "dot": graph.dot, "text": text.render}
    return by_format[format_](scene).encode()


def _write(content: bytes, out: str) -> None:
    if out == "-":
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    try:
        Path(out).write_bytes(content)
    except OSError as error:
        raise InvalidInputError(f"cannot write {out}: {error.strerror}; see --out") from error
