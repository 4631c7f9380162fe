"""kube-proxy's rules on each node against the endpoints that the API server has. Pure.

Of the iptables mode alone: chain KUBE-SEP-... is one endpoint of one port of a service.
Source: kubernetes, pkg/proxy/iptables/proxier.go.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from podwire.lens.doctor.catalog import found
from podwire.lens.doctor.values import Finding
from podwire.lens.kube_values import Cluster
from podwire.lens.snapshot import Node, Snapshot, Space

_TARGET = re.compile(r'--comment "?(?P<port>[^" ]+)"? .*--to-destination (?P<to>\S+)')


def findings(snapshot: Snapshot, cluster: Cluster) -> Iterator[Finding]:
    if "endpoint slices" in cluster.why_not or "services" in cluster.why_not:
        return
    wanted = _wanted(cluster)
    for node in (one for one in snapshot.nodes if one.cluster == cluster.name):
        space = snapshot.space(node.space)
        have = _have(space) if space else None
        if have is not None:
            yield from _of_node(node, wanted, have)


def _wanted(cluster: Cluster) -> dict[str, set[str]]:
    """ "NAMESPACE/NAME[:PORT]" -> ADDRESS:PORT of each endpoint that is ready."""
    found_: dict[str, set[str]] = {}
    for service in cluster.services:
        if service.cluster_ip in ("", "None") or service.kind == "ExternalName":
            continue
        for port in service.ports:
            name = service.key + (f":{port.name}" if port.name else "")
            found_[name] = {
                _socket(one.address, one.port)
                for one in service.endpoints
                if one.ready and one.port_name == port.name
            }
    return found_


def _socket(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _have(space: Space) -> dict[str, set[str]] | None:
    """The same of a node's rules; None where kube-proxy made none, or not in iptables."""
    chains = [chain for one in space.iptables if one.name == "nat" for chain in one.chains]
    if not any(one.name == "KUBE-SERVICES" and one.rules for one in chains):
        return None
    found_: defaultdict[str, set[str]] = defaultdict(set)
    for chain in chains:
        if chain.name.startswith("KUBE-SEP-"):
            for match in (_TARGET.search(one.text) for one in chain.rules):
                if match:
                    found_[match["port"]].add(match["to"])
    return dict(found_)


def _of_node(
    node: Node, wanted: dict[str, set[str]], have: dict[str, set[str]]
) -> Iterator[Finding]:
    for name in sorted(wanted.keys() | have.keys()):
        ends, rules = wanted.get(name, set()), have.get(name, set())
        for kind, wrong, said in (
            ("service-rules-stale", rules - ends, "lead to {}, which is no endpoint of it"),
            ("service-rules-missing", ends - rules, "do not lead to its endpoint {}"),
        ):
            if wrong:
                yield found(
                    kind,
                    f"service {'/'.join(name.split('/')[:2]).partition(':')[0]}",
                    f"{node.name}: the rules of {name} {said.format(', '.join(sorted(wrong)))}",
                    "pkill kube-proxy",
                    node=node.name,
                )
