"""Which space is which pod's: by the ledger's and the runtime's word, else by its address. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from podwire.lens.collect.node import NodeSeen
from podwire.lens.collect.spaces import Seen
from podwire.lens.kube_values import Cluster, Pod
from podwire.lens.snapshot import Node, Space, pod_of


def named(seen: NodeSeen, clusters: Iterable[Cluster]) -> NodeSeen:
    """With the API server's names for spaces that nobody else named, and no id twice: a pod whose
    name another cluster has, too, is "pod/NAMESPACE/NAME@CLUSTER".

    What nobody knows is no pod's.
    """
    known = [(one, each.name) for each in clusters for one in each.pods if not one.host_network]
    pods = {(one.node, one.address): one for one, _ in known}
    homes: dict[str, set[str]] = {}
    for pod, cluster in known:
        homes.setdefault(f"pod/{pod.key}", set()).add(cluster)
    taken: set[str] = set()
    spaces = []
    for one in seen.spaces:
        space = _named(one.space, seen, pods)
        if len(homes.get(space.id, ())) > 1:
            space = replace(space, id=pod_of(space.id, seen.node.cluster))
        if space.id in taken:
            space = replace(space, id=f"space/{space.inode}")
        taken.add(space.id)
        spaces.append(replace(one, space=space))
    return replace(seen, node=_with_pods(seen.node, spaces), spaces=tuple(spaces))


def _named(space: Space, seen: NodeSeen, pods: Mapping[tuple[str, str], Pod]) -> Space:
    if space.id not in seen.nameless:
        return space
    for address in space.addresses:
        found = pods.get((seen.node.name, address.ip))
        if found is not None:
            return replace(space, id=f"pod/{found.key}")
    return replace(space, kind="other")


def _with_pods(node: Node, spaces: Iterable[Seen]) -> Node:
    mine = [one.space for one in spaces if one.space.kind == "pod"]
    return replace(node, pods=tuple(one.id for one in sorted(mine, key=_rank)))


def _rank(space: Space) -> tuple[tuple[int, ...], str]:
    """By address: the IPv4 one, as a number."""
    mine = (one.cidr for one in space.addresses if one.scope == "global" and ":" not in one.cidr)
    first = next(mine, "").partition("/")[0]
    return tuple(int(part) for part in first.split(".") if part), space.id


def with_spaces(cluster: Cluster, nodes: Sequence[Node], spaces: Iterable[Space]) -> Cluster:
    """The cluster's pods with the ids of their spaces."""
    mine = {pod for one in nodes if one.cluster == cluster.name for pod in one.pods}
    known = {one.id: one for one in spaces if one.id in mine}
    by_address = {
        address.ip: id
        for id, space in known.items()  # noqa: A001  what it is called everywhere
        for address in space.addresses
        if address.scope == "global"
    }
    pods = tuple(
        replace(one, space=_space_of(one, cluster.name, known, by_address)) for one in cluster.pods
    )
    return replace(cluster, pods=pods)


def _space_of(
    pod: Pod, cluster: str, known: Mapping[str, Space], by_address: Mapping[str, str]
) -> str:
    """A pod that ended keeps its address in the API, which another may have now."""
    if pod.host_network or pod.phase in ("Succeeded", "Failed"):
        return ""
    own = f"pod/{pod.key}"
    ids = (own, pod_of(own, cluster), by_address.get(pod.address, ""))
    return next((one for one in ids if one in known), "")
