"""What `podwire plan` prints: modes side by side and bars for people, a document for programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from podwire.cli.output import print_table
from podwire.model.errors import InvalidInputError
from podwire.model.ip_modes import Moment
from podwire.model.plan import Break, ModePlan, Refusal, Use

_BAR = 48
_OVER = 8
_WORDS = {
    Moment.NOW: "now",
    Moment.UPGRADE: "during an upgrade",
    Moment.MAXIMUM: "at maximum, all full",
    Moment.MAXIMUM_UPGRADE: "then upgraded",
}
_PARTS = (
    ("now", "#", "█", "green"),
    ("to the maximum", "=", "▓", "cyan"),
    ("upgrade", "+", "▒", "yellow"),
    ("free", ".", "·", "dim"),
    ("too many", "!", "!", "bold red"),
)


def show(network: Sequence[Refusal], plans: Sequence[ModePlan]) -> None:
    for pool in plans[0].pools:
        bounds = f", at most {pool.largest}" if pool.max_count is not None else ""
        click.echo(f"pool {pool.name}: {pool.count} nodes{bounds}, max surge {pool.surge}")
    click.echo()
    print_table(("", *(one.mode.name.upper() for one in plans)), _rows(plans))
    _bars(plans)
    _refusals(network, plans)


def _rows(plans: Sequence[ModePlan]) -> Iterable[list[str]]:
    yield ["max-pods", *(_max_pods(one) for one in plans)]
    for at in range(max(len(one.uses) for one in plans)):
        uses = [one.uses[at] if at < len(one.uses) else None for one in plans]
        yield ["nodes' range" if at == 0 else "pods' range", *map(_range, uses)]
        for moment in _told(uses):
            yield [f"  {_WORDS[moment]}", *(_need(use, moment) for use in uses)]
        yield ["  smallest that fits", *(f"/{use.smallest}" if use else "-" for use in uses)]
    for at, head in enumerate(plans[0].breaks):
        cells = (_nodes(one.breaks[at]) for one in plans)
        yield [f"{head.pool}: {head.when} refused from", *cells]
    yield ["verdict", *(_verdict(one) for one in plans)]


def _max_pods(plan: ModePlan) -> str:
    return ", ".join(str(pool.max_pods) for pool in plan.pools)


def _range(use: Use | None) -> str:
    if use is None:
        return "the same"
    return f"{use.cidr} ({use.usable})" if use.cidr else f"{use.what} not given"


def _told(uses: Iterable[Use | None]) -> list[Moment]:
    """The maximum is told where it is more than what is asked for now."""
    needs = [use.needs for use in uses if use]
    more = any(one[Moment.MAXIMUM] != one[Moment.NOW] for one in needs)
    return [moment for moment in Moment if more or not moment.at_maximum]


def _need(use: Use | None, moment: Moment) -> str:
    if use is None:
        return "-"
    need = str(use.needs[moment])
    return need if use.fits(moment) else f"{need} > {use.usable}"


def _nodes(one: Break) -> str:
    """Refused from one node on, something else is too large."""
    if one.nodes is None:
        return "-"
    return "any number" if one.nodes == 1 else f"{one.nodes} nodes"


def _verdict(plan: ModePlan) -> str:
    if plan.fits:
        return "fits"
    return "refused: " + ", ".join(dict.fromkeys(one.when for one in plan.refusals))


def _bars(plans: Sequence[ModePlan]) -> None:
    """One bar for each mode and range of known size. A terminal has blocks and colours."""
    console = Console(highlight=False, soft_wrap=True)
    fancy = console.is_terminal and console.encoding.startswith("utf")
    bars = [(plan.mode.name, use) for plan in plans for use in plan.uses if use.usable is not None]
    heads = [f"{name} {use.cidr}" for name, use in bars]
    if not bars:
        return
    console.print()
    width = max(map(len, heads))
    for head, (_, use) in zip(heads, bars, strict=True):
        need = use.needs[Moment.MAXIMUM_UPGRADE]
        line = Text(f"{head.ljust(width)}  ").append_text(_bar(use, fancy))
        console.print(line.append(f"  {need} of {use.usable}"))
    legend = Text(" " * width + "  ")
    for word, plain, block, style in _PARTS:
        legend.append(block if fancy else plain, style).append(f" {word}   ")
    legend.rstrip()
    console.print(legend)


def _bar(use: Use, fancy: bool) -> Text:
    """As wide as the range; what does not fit stands behind its end, cut at a sixth of it."""
    have = use.usable or 1
    order = (Moment.NOW, Moment.MAXIMUM, Moment.MAXIMUM_UPGRADE)
    bar, done = Text(), 0
    for moment, part in zip(order, _PARTS, strict=False):
        end = min(_BAR, -(-use.needs[moment] * _BAR // have))
        bar.append((part[2] if fancy else part[1]) * (end - done), part[3])
        done = max(done, end)
    free, over = _PARTS[3], _PARTS[4]
    bar.append((free[2] if fancy else free[1]) * (_BAR - done), free[3])
    beyond = -(-(use.needs[order[-1]] - have) * _BAR // have)
    bar.append("|")
    return bar.append((over[2] if fancy else over[1]) * max(0, min(_OVER, beyond)), over[3])


def _refusals(network: Sequence[Refusal], plans: Sequence[ModePlan]) -> None:
    for one in network:
        _refusal("every mode", one)
    for plan in plans:
        for one in plan.refusals:
            _refusal(f"{plan.mode.name}, {one.when}", one)
        if plan.refusals and (out := _way_out(plan)):
            click.echo(f"  way out  {out}")


def _refusal(head: str, one: Refusal) -> None:
    click.secho(f"\n{head}: refused", bold=True)
    click.echo(f"  {one.error}")
    if one.error.target:
        click.echo(f"  target   {one.error.target}")


def _way_out(plan: ModePlan) -> str:
    """A larger range, or fewer nodes where one pool alone can be made to fit by that."""
    small = [use for use in plan.uses if not all(use.fits(moment) for moment in Moment)]
    ways = [f"a {use.what} of /{use.smallest}" for use in small]
    counts = [one.nodes for one in plan.breaks if one.nodes is not None]
    late = any(one.when == "pods" for one in plan.refusals)
    if small and not late and len(plan.pools) == 1 and counts and min(counts) > 1:
        ways.append(f"at most {min(counts) - 1} nodes")
    return ", or ".join(ways)


def document(network: Sequence[Refusal], plans: Sequence[ModePlan]) -> dict[str, Any]:
    return {
        "fits": not network and all(one.fits for one in plans),
        "refusals": [_refusal_document(one) for one in network],
        "plans": [_plan_document(one) for one in plans],
    }


def _plan_document(plan: ModePlan) -> dict[str, Any]:
    return {
        "mode": plan.mode.name,
        "fits": plan.fits,
        "pools": [
            {
                "name": pool.name,
                "count": pool.count,
                "largest": pool.largest,
                "max_pods": pool.max_pods,
                "max_surge": str(pool.surge),
            }
            for pool in plan.pools
        ],
        "ranges": [
            {
                "what": use.what,
                "cidr": use.cidr,
                "usable": use.usable,
                "needs": use.needs,
                "smallest_prefix": use.smallest,
            }
            for use in plan.uses
        ],
        "refusals": [_refusal_document(one) for one in plan.refusals],
        "first_refused": [
            {
                "pool": one.pool,
                "when": one.when,
                "nodes": one.nodes,
                "error": one.error and _error_document(one.error),
            }
            for one in plan.breaks
        ],
    }


def _refusal_document(one: Refusal) -> dict[str, Any]:
    return {"when": one.when, **_error_document(one.error)}


def _error_document(error: InvalidInputError) -> dict[str, str]:
    return {"code": error.code, "message": error.args[0], "target": error.target}
