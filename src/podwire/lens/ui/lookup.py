"""Finding things of a snapshot by name, and what belongs together. Pure.

What is not there raises LookupError.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from podwire.ipam.lease import Lease
from podwire.lens import names
from podwire.lens.commands import on_node
from podwire.lens.kube_values import Cluster, KubeNode, Pod, Service
from podwire.lens.snapshot import Link, Node, Plugged, Snapshot, Space, VirtualNetwork
from podwire.model.errors import InvalidInputError
from podwire.model.vnet import Subnet


def space(snapshot: Snapshot, id_: str) -> Space:
    found = snapshot.space(id_)
    if found is None:
        raise LookupError(id_)
    return found


def link(where: Space, name: str) -> Link:
    found = where.link(name)
    if found is None:
        raise LookupError(name)
    return found


def node(snapshot: Snapshot, name: str) -> Node:
    found = snapshot.node(name)
    if found is None:
        raise LookupError(name)
    return found


def pod(snapshot: Snapshot, key: str) -> tuple[Cluster, Pod]:
    for cluster in snapshot.clusters:
        for one in cluster.pods:
            if one.key == key:
                return cluster, one
    raise LookupError(key)


def service(snapshot: Snapshot, key: str) -> Service:
    found = names.service_of(snapshot, key)
    if found is None:
        raise LookupError(key)
    return found[1]


def subnet(snapshot: Snapshot, vnet_key: str, name: str) -> tuple[VirtualNetwork, Subnet]:
    for vnet in snapshot.vnets:
        for one in vnet.vnet.subnets:
            if vnet.vnet.key == vnet_key and one.name == name:
                return vnet, one
    raise LookupError(name)


def nic(snapshot: Snapshot, name: str) -> Plugged:
    for vnet in snapshot.vnets:
        for one in vnet.nics:
            if one.nic.name == name:
                return one
    raise LookupError(name)


def kube_node(snapshot: Snapshot, name: str) -> KubeNode | None:
    every = (one for cluster in snapshot.clusters for one in cluster.nodes)
    return next((one for one in every if one.name == name), None)


def pod_in(snapshot: Snapshot, space_id: str) -> Pod | None:
    every = (one for cluster in snapshot.clusters for one in cluster.pods)
    return next((one for one in every if one.space == space_id), None)


def node_of_space(snapshot: Snapshot, space_id: str) -> Node | None:
    """Of a node's own namespace, or of a pod's."""
    return next((o for o in snapshot.nodes if o.space == space_id or space_id in o.pods), None)


def leases(of: Node, whose: Pod) -> list[Lease]:
    return [
        one
        for one in of.attachments.leases
        if (one.pod_namespace, one.pod_name) == (whose.namespace, whose.name)
        or (whose.address and one.address == whose.address)
    ]


def lease_facts(one: Lease) -> Iterator[tuple[str, str]]:
    yield "address", one.cidr if not one.address6 else f"{one.cidr}, {one.cidr6}"
    yield "state", one.state
    yield "since", time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(one.since))
    yield "container", f"{one.container_id} {one.ifname}"
    yield "host link", one.host_link
    yield "MAC", one.mac
    yield "given by", one.ipam


def lease_line(one: Lease) -> str:
    whose = f"{one.pod_namespace}/{one.pod_name}" if one.pod_name else one.container_id[:12]
    return f"{one.address}  {one.state}  {whose}  {one.host_link}"


def label(snapshot: Snapshot, where: Space) -> str:
    """How people call a namespace."""
    kind, _, name = where.id.partition("/")
    return {"fabric": f"the fabric of VNet {name}", "plane": f"the control plane of {name}"}.get(
        kind, f"{kind} {name}"
    )


def enter(snapshot: Snapshot, where: Space) -> str:
    """What to write before a command so that it runs there."""
    kind, _, name = where.id.partition("/")
    if kind == "node" and snapshot.lab:
        return on_node(snapshot.lab, name)
    if kind == "pod" and (found := pod_in(snapshot, where.id)) is not None:
        return f"kubectl exec -n {found.namespace} {found.name} -- "
    return "" if kind == "node" else f"nsenter --net={name} "


def ledger_command(snapshot: Snapshot, name: str) -> str:
    return f"podwire ipam show --node {name}" if snapshot.lab else "podwire ipam show"


def container_of(snapshot: Snapshot, key: str) -> tuple[str, str, str]:
    """(container id, node, name) of a pod's lease. Raises InvalidInputError when it has none."""
    for of in snapshot.nodes:
        for lease in of.attachments.leases:
            if f"{lease.pod_namespace}/{lease.pod_name}" == key and lease.container_id:
                return lease.container_id, of.name, key
    raise InvalidInputError(
        f"no ledger has a lease of pod {key}: it is on its node's own network, is not wired yet, "
        "or another plugin wired it"
    )
