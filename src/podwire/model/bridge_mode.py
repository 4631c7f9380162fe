"""Azure CNI's bridge mode as wirings: the node's once, each pod's.

Pods sit on the bridge azure0 beside the node's NIC. Azure's fabric knows the NIC's MAC alone, so
the table `azure-vnet` hides the pods' MACs (MAC NAT): every frame that leaves through the NIC
carries its MAC, and what comes for a pod's address gets the pod's MAC back from the map `pod_mac`.
No rule depends on a pod: a pod is one element of that map, and its port one of the set `loop`,
since a hairpin port, which a pod needs to reach itself by its service, also hears its own
broadcasts; those are dropped.

After `node_wiring` the NIC has no address and no route; `route -n` shows azure0 alone. DHCP's
host routes to 168.63.129.16 and 169.254.169.254 go too, as they do on AKS: both are reached by the
default route. IPv6, where there is any, is `dual_stack`'s.
Source: Azure/azure-container-networking v1.1.8, network/bridge_*client_linux.go (behaviour);
differences: ARP replies go to the pod that asked instead of to all, the bridge's MAC is pinned,
MULTICAST stays on, the MTU is the NIC's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from podwire.model import dual_stack
from podwire.model.pod_network import HOST as HOST
from podwire.model.pod_network import POD as POD
from podwire.model.pod_network import PodNetwork as PodNetwork
from podwire.model.pod_network import Uplink as Uplink
from podwire.model.wiring import (
    Address,
    Bridge,
    BridgePort,
    Element,
    KernelObject,
    Neighbour,
    Route,
    Sysctl,
    Table,
    Veth,
    Wiring,
)

TABLE_FAMILY, TABLE_NAME, POD_MACS, PORT_LOOPS = "bridge", "azure-vnet", "pod_mac", "loop"
DEFAULT_ROUTE = "0.0.0.0/0"
PLATFORM_ROUTES = ("168.63.129.16/32", "169.254.169.254/32")


def host_veth_name(network_id: str, container_id: str, ifname: str) -> str:
    """14 characters, as azure-vnet names it: azvb1f7346f51b."""
    return "azv" + _sha1(network_id + container_id + ifname).hexdigest()[:11]


def peer_veth_name(network_id: str, container_id: str, ifname: str) -> str:
    """What azure-vnet calls the pod's end before it renames it; in messages and state only."""
    return host_veth_name(network_id, container_id, ifname) + "2"


def endpoint_id(container_id: str, ifname: str) -> str:
    """azure-vnet's short label, 116419ac-eth0. Not unique: never a key."""
    return f"{container_id[:8]}-{ifname}"


def pod_mac(network_id: str, container_id: str, ifname: str) -> str:
    """A locally administered unicast MAC that follows from the names: the same on every attempt."""
    digest = bytearray(_sha1("mac" + network_id + container_id + ifname).digest()[:6])
    digest[0] = digest[0] & 0xFC | 0x02
    return digest.hex(":")


def host_mac(mac: str) -> str:
    """Of a pod's link on the host: known from the pod's, so that nobody need ask for it."""
    return f"{int(mac[:2], 16) ^ 0x04:02x}{mac[2:]}"


def node_wiring(uplink: Uplink, bridge: str, host_routed: tuple[str, ...] = ()) -> Wiring:
    """Bridge, MAC NAT, and the NIC's addresses and default route moved to the bridge.

    host_routed: IPv4 addresses whose packets the node routes instead of bridging them
    (ipsToRouteViaHost). The order moves a live NIC with no gap: the bridge holds the addresses
    before the NIC is enslaved, and gets the default route before the NIC loses its addresses.
    """
    return Wiring.of(
        [
            Bridge(HOST, bridge, uplink.mac, uplink.mtu),
            no_router_advertisements(HOST, bridge),
            Table(HOST, TABLE_FAMILY, TABLE_NAME, _rules(uplink, host_routed)),
            *(Address(HOST, bridge, one) for one in uplink.addresses),
            *dual_stack.bridge_addresses(uplink, bridge),
            BridgePort(HOST, uplink.name, bridge, hairpin=True),
            Route(HOST, DEFAULT_ROUTE, bridge, via=uplink.gateway),
            *dual_stack.bridge_routes(uplink, bridge),
            *(Address(HOST, uplink.name, one, absent=True) for one in uplink.addresses),
            *(
                Route(HOST, one, uplink.name, absent=True)
                for one in (DEFAULT_ROUTE, *PLATFORM_ROUTES)
            ),
            *dual_stack.bridge_leaves_nic(uplink),
            *dual_stack.bridge_forwards(uplink, bridge),
        ]
    )


def pod_wiring(uplink: Uplink, bridge: str, pod: PodNetwork) -> Wiring:
    """What one pod adds to a node that has its `node_wiring`; first the host's side, as azure-vnet.

    azure-vnet.log tells these objects in this order.
    """
    return Wiring.of(_pod_objects(uplink, bridge, pod))


