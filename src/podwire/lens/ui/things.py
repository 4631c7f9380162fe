"""What can be searched for, and what can be the end of a path: names, and the words that find them.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from podwire.lens.kube_values import Cluster
from podwire.lens.snapshot import OF, Snapshot


@dataclass(frozen=True, slots=True)
class Named:
    """object: its data-object. words: what else finds it. end: as explain takes it, "" if none;
    sends: whether a path can begin there."""

    object: str
    name: str
    words: str = ""
    end: str = ""
    sends: bool = False


def things(snapshot: Snapshot) -> tuple[Named, ...]:
    """Pods, services, nodes, subnets, NICs, and the links of nodes."""
    return (*_pods(snapshot), *_services(snapshot), *_rest(snapshot))


def _pods(snapshot: Snapshot) -> Iterator[Named]:
    for cluster in snapshot.clusters:
        for one in cluster.pods:
            words = f"{one.address} {one.node}"
            word = f"pod/{one.key}{_of(snapshot, cluster)}"
            yield Named(f"pod {one.key}", one.key, words, word, bool(one.space))


def _services(snapshot: Snapshot) -> Iterator[Named]:
    for cluster in snapshot.clusters:
        for one in cluster.services:
            words = f"{one.cluster_ip} {' '.join(one.external)}"
            word = f"svc/{one.key}{_of(snapshot, cluster)}"
            yield Named(f"service {one.key}", one.key, words, word)


def _of(snapshot: Snapshot, cluster: Cluster) -> str:
    return f"{OF}{cluster.name}" if len(snapshot.clusters) > 1 else ""


def _rest(snapshot: Snapshot) -> Iterator[Named]:
    for node in snapshot.nodes:
        space = snapshot.space(node.space)
        mine = space.addresses if space else ()
        found = " ".join(one.cidr for one in mine)
        yield Named(f"node {node.name}", node.name, found, f"node/{node.name}", space is not None)
        for link in space.links if space else ():
            words = f"{link.mac} {node.name}"
            yield Named(f"link {node.space} {link.name}", link.name, words)
    for vnet in snapshot.vnets:
        for subnet in vnet.vnet.subnets:
            yield Named(f"subnet {vnet.vnet.key} {subnet.name}", subnet.name, subnet.prefix)
        for card in vnet.nics:
            yield Named(f"nic {card.nic.name}", card.nic.name, f"{card.nic.mac} {card.node}")
