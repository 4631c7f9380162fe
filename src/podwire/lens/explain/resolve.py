"""What a DNS name would be resolved to, by resolv.conf and the cluster's services.

Must not know how a query travels. Sources: resolv.conf(5), Kubernetes' DNS specification 1.1.
"""

from __future__ import annotations

from dataclasses import dataclass

from podwire.lens.kube_values import Cluster, Service
from podwire.lens.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class ResolvConf:
    servers: tuple[str, ...]
    search: tuple[str, ...]
    ndots: int


def parse(text: str) -> ResolvConf:
    """A line that is none of those known is left out, as the resolver does."""
    servers: list[str] = []
    search: tuple[str, ...] = ()
    ndots = 1
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["nameserver"] and len(words) > 1:
            servers.append(words[1])
        elif words[:1] in (["search"], ["domain"]):
            search = tuple(words[1:])
        elif words[:1] == ["options"]:
            given = [one.partition(":")[2] for one in words if one.startswith("ndots:")]
            ndots = int(given[-1]) if given and given[-1].isdigit() else ndots
    return ResolvConf(tuple(servers), search, ndots)


def candidates(name: str, conf: ResolvConf) -> tuple[str, ...]:
    """The names that are asked for, in order."""
    if name.endswith("."):
        return (name.rstrip("."),)
    listed = tuple(f"{name}.{one}" for one in conf.search)
    return (name, *listed) if name.count(".") >= conf.ndots else (*listed, name)


def find(snapshot: Snapshot, name: str, conf: ResolvConf) -> tuple[Cluster, Service] | None:
    """The service that the name is one of."""
    for one in candidates(name, conf):
        labels = one.split(".")
        if len(labels) < 3 or labels[2] != "svc":
            continue
        for cluster in snapshot.clusters:
            for service in cluster.services:
                if (service.name, service.namespace) == (labels[0], labels[1]):
                    return cluster, service
    return None


def is_clusters(name: str) -> bool:
    """Whether a name is meant for the cluster's own DNS."""
    labels = name.rstrip(".").split(".")
    return "svc" in labels or name.rstrip(".").endswith("cluster.local") or len(labels) <= 2
