"""Two clusters in one snapshot, whose services have the same names and addresses, and a pod each of
the same name: a real one in bridge mode, and a real kubenet one in a VNet of its own."""

from __future__ import annotations

from dataclasses import replace

from podwire.lens.codec import from_json, to_json
from podwire.lens.snapshot import Snapshot
from tests.unit.lens.saved import saved

FIRST, SECOND = "azurecni-cluster", "kubenet-cluster"
TWIN = "default/nginx-5b656dcb8-jnh77"
_OTHERS = "default/nginx-5b656dcb8-4ngcx"


def two_clusters() -> Snapshot:
    bridge = to_json(saved("bridge")).replace(f"pod/{TWIN}", f"pod/{TWIN}@{FIRST}")
    kubenet = to_json(saved("kubenet"))
    for old, new in (
        (f"pod/{_OTHERS}", f"pod/{TWIN}@{SECOND}"),
        (_OTHERS.split("/")[1], TWIN.split("/")[1]),
        ("networklab/aksvnet", "networklab/othervnet"),
        ('"aksvnet"', '"othervnet"'),
    ):
        assert old in kubenet, old
        kubenet = kubenet.replace(old, new)
    one, other = from_json(bridge), from_json(kubenet)
    return replace(
        one,
        nodes=(*one.nodes, *other.nodes),
        spaces=(*one.spaces, *other.spaces),
        clusters=(*one.clusters, *other.clusters),
        vnets=(*one.vnets, *other.vnets),
    )
