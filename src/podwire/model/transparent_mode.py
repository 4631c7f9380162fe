"""Azure CNI's transparent mode as wirings, in its newest form: pods are routed, not bridged.

The NIC stays as DHCP left it. A pod is a veth pair and a /32 route to it; for all that it sends,
the pod's next hop is 169.254.1.1, which nobody owns: a permanent neighbour names the host's end.
The host has a permanent neighbour for the pod in return, so that neither ever sends an ARP
request, and no ARP proxy with its random delay is needed. What leaves is routed, hence carries the
NIC's MAC as Azure's fabric wants it, which delivers what is for a pod to that MAC as well.

Nothing is said of rp_filter: strict or not, each packet comes in by the link that its source is
routed to (a pod's by its /32, the rest by the NIC).
Source: Azure/azure-container-networking v1.8.12, network/transparent_endpointclient_linux.go
(behaviour); differences: both neighbours permanent, no connected route from the start instead of
one that is deleted again, ip_forward is set.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from podwire.model import dual_stack
from podwire.model.bridge_mode import (
    DEFAULT_ROUTE,
    host_veth_name,
    no_router_advertisements,
    veth_index,
)
from podwire.model.pod_network import HOST, POD, PodNetwork, Uplink
from podwire.model.wiring import Address, KernelObject, Neighbour, Route, Sysctl, Veth, Wiring

NEXT_HOP = "169.254.1.1"
"""A pod's gateway; the address is nobody's."""
HOST_MAC = "aa:aa:aa:aa:aa:aa"
"""Of each pod's end on the host."""
FORWARDING = "net/ipv4/ip_forward"


def pod_veth_name(pod_namespace: str, pod_name: str) -> str:
    """14 characters, as azure-vnet names it and as Calico looks for it: azvde46f835af8."""
    key = f"{pod_namespace}.{pod_name}".encode()
    return "azv" + hashlib.sha1(key, usedforsecurity=False).hexdigest()[:11]


def node_wiring(uplink: Uplink, bridge: str = "", host_routed: tuple[str, ...] = ()) -> Wiring:
    """The node forwards; its NIC's addresses and routes are nobody's to touch.

    bridge, host_routed: bridge mode's; everything passes the host's routing here.
    """
    return Wiring.of([Sysctl(HOST, FORWARDING, "1"), *dual_stack.forwards(uplink)])


def pod_wiring(uplink: Uplink, bridge: str, pod: PodNetwork) -> Wiring:
    """What one pod adds to a node that has its `node_wiring`; first the host's side."""
    return Wiring.of(_pod_objects(uplink, pod))


def _pod_objects(uplink: Uplink, pod: PodNetwork) -> Iterator[KernelObject]:
    link = pod.host_link or host_veth_name(pod.network_id, pod.container_id, pod.ifname)
    yield Veth(
        *(HOST, link, POD, pod.ifname),
        mac=HOST_MAC,
        peer_mac=pod.mac,
        mtu=uplink.mtu,
        index=veth_index(pod.cidr),
    )
    yield no_router_advertisements(HOST, link)
    yield Route(HOST, f"{pod.ip}/32", link)
    yield Neighbour(HOST, link, pod.ip, pod.mac)
    yield from dual_stack.routed_pod_on_host(link, pod)
    yield no_router_advertisements(POD, pod.ifname)
    yield from dual_stack.switched_on(pod)
    yield Address(POD, pod.ifname, pod.cidr, prefix_route=False)
    yield Route(POD, f"{NEXT_HOP}/32", pod.ifname)
    yield Neighbour(POD, pod.ifname, NEXT_HOP, HOST_MAC)
    yield Route(POD, DEFAULT_ROUTE, pod.ifname, via=NEXT_HOP)
    yield from dual_stack.inside(pod, HOST_MAC)
