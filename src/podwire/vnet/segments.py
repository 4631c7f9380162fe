"""The VNet's own wiring as values: what the fabric holds, once and for each NIC. No I/O.

The fabric is one network namespace that routes. Three facts make it behave as Azure's does:
- its default route leads into `lo`, so that every address is "reachable elsewhere" and the kernel's
  ARP proxy answers any request of a NIC with the fabric's MAC, except for the NIC's own addresses;
  a packet that takes this route is owned by nobody and ends in the forward hook, before the
  kernel would make a neighbour entry for it;
- each address of a NIC is a route to its link and a permanent neighbour with its MAC: the fabric
  never asks who has an address, and has nothing to learn from those who ask;
- two nft sets hold (link, MAC, address) of every NIC: what is not in them does not come in.

What the VNet's route tables, security groups and peerings add is in `classes` and `steering`: they
mark packets, and what a mark means stands here. Sources: facts of Azure's fabric (ARP, source
checks); net/ipv4/arp.c (arp_process, arp_fwd_proxy).
"""

from __future__ import annotations

from podwire.model.vnet import FABRIC_MAC, IMDS, PLATFORM_RANGE, WIRE_SERVER, Nic
from podwire.model.wiring import (
    Address,
    Element,
    KernelObject,
    Neighbour,
    Route,
    Sysctl,
    Table,
    Veth,
    Wiring,
)

FABRIC = "fabric"
NODE = "node"
FAR = "far"
"""Another fabric."""
TABLE = "vnet"
OWNED = "owned"
FORWARDERS = "forwarders"
"""(link, MAC) of the NICs that may send with any source address but the platform's."""
TRUSTED = "trusted"
"""Links that lead to no NIC: to another fabric, or out."""
FAMILIES = ("ip", "arp")

DENIED, NOBODYS, FOREIGN = 1, 2, 3
"""Marks of packets that are to be dropped: a security group says so; to an address of the VNet that
no NIC has; of a peered VNet that may not send this."""
FIRST_TABLE = 1000
"""Marks from here on choose the routing table of the same number: one for each route table."""
FIRST_ENTRY = 5000
"""So do these: one for each NIC that forwards, for what comes from peers by way of it."""

_SYSCTLS = (
    ("net/ipv4/ip_forward", "1"),
    ("net/ipv4/icmp_echo_ignore_broadcasts", "1"),
    # Every refused packet is told, not one a second.
    ("net/ipv4/icmp_ratelimit", "0"),
    # A NIC that reaches its own or a neighbour's address through the fabric is not told better.
    *((f"net/ipv4/conf/{scope}/send_redirects", "0") for scope in ("all", "default")),
    *((f"net/ipv4/conf/{scope}/accept_redirects", "0") for scope in ("all", "default")),
    *((f"net/ipv4/conf/{scope}/rp_filter", "0") for scope in ("all", "default")),
    ("net/ipv4/conf/all/proxy_arp", "1"),
    *((f"net/ipv6/conf/{scope}/disable_ipv6", "1") for scope in ("all", "default")),
)

_IP_RULES = f"""
counter spoofed {{ }}
counter unowned {{ }}
counter denied {{ }}
set {OWNED} {{
    type ifname . ether_addr . ipv4_addr
}}
set {FORWARDERS} {{
    type ifname . ether_addr
}}
set {TRUSTED} {{
    type ifname
}}
chain guard {{
    type filter hook prerouting priority raw; policy drop;
    iifname . ether saddr . ip saddr @{OWNED} accept
    iifname lo accept
    iifname . ether saddr @{FORWARDERS} ip saddr != {PLATFORM_RANGE} accept
    iifname @{TRUSTED} accept
    counter name spoofed
}}
chain strangers {{
    type filter hook prerouting priority mangle + 1; policy accept;
    meta mark {FOREIGN} counter name spoofed drop
}}
chain forward {{
    type filter hook forward priority filter + 10; policy accept;
    meta mark {DENIED} counter name denied drop
    oifname lo counter name unowned jump unowned
}}
chain unowned {{
    meta mark {NOBODYS} drop
    reject with icmp type admin-prohibited
}}
chain own {{
    type filter hook output priority filter + 10; policy accept;
    meta mark {DENIED} counter name denied drop
}}
"""

_ARP_RULES = f"""
counter spoofed {{ }}
set {OWNED} {{
    type ifname . ether_addr . ipv4_addr
}}
set {TRUSTED} {{
    type ifname
}}
chain guard {{
    type filter hook input priority filter; policy drop;
    iifname . ether saddr . arp saddr ip @{OWNED} jump sender
    iifname @{TRUSTED} accept
    counter name spoofed
}}
chain sender {{
    iifname . arp saddr ether . arp saddr ip @{OWNED} accept
}}
"""


def fabric_wiring() -> Wiring:
    """What the fabric holds before any NIC is there; `lo` is up already.

    What nobody owns in the VNet is dropped, as in Azure; what leads out of the VNet is refused, so
    that whoever tries learns it at once instead of after minutes.
    """
    return Wiring(
        (
            Table(FABRIC, "ip", TABLE, _IP_RULES),
            Table(FABRIC, "arp", TABLE, _ARP_RULES),
            *(Sysctl(FABRIC, name, value) for name, value in _SYSCTLS),
            Address(FABRIC, "lo", f"{WIRE_SERVER}/32"),
            Address(FABRIC, "lo", f"{IMDS}/32"),
            Route(FABRIC, "0.0.0.0/0", "lo"),
        )
    )


def port_wiring(nic: Nic, port: str, *, ifname: str = "eth0", mtu: int = 1500) -> Wiring:
    """The NIC's veth pair and everything about it in the fabric, where its end is called `port`.

    The guard's elements come first: the node's first frame is not lost.
    """
    return Wiring(
        (
            *_owned(nic, port),
            Veth(
                place=FABRIC,
                name=port,
                peer_place=NODE,
                peer_name=ifname,
                mac=FABRIC_MAC,
                peer_mac=nic.mac,
                mtu=mtu,
            ),
            Sysctl(FABRIC, f"net/ipv4/neigh/{port}/proxy_delay", "0"),
            *(Neighbour(FABRIC, port, address, nic.mac) for address in nic.addresses),
            *(Route(FABRIC, f"{address}/32", port) for address in nic.addresses),
        )
    )


def _owned(nic: Nic, port: str) -> list[KernelObject]:
    own: list[KernelObject] = [
        Element(FABRIC, family, TABLE, OWNED, f"{port} . {nic.mac} . {address}")
        for family in FAMILIES
        for address in nic.addresses
    ]
    if nic.ip_forwarding:
        own.append(Element(FABRIC, "ip", TABLE, FORWARDERS, f"{port} . {nic.mac}"))
    return own


def node_wiring(nic: Nic, *, ifname: str = "eth0") -> Wiring:
    """What the node gets from Azure's DHCP: its primary address and three routes."""
    gateway = nic.subnet.gateway
    return Wiring(
        (
            Address(NODE, ifname, f"{nic.primary}/{nic.subnet.network.prefixlen}"),
            Route(NODE, "0.0.0.0/0", ifname, via=gateway),
            Route(NODE, f"{WIRE_SERVER}/32", ifname, via=gateway),
            Route(NODE, f"{IMDS}/32", ifname, via=gateway),
        )
    )
