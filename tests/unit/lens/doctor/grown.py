"""A saved snapshot with more pods: each node full, each pod wired as its mode wires it."""

from __future__ import annotations

import copy
import hashlib
from dataclasses import replace
from typing import Any

from podwire.ipam.lease import Lease
from podwire.lens.snapshot import Neighbour, Node, Route, Snapshot, Space
from podwire.model.bridge_mode import host_mac, host_veth_name, pod_mac
from tests.unit.lens.saved import saved


def grown(name: str, pods: int = 30) -> Snapshot:
    """name: "bridge" or "transparent"; pods: on each node, as far as its addresses last."""
    snapshot = saved(name)
    for node in snapshot.nodes:
        free = [one.address for one in node.attachments.addresses if not one.held]
        for address in free[: pods - len(node.pods)]:
            snapshot = _one_more(snapshot, snapshot.node(node.name) or node, address)
    return snapshot


def _one_more(snapshot: Snapshot, node: Node, address: str) -> Snapshot:
    like = next(one for one in node.attachments.leases if "nginx" in one.pod_name)
    lease = _lease(like, address)
    old = snapshot.space(f"pod/default/{like.pod_name}")
    host = snapshot.space(node.space)
    assert old is not None
    assert host is not None
    number = 1000 + 2 * len(host.links)
    pod = _pod(old, lease, like, number, host.id)
    wired = _host(host, lease, like, number, pod.id)
    have = node.attachments
    addresses = tuple(
        replace(one, held=True) if one.address == address else one for one in have.addresses
    )
    attachments = replace(
        have,
        leases=tuple(replace(one, since=snapshot.taken - 7200) for one in (*have.leases, lease)),
        addresses=addresses,
        pods=(*(have.pods or ()), lease.container_id),
        inhabited=(*have.inhabited, pod.inode),
    )
    bigger = replace(node, pods=(*node.pods, pod.id), attachments=attachments)
    return replace(
        snapshot,
        nodes=tuple(bigger if one.name == node.name else one for one in snapshot.nodes),
        spaces=(*(wired if one.id == host.id else one for one in snapshot.spaces), pod),
    )


def _lease(like: Lease, address: str) -> Lease:
    container = hashlib.sha256(address.encode()).hexdigest()
    names = (like.network, container, like.ifname)
    return replace(
        like,
        id=1000 + int(address.rpartition(".")[2]),
        address=address,
        container_id=container,
        pod_name=f"web-{address.rpartition('.')[2]}",
        host_link=host_veth_name(*names),
        mac=pod_mac(*names),
        netns=f"/var/run/netns/{container[:12]}",
    )


def _pod(old: Space, lease: Lease, like: Lease, number: int, host: str) -> Space:
    def other(text: str) -> str:
        return text.replace(f"{like.address}/", f"{lease.address}/")

    links = tuple(
        replace(
            one,
            mac=lease.mac,
            ifindex=number,
            peer_index=number + 1,
            peer=(host, lease.host_link),
        )
        if one.name == lease.ifname
        else one
        for one in old.links
    )
    return replace(
        old,
        id=f"pod/{lease.pod_namespace}/{lease.pod_name}",
        inode=old.inode * 100 + lease.id,
        links=links,
        addresses=tuple(replace(one, cidr=other(one.cidr)) for one in old.addresses),
        routes=tuple(replace(one, dst=other(one.dst)) for one in old.routes),
    )


def _host(host: Space, lease: Lease, like: Lease, number: int, pod: str) -> Space:
    old = host.link(like.host_link)
    assert old is not None
    mac = host_mac(lease.mac) if lease.bridge else old.mac
    link = replace(
        old,
        name=lease.host_link,
        ifindex=number + 1,
        peer_index=number,
        mac=mac,
        peer=(pod, lease.ifname),
    )
    via = lease.bridge or lease.host_link
    routes = () if lease.bridge else (Route(f"{lease.address}/32", lease.host_link),)
    return replace(
        host,
        links=(*host.links, link),
        routes=(*host.routes, *routes),
        neighbours=(*host.neighbours, Neighbour(via, lease.address, lease.mac, "PERMANENT")),
        nft=tuple(_with_pod(one, lease) for one in host.nft),
    )


def _with_pod(raw: Any, lease: Lease) -> Any:
    """The MAC NAT's map and its set of ports."""
    new = copy.deepcopy(raw)
    if raw.get("map", {}).get("name") == "pod_mac":
        new["map"]["elem"].append([lease.address, lease.mac])
    if raw.get("set", {}).get("name") == "loop":
        new["set"]["elem"].append({"concat": [lease.host_link, lease.host_link]})
    return new
