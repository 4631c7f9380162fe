"""What the packets of one cluster may meet, of a snapshot of many.

Clusters of a lab may call pods and services alike and give services the same addresses; VNets that
are not peered may have the same addresses altogether. Must not know what is asked.
"""

from __future__ import annotations

from dataclasses import replace

from podwire.lens.snapshot import Snapshot, Space


def own_first(snapshot: Snapshot, cluster: str) -> Snapshot:
    """The cluster before others: whoever takes the first that fits has its own."""
    clusters = sorted(snapshot.clusters, key=lambda one: one.name != cluster)
    return replace(snapshot, clusters=tuple(clusters))


def seen_from(snapshot: Snapshot, cluster: str) -> Snapshot:
    """The cluster's VNet, and of those that are peered with it nodes and pods; the cluster first.

    All of it where the cluster is in no VNet.
    """
    home = next((one.vnet for one in snapshot.clusters if one.name == cluster), "")
    return own_first(_around(snapshot, home) if home else snapshot, cluster)


def _around(snapshot: Snapshot, home: str) -> Snapshot:
    own = (one.vnet for one in snapshot.vnets if one.vnet.key == home)
    keys = {home, *(peering.remote.lower() for one in own for peering in one.peerings)}
    clusters = tuple(one for one in snapshot.clusters if one.vnet in keys)
    names = {one.name for one in clusters}
    nodes = tuple(one for one in snapshot.nodes if one.cluster in names)
    vnets = tuple(one for one in snapshot.vnets if one.vnet.key in keys)
    mine = {space for one in nodes for space in (one.space, *one.pods)}
    mine |= {one.space for one in vnets}
    away = {one.space for one in snapshot.vnets if one.vnet.key != home}
    spaces = tuple(
        one
        for one in snapshot.spaces
        if one.id in mine or (one.kind in ("plane", "other") and not _plugged(one) & away)
    )
    return replace(snapshot, clusters=clusters, nodes=nodes, vnets=vnets, spaces=spaces)


def _plugged(space: Space) -> set[str]:
    """The spaces that its links lead to."""
    return {one.peer[0] for one in space.links if one.peer}
