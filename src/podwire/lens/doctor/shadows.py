"""What others put before ours on a node: its filters, routes and rules, looked at for its pods.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

from podwire.lens.doctor import filters, routing
from podwire.lens.doctor.room import kube_node
from podwire.lens.doctor.values import Finding
from podwire.lens.snapshot import Node, Snapshot, Space


def findings(snapshot: Snapshot, node: Node) -> Iterator[Finding]:
    space = snapshot.space(node.space)
    if space is None:
        return
    pods = tuple(addresses(node, snapshot))
    yield from filters.findings(space, node.name, pods)
    yield from routing.findings(space, node, pods, tuple(_nets(node, snapshot)))


def addresses(node: Node, snapshot: Snapshot) -> list[str]:
    """Of the node's pods, by the ledger and by their own spaces: CIDRs of one address each."""
    known = [one.address for one in node.attachments.leases if one.address]
    known += [one.address6 for one in node.attachments.leases if one.address6]
    spaces = (snapshot.space(one) for one in node.pods)
    known += [address for space in spaces if space for address in _global(space)]
    return [f"{one}/{128 if ':' in one else 32}" for one in dict.fromkeys(known)]


def _global(space: Space) -> Iterator[str]:
    return (one.ip for one in space.addresses if one.scope == "global")


def _nets(node: Node, snapshot: Snapshot) -> Iterator[str]:
    yield from (one.subnet for one in node.attachments.pools)
    known = kube_node(node, snapshot)
    if known is not None and known.pod_cidr:
        yield known.pod_cidr
