"""What `podwire ipam` prints: tables and sentences for people, documents for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from typing import Any

import click

from podwire.cli.output import print_table
from podwire.cni.holdings import COOLING, FREE, Holding, count, document
from podwire.cni.leaks import ADOPT, REMOVE, Finding, pod_name
from podwire.cni.leaks import FREE as END
from podwire.cni.mend import Outcome
from podwire.cni.survey import Survey
from podwire.ipam.lease import OWN_IPAM, Lease, Pool

_HEADS = ("ADDRESS", "STATE", "POD", "CONTAINER", "IFNAME", "SINCE", "HOST LINK", "SOURCE")
NO_LEDGER = "there is no ledger: no pod was wired since the boot, or --state-dir is another"
_DONE = {END: "freed", REMOVE: "removed", ADOPT: "adopted"}
_WOULD = {END: "would free", REMOVE: "would remove", ADOPT: "would adopt"}


def age(seconds: float) -> str:
    """As kubectl says it: 45s, 3m, 5h, 2d."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{int(seconds // size)}{unit}"
    return f"{int(seconds)}s"


def holder(lease: Lease) -> str:
    container = f"container {lease.container_id[:12]}" if lease.container_id else "no known pod"
    return f"{pod_name(lease)} ({container})" if lease.pod_name else container


def print_show(found: Sequence[Holding], pools: Iterable[Pool], source: dict[str, Any]) -> None:
    print_table(_HEADS, [_row(one) for one in found])
    states = count(found)
    order = [one for one in states if one not in (FREE, COOLING)] + [COOLING, FREE]
    told = ", ".join(f"{states[one]} {one}" for one in order if states[one])
    click.echo(f"\n{len(found)} addresses: {told or 'none'}")
    for pool in pools:
        card = f" on card {pool.mac}" if pool.mac else ""
        click.echo(f"pool {pool.subnet}, gateway {pool.gateway}{card}: {pool.total} addresses")
    heard = "never heard" if source["age"] is None else f"heard {age(source['age'])} ago"
    click.echo(f"source: {source['name'] or 'none'}, {heard}")


def _row(one: Holding) -> tuple[str, ...]:
    lease = one.lease
    source = one.subnet
    if one.listed is False:
        source = "unlisted"
    elif lease and lease.ipam != OWN_IPAM:
        source = lease.ipam
    state = one.state
    if one.state == COOLING:
        state = f"{COOLING} {int(one.seconds or 0) + 1}s"
    if lease is None:
        return (one.address, state, "-", "-", "-", "-", "-", source)
    return (
        *(one.address or "(none yet)", state, pod_name(lease) or "-"),
        *(lease.container_id[:12] or "(unknown)", lease.ifname or "-"),
        *(age(one.seconds or 0), lease.host_link or "-", source),
    )


def show_document(
    found: Sequence[Holding], pools: Iterable[Pool], source: dict[str, Any]
) -> dict[str, Any]:
    names = [field.name for field in fields(Pool) if field.name != "refreshed"]
    return {
        "addresses": list(document(found)),
        "states": dict(count(found)),
        "pools": [{name: getattr(one, name) for name in names} for one in pools],
        "source": source,
    }


def print_check(seen: Survey, found: Sequence[Finding]) -> None:
    for one in found:
        click.secho(_title(one), bold=True)
        click.echo(f"  cause        {one.cause}")
        click.echo(f"  consequence  {one.consequence}")
        click.echo(f"  mend         {one.remedy}\n")
    _say_runtime(seen)
    if not seen.has_ledger:
        click.echo(NO_LEDGER, err=True)
    asked = "ledger, kernel and runtime" if seen.containers.ids is not None else "ledger and kernel"
    leases = f"{len(seen.leases)} leases"
    if found:
        click.echo(f"{len(found)} found; {leases}, {asked} compared")
    else:
        click.echo(f"nothing found: {asked} agree about {leases}")


def _title(one: Finding) -> str:
    container = f"container {one.container_id[:12]}/{one.ifname}" if one.container_id else ""
    words = (one.address or one.host_link or "the node", one.kind, one.pod, container)
    return "  ".join(word for word in words if word)


def _say_runtime(seen: Survey) -> None:
    if seen.containers.ids is None:
        click.echo(f"the runtime was not asked: {seen.containers.told_by}", err=True)


def check_document(seen: Survey, found: Sequence[Finding]) -> dict[str, Any]:
    return {
        "findings": [finding_document(one) for one in found],
        "leases": len(seen.leases),
        "runtime": {"asked": seen.containers.ids is not None, "by": seen.containers.told_by},
    }


def finding_document(one: Finding) -> dict[str, Any]:
    names = [field.name for field in fields(one) if field.name not in ("lease", "survivor")]
    return {name: getattr(one, name) for name in names}


def print_gc(seen: Survey, outcomes: Sequence[Outcome], dry_run: bool) -> None:
    for line in _outcomes(outcomes, _WOULD if dry_run else _DONE):
        click.echo(line)
    _say_runtime(seen)
    ended = sum(one.action in (END, REMOVE) for one in outcomes)
    left = sum(not one.action for one in outcomes)
    verb = "would end" if dry_run else "ended"
    click.echo(f"{verb} {ended} leaks, left {left} findings alone")


def _outcomes(outcomes: Iterable[Outcome], words: dict[str, str]) -> Iterator[str]:
    for one in outcomes:
        what = one.finding.address or one.finding.host_link or "the node"
        if one.action:
            yield f"{words[one.action]} {what}: {one.finding.cause}"
        else:
            yield f"left {what} ({one.finding.kind}): {one.why}; {one.finding.remedy}"


def gc_document(seen: Survey, outcomes: Iterable[Outcome], dry_run: bool) -> dict[str, Any]:
    done = [
        {"action": one.action, "why": one.why, **finding_document(one.finding)} for one in outcomes
    ]
    return {"dry_run": dry_run, "outcomes": done, "leases": len(seen.leases)}


def tabbed(value: Any) -> str:
    """As Azure writes its state: indented by tabs."""
    return json.dumps(value, indent="\t")
