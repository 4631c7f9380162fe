"""IPv6 beside IPv4, as parts of both modes' wirings; empty for a node or pod that has none.

A pod's next hop is the node in both modes: Azure's gateway address with a permanent neighbour, so
that a pod asks nobody. Its address has no connected route: in Azure's fabric nothing is on-link.
Neighbour discovery carries MACs below a checksum, which MAC NAT cannot rewrite as it rewrites ARP;
so in bridge mode, too, the node routes pods' IPv6, and answers for them (proxy NDP) with the NIC's
MAC whoever asks: a plain router does, Azure's fabric does not (ADR 9).
Source: Azure/azure-container-networking, network/transparent_endpointclient_linux.go v1.8.12 and
ipv6Mode of v1.1.8 (next hop, permanent neighbour, sysctls); linux/net/ipv6/ndisc.c (proxy NDP).
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv6Address

from podwire.model.pod_network import HOST, POD, PodNetwork, Uplink
from podwire.model.wiring import (
    Address,
    Element,
    KernelObject,
    Neighbour,
    NeighbourProxy,
    Route,
    Sysctl,
)

DEFAULT_ROUTE6 = "::/0"
NEXT_HOP6 = "fe80::1234:5678:9abc"
"""Azure's IPv6 gateway for every NIC, and the next hop of each pod."""
POD_IPS6 = "pod_ip6"
"""The set of the table azure-vnet with each pod's IPv6 address."""
_FORWARDING = Sysctl(HOST, "net/ipv6/conf/all/forwarding", "1")


def bridge_addresses(uplink: Uplink, bridge: str) -> Iterator[KernelObject]:
    """The NIC's addresses, on the bridge before they leave the NIC.

    The link-local one too: the kernel gives it some time after the bridge has a carrier, and looks
    for a duplicate; until then the node cannot ask for its gateway.
    """
    if uplink.addresses6:
        yield Address(HOST, bridge, link_local(uplink.mac))
    yield from (Address(HOST, bridge, one) for one in uplink.addresses6)


def link_local(mac: str) -> str:
    """As the kernel makes it (RFC 4291, appendix A): fe80::20d:3aff:fe8a:50da/64."""
    packed = bytes.fromhex(mac.replace(":", ""))
    host = bytes([packed[0] ^ 2]) + packed[1:3] + b"\xff\xfe" + packed[3:]
    address = IPv6Address(b"\xfe\x80" + bytes(6) + host)
    return f"{address}/64"


def bridge_routes(uplink: Uplink, bridge: str) -> Iterator[KernelObject]:
    """onlink: where the NIC has a /128, its gateway is on no connected subnet."""
    if uplink.gateway6:
        yield Route(HOST, DEFAULT_ROUTE6, bridge, via=uplink.gateway6, onlink=True)


def bridge_leaves_nic(uplink: Uplink) -> Iterator[KernelObject]:
    """What the NIC loses to the bridge."""
    yield from (Address(HOST, uplink.name, one, absent=True) for one in uplink.addresses6)
    if uplink.gateway6:
        yield Route(HOST, DEFAULT_ROUTE6, uplink.name, absent=True)


def bridge_forwards(uplink: Uplink, bridge: str) -> Iterator[KernelObject]:
    """Last of all: forwarding ends what the kernel learnt from router advertisements."""
    if uplink.dual_stack:
        yield _FORWARDING
        yield Sysctl(HOST, f"net/ipv6/conf/{bridge}/proxy_ndp", "1")


def bridge_pod_on_host(
    bridge: str, pod: PodNetwork, table: tuple[str, str]
) -> Iterator[KernelObject]:
    """table: family and name of the MAC NAT's. Azure's fabric needs no proxy; it does no harm."""
    if pod.cidr6:
        yield Element(HOST, *table, POD_IPS6, pod.ip6)
        yield Route(HOST, f"{pod.ip6}/128", bridge)
        yield Neighbour(HOST, bridge, pod.ip6, pod.mac)
        yield NeighbourProxy(HOST, bridge, pod.ip6)


def forwards(uplink: Uplink) -> Iterator[KernelObject]:
    """Transparent mode's node. A NIC whose routes come from advertisements must go on taking them:
    by accept_ra = 1 a router does not."""
    if uplink.dual_stack:
        if uplink.advertised:
            yield Sysctl(HOST, f"net/ipv6/conf/{uplink.name}/accept_ra", "2")
        yield _FORWARDING


def routed_pod_on_host(link: str, pod: PodNetwork) -> Iterator[KernelObject]:
    """Transparent mode's route and neighbour, as for IPv4."""
    if pod.cidr6:
        yield Route(HOST, f"{pod.ip6}/128", link)
        yield Neighbour(HOST, link, pod.ip6, pod.mac)


def switched_on(pod: PodNetwork) -> Iterator[KernelObject]:
    """Some runtimes switch a pod's IPv6 off. Beside the pod's other sysctl: requests between them
    would be sent in two parts."""
    if pod.cidr6:
        yield Sysctl(POD, "net/ipv6/conf/all/disable_ipv6", "0")


def inside(pod: PodNetwork, next_hop_mac: str) -> Iterator[KernelObject]:
    """The pod's own side, in both modes."""
    if pod.cidr6:
        yield Address(POD, pod.ifname, pod.cidr6, prefix_route=False)
        yield Neighbour(POD, pod.ifname, NEXT_HOP6, next_hop_mac)
        yield Route(POD, DEFAULT_ROUTE6, pod.ifname, via=NEXT_HOP6)


def rules(uplink: Uplink) -> dict[str, str]:
    """Bridge mode's part of the MAC NAT, by the place that it has there; texts for `str.format`."""
    texts = _RULES if uplink.dual_stack else dict.fromkeys(_RULES, "")
    return {name: text.format(nic=uplink.name, mac=uplink.mac) for name, text in texts.items()}


# Who asks from the fabric asks the node alone, also for pods; that it was asked alone spares the
# random delay of a proxy's answer. No IPv6 frame is bridged between pods and the NIC, so that a pod
# can neither ask nor answer there. A redirect would tell the neighbours a pod's MAC. A bridge that
# has forgotten where a pod is floods: what is for a pod never leaves through the NIC.
_RULES = {
    "sets6": """
set pod_ip6 {{
    type ipv6_addr
}}""",
    "prerouting6": """
    iifname "{nic}" icmpv6 type nd-neighbor-solicit ether daddr set {mac} meta pkttype set host""",
    "forward6": """
    meta protocol ip6 iifname "{nic}" drop
    meta protocol ip6 oifname "{nic}" drop
    icmpv6 type {{ nd-router-advert, nd-redirect }} drop""",
    "postrouting6": """
    icmpv6 type nd-redirect drop
    oifname "{nic}" ip6 daddr @pod_ip6 drop""",
}
