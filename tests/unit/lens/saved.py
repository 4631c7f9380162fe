"""Snapshots of real labs of two nodes: the document's nginx, cluster DNS, in `bridge` and
`transparent` a load balancer; `two`: two clusters in one VNet. Made by `podwire snapshot`; later
fields have their defaults."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from podwire.lens.codec import load
from podwire.lens.snapshot import Snapshot

NAMES = ("bridge", "transparent", "kubenet")


@cache
def saved(name: str) -> Snapshot:
    return load(Path(__file__).with_name("snapshots") / f"{name}.json.gz")
