"""A pod's ADD from the log, each line with the things of the picture that it is about. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from podwire.lens import names
from podwire.lens.iptext import mentions
from podwire.lens.logs import Call, Line
from podwire.lens.snapshot import Snapshot
from podwire.lens.ui import lookup

_LINK = re.compile(r"(?:Creating (?:bridge|veth pair)|[Ll]ink|interface|hostveth|on) ([\w.-]+?)\b")


def told(snapshot: Snapshot, key: str, node_name: str, call: Call) -> dict[str, Any]:
    """The call as JSON's values; objects: for each line the data-objects that it names, none or
    more. key: the pod. Raises LookupError when the node is gone from the snapshot."""
    node = lookup.node(snapshot, node_name)
    host, pod = node.space, f"pod {key}"
    inside = next((s for s in node.pods if (p := lookup.pod_in(snapshot, s)) and p.key == key), "")
    addresses = set(names.addresses(snapshot, host))
    found, entered = [], False
    for line in call.lines:
        entered = "Entering netns" in line.text or (entered and "Exiting netns" not in line.text)
        things = list(dict.fromkeys(_named(snapshot, inside if entered else host, line)))
        if entered or not things:
            things += [pod] * (entered or _about(line, call, addresses))
        found.append(things)
    return {**asdict(call), "objects": found}


def _named(snapshot: Snapshot, space_id: str, line: Line) -> Iterator[str]:
    space = snapshot.space(space_id)
    words = _LINK.findall(line.text)
    for link in space.links if space else ():
        if link.name != "lo" and (link.name in words or _whole(line.text, link.name)):
            yield f"link {space_id} {link.name}"


def _whole(text: str, name: str) -> bool:
    """eth0 is an ordinary word of other lines: only names that nothing else has."""
    return len(name) > 5 and mentions(text, name)


def _about(line: Line, call: Call, others: set[str]) -> bool:
    """Whether a line tells of the pod itself: its address, its container."""
    addresses = set(re.findall(r"\d+\.\d+\.\d+\.\d+", line.text)) - others - {"0.0.0.0"}
    ends = "completed with" in line.text or "Processing" in line.text
    own = [one for one in addresses if any(one in each.text for each in call.lines[-1:])]
    return ends or bool(own)