def _pod_objects(uplink: Uplink, bridge: str, pod: PodNetwork) -> Iterator[KernelObject]:
    port = pod.host_link or host_veth_name(pod.network_id, pod.container_id, pod.ifname)
    yield Veth(
        *(HOST, port, POD, pod.ifname),
        mac=host_mac(pod.mac) if pod.mac else None,
        peer_mac=pod.mac,
        mtu=uplink.mtu,
        index=veth_index(pod.cidr),
    )
    yield BridgePort(HOST, port, bridge, hairpin=True)  # a port hears no router advertisements
    yield Element(HOST, TABLE_FAMILY, TABLE_NAME, POD_MACS, pod.ip, pod.mac)
    yield Element(HOST, TABLE_FAMILY, TABLE_NAME, PORT_LOOPS, f"{port} . {port}")
    yield Neighbour(HOST, bridge, pod.ip, pod.mac)
    yield from dual_stack.bridge_pod_on_host(bridge, pod, (TABLE_FAMILY, TABLE_NAME))
    yield no_router_advertisements(POD, pod.ifname)
    yield from dual_stack.switched_on(pod)
    yield Address(POD, pod.ifname, pod.cidr)
    yield Route(POD, DEFAULT_ROUTE, pod.ifname, via=pod.gateway)
    yield from dual_stack.inside(pod, uplink.mac)


def veth_index(cidr: str) -> int:
    """Two interface indices of each address of the subnet's own: in the pod N, on the host N + 1.

    As Azure's plugin has it, which makes the pair in one namespace: `eth0@if15` of the pod's 14.
    """
    address, _, length = cidr.partition("/")
    number = int.from_bytes(bytes(int(one) for one in address.split(".")), "big")
    return 2 * (number & ((1 << (32 - int(length))) - 1))


def no_router_advertisements(place: str, link: str) -> Sysctl:
    return Sysctl(place, f"net/ipv6/conf/{link}/accept_ra", "0")


def _rules(uplink: Uplink, host_routed: tuple[str, ...]) -> str:
    own = ", ".join(one.partition("/")[0] for one in uplink.addresses)
    return _RULES.format(
        nic=uplink.name,
        mac=uplink.mac,
        own=own,
        host_routed_set=_HOST_ROUTED_SET.format(", ".join(host_routed)) if host_routed else "",
        host_routed_rule=(
            _HOST_ROUTED_RULE.format(nic=uplink.name, mac=uplink.mac) if host_routed else ""
        ),
        **dual_stack.rules(uplink),
    )


def _sha1(text: str) -> hashlib._Hash:
    return hashlib.sha1(text.encode(), usedforsecurity=False)


_HOST_ROUTED_SET = """
set host_routed {{
    type ipv4_addr
    elements = {{ {} }}
}}"""

# In place of ebtables' broute: to the bridge's own MAC, and told to be for this host, since the
# packet's type was decided before this hook.
_HOST_ROUTED_RULE = """
    iifname != "{nic}" ip daddr @host_routed ether daddr set {mac} meta pkttype set host"""

# A map lookup that finds nothing ends its rule, so "ether daddr set ... map @pod_mac drop" drops
# what is for a pod of this node, and nothing else. An ARP probe (sender 0.0.0.0) asks whether
# anybody has its own address: it must reach all the others. The packet's type is that of its
# arrival, so that `forward` also catches what `prerouting` addressed back to its sender.
_RULES = """\
map pod_mac {{
    type ipv4_addr : ether_addr
}}
set loop {{
    type ifname . ifname
}}
set node_ip {{
    type ipv4_addr
    elements = {{ {own} }}
}}{host_routed_set}{sets6}
chain prerouting {{
    type filter hook prerouting priority dstnat; policy accept;
    arp operation request arp daddr ip @node_ip ether daddr set {mac} meta pkttype set host
    arp operation request arp saddr ip != 0.0.0.0 ether daddr set arp daddr ip map @pod_mac
    iifname "{nic}" arp operation reply jump reply_for_pod{host_routed_rule}
    ether daddr set ip daddr map @pod_mac{prerouting6}
}}
chain reply_for_pod {{
    arp daddr ether set arp daddr ip map @pod_mac
    ether daddr set arp daddr ip map @pod_mac
}}
chain forward {{
    type filter hook forward priority filter; policy accept;
    meta pkttype {{ broadcast, multicast }} iifname . oifname @loop drop
    meta pkttype {{ broadcast, multicast }} iifname "{nic}" oifname "{nic}" drop{forward6}
}}
chain postrouting {{
    type filter hook postrouting priority srcnat; policy accept;{postrouting6}
    oifname "{nic}" jump to_fabric
}}
chain to_fabric {{
    arp operation request arp daddr ip @node_ip drop
    arp operation request ether daddr set arp daddr ip map @pod_mac drop
    ether daddr set ip daddr map @pod_mac drop
    arp saddr ether set {mac}
    ether saddr set {mac}
}}"""
