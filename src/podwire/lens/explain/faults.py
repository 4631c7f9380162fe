"""Every kind of fault that explain can name, and how a culprit is put into words.

Must not know how a fault is found.
"""

from __future__ import annotations

from collections.abc import Mapping

from podwire.lens.explain.values import Culprit, Entry
from podwire.lens.explain.world import Stack, World

FAULTS: Mapping[str, str] = {
    "pod-address-missing": "a pod has not the address that it should have",
    "pod-route-missing": "there is no route to, or in, a pod",
    "no-route": "a stack has no route to the destination",
    "blackhole-route": "a route or rule throws packets away",
    "wrong-gateway": "a route's next hop is nobody, or nobody who forwards",
    "neighbour-unresolved": "nobody answers ARP for a next hop",
    "neighbour-missing": "a permanent neighbour entry that is needed is not there",
    "neighbour-wrong-mac": "a neighbour entry has another MAC than the owner of the address",
    "pod-mac-element-missing": "the bridge table's map pod_mac has nothing for a pod",
    "pod-mac-element-wrong": "the bridge table's map pod_mac has a wrong MAC for a pod",
    "nft-table-missing": "the bridge table azure-vnet is not there, or has no rules",
    "fdb-wrong": "a bridge's forwarding entry leads to the wrong port",
    "link-missing": "a link is not there",
    "link-down": "a link is down",
    "no-carrier": "the other end of a link is down or gone",
    "port-disabled": "a bridge's port does not forward",
    "veth-not-enslaved": "a pod's link is no port of the bridge",
    "hairpin-off": "a port may not send a frame back to where it came from",
    "mac-changed": "a pod's link has another MAC than everybody thinks",
    "nic-mac-changed": "a node sends with another MAC than its NIC's",
    "mac-mismatch": "a frame comes to a link that has another MAC",
    "rp-filter": "the reverse path filter refuses a packet's source",
    "martian-source": "a packet comes with a source address that is the receiver's own",
    "ip-forward-off": "a stack does not forward",
    "iptables-policy-drop": "the policy of a chain drops",
    "iptables-rule-drop": "a rule of iptables drops",
    "nft-drop": "a rule or policy of nftables drops",
    "mtu": "a packet is larger than a link's MTU",
    "conntrack-full": "the connection tracking table is full",
    "routing-loop": "a packet comes back to where it has been",
    "masquerade-missing": "a source address should have been masqueraded and was not",
    "masquerade-unwanted": "a pod's packets inside the VNet are masqueraded",
    "reply-unmatched": "the answer does not come from where the question went",
    "bridge-nf-off": "bridged packets do not pass iptables, so that services do not work",
    "service-not-programmed": "a node has no rules for a service",
    "service-no-port": "a service has no such port",
    "service-no-endpoints": "a service has no endpoint that is ready",
    "endpoint-stale": "a service's rules lead to an endpoint that is gone",
    "no-listener": "nothing listens at the destination",
    "duplicate-address": "two have the same address",
    "pod-gone": "the address is nobody's",
    "nsg-deny": "a network security group denies",
    "udr-missing": "no route of the subnet's route table leads to a node's pods",
    "udr-nowhere": "a route of the subnet's route table leads nowhere",
    "udr-no-forwarding": "a route leads to a NIC that does not forward",
    "spoofed-source": "the fabric drops a source address that is not the NIC's",
    "unowned-address": "no NIC of the VNet has the address",
    "no-outbound": "the VNet has no way out",
    "peering-closed": "the peering does not let packets through",
    "nic-unplugged": "a NIC is not plugged in",
    "balancer-no-rule": "a load balancer has no rule for the port",
    "balancer-no-backend": "no backend of a load balancer is healthy",
    "balancer-source": "a load balancer's rule is not for this client",
    "dns-resolv-conf": "resolv.conf names no server, or not the cluster's",
    "dns-no-such-name": "the cluster has no service of that name",
}


def culprit(
    world: World,
    fault: str,
    text: str,
    place: str,
    stack: Stack,
    *,
    thing: str = "",
    entry: Entry | None = None,
    show: str = "",
    mend: str = "",
) -> Culprit:
    """thing: a `data-object`, the stack's space if "". show, mend: commands as typed in the stack's
    namespace. Raises KeyError for a fault that FAULTS does not list."""
    FAULTS[fault]
    return Culprit(
        fault,
        text,
        place,
        stack.id,
        thing or f"space {stack.id}",
        entry,
        world.command(stack, show) if show else "",
        world.command(stack, mend) if mend else "",
    )
