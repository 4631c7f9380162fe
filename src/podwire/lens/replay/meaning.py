"""What a line of azure-vnet.log means, which object it tells of, and the command that shows it.

Pure. `cni.narrate` and the calls of `cni` write these lines; a line that is not known here is shown
without comment. Must not know who asks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from podwire.ipam.lease import Lease
from podwire.lens.replay.lessons import TABLE


@dataclass(frozen=True, slots=True)
class Context:
    """host: the node's space's id."""

    host: str
    lease: Lease


@dataclass(frozen=True, slots=True)
class Said:
    meaning: str
    thing: str = ""
    show: str = ""


@dataclass(frozen=True, slots=True)
class _Lesson:
    """pattern: named groups may be used in the three texts; one called "own" must be the pod's
    interface. So may {host}, {pod}, {link}, {netns},
    {address}, {ifname} of the pod in question."""

    pattern: re.Pattern[str]
    meaning: str
    thing: str = ""
    show: str = ""


def explain(text: str, context: Context) -> Said:
    """Of the line without stamp and tags; no meaning for a line that is not known."""
    for one in _LESSONS:
        found = one.pattern.search(text)
        if found and found.groupdict().get("own", context.lease.ifname) == context.lease.ifname:
            values = {**_values(context.lease, context.host), **found.groupdict()}
            return Said(*(each.format(**values) for each in (one.meaning, one.thing, one.show)))
    return Said("")


def _values(lease: Lease, host: str) -> dict[str, str]:
    pod = f"pod/{lease.pod_namespace}/{lease.pod_name}"
    return {
        "host": host,
        "pod": pod if lease.pod_name else f"pod/{lease.container_id}",
        "link": lease.host_link,
        "netns": lease.netns,
        "address": lease.address,
        "ifname": lease.ifname,
        "podthing": f"pod {pod.removeprefix('pod/')}" if lease.pod_name else "",
    }


_LESSONS = tuple(_Lesson(re.compile(pattern), *texts) for pattern, *texts in TABLE)
