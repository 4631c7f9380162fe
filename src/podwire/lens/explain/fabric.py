"""A VNet's fabric as Azure's rules say it: source check, load balancer, routes, security groups.

Worked out from the VNet's values, not from the namespace that plays it. Sources: the model's
effective_routes, effective_security, load_balancer; docs/adr/0006, 0010, 0012.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING

from podwire.lens.explain import blame
from podwire.lens.explain.balancing import Balanced, balance, owner_of
from podwire.lens.explain.faults import culprit
from podwire.lens.explain.skb import BROADCAST, Skb
from podwire.lens.explain.trail import End
from podwire.lens.explain.values import Culprit, Entry, Verdict
from podwire.lens.explain.world import Stack
from podwire.lens.kube_values import KubeNode
from podwire.lens.snapshot import Plugged, VirtualNetwork
from podwire.model.effective_routes import EffectiveRoute, effective_routes, route_to
from podwire.model.effective_security import Packet, evaluate
from podwire.model.route_table import NextHop
from podwire.model.security import Direction, Protocol
from podwire.model.vnet import FABRIC_MAC, IMDS, WIRE_SERVER

if TYPE_CHECKING:
    from podwire.lens.explain.walk import Walk

_PROTOCOLS = {"tcp": Protocol.TCP, "udp": Protocol.UDP, "icmp": Protocol.ICMP}


class Fabric:
    """One packet's way through one VNet. stack: of its namespace."""

    def __init__(self, walk: Walk, stack: Stack) -> None:
        self._walk, self._stack = walk, stack
        self._world, self._trail = walk.world, walk.trail

    def receive(self, skb: Skb, port: str) -> End:
        """A frame on the port of a NIC."""
        vnet = self._world.vnet_of(self._stack.id)
        mine = next((one for one in vnet.nics if one.port == port), None) if vnet else None
        if vnet is None or mine is None:
            text = f"{self._stack.label}: whose port {port} is, is not in the snapshot"
            self._trail.hop("fabric", self._stack, text, skb)
            return self._trail.end("unknown", self._stack, skb)
        if skb.arp is not None:
            return self._arp(skb, mine, port)
        if skb.dmac not in (BROADCAST, FABRIC_MAC):
            text = f"the fabric is not {skb.dmac}: nobody takes the frame"
            entry = skb.dmac_by
            return self._drop("neighbour-wrong-mac", text, "fabric", skb, entry=entry, blamed=entry)
        spoofed = self._spoofed(skb, mine)
        return spoofed or self._route(skb, vnet, mine)

    def send(self, skb: Skb) -> End:
        """What the platform's own servers send."""
        vnet = self._world.vnet_of(self._stack.id)
        owner = owner_of(vnet, skb.dst) if vnet else None
        if vnet is None or owner is None:
            return self._unowned(skb)
        return self._hand_over(skb, vnet, owner, owner)

    def _arp(self, skb: Skb, mine: Plugged, port: str) -> End:
        """The fabric answers for every address but the asker's own."""
        arp, nic = skb.arp, mine.nic
        assert arp is not None
        if arp.operation == "reply":
            return self._trail.end("delivered", self._stack, skb)
        if arp.sender_mac != nic.mac or skb.smac != nic.mac or arp.sender_ip not in nic.addresses:
            return self._foreign(skb, mine, arp.sender_ip)
        link = self._stack.links[port]
        if arp.target_ip in nic.addresses:
            text = f"the fabric answers no ARP request for {arp.target_ip}, which is the NIC's own"
            known = self._world.meant(arp.target_ip)
            if not known:
                text = f"{arp.target_ip} is no pod's and no node's: {text}"
            return self._drop("neighbour-unresolved" if known else "pod-gone", text, "fabric", skb)
        return self._walk.arp_answer(skb, self._stack, link)

    def _spoofed(self, skb: Skb, mine: Plugged) -> End | None:
        nic = mine.nic
        if skb.smac == nic.mac and (skb.src in nic.addresses or nic.ip_forwarding):
            return None
        return self._foreign(skb, mine, skb.src)

    def _foreign(self, skb: Skb, mine: Plugged, source: str) -> End:
        nic = mine.nic
        thing = f"nic {nic.name}"
        if skb.smac != nic.mac or (skb.arp and skb.arp.sender_mac != nic.mac):
            return self._foreign_mac(skb, mine)
        if found := self._unmasked(skb, mine):
            return self._trail.end("dropped", self._stack, skb, found)
        entry = Entry("nic", f"NIC {nic.name} has {', '.join(nic.addresses[:6])}", thing)
        text = f"the fabric drops what has the source {source}: NIC {nic.name} has not this address"
        fault = "spoofed-source"
        return self._drop(fault, text, "fabric anti-spoofing", skb, thing=thing, entry=entry)

    def _unmasked(self, skb: Skb, mine: Plugged) -> Culprit | None:
        """When the node sent somebody else's packet on, to a service's backend."""
        node = self._world.snapshot.node(mine.node)
        stack = self._world.stack(node.space) if node else None
        flows = self._trail.flows.get(stack.id, ()) if stack else ()
        if stack is None or not any(
            one.translated_destination and one.final[0] == skb.src for one in flows
        ):
            return None
        text = (
            f"{stack.label} sends a service's packet on to {skb.dst} with its source {skb.src}"
            f", which NIC {mine.nic.name} has not: the fabric drops it"
        )
        return culprit(
            *(self._world, "masquerade-missing", text, "iptables nat", stack),
            show="iptables -t nat -S KUBE-POSTROUTING",
        )

    def _foreign_mac(self, skb: Skb, mine: Plugged) -> End:
        node = self._world.snapshot.node(mine.node)
        stack = self._world.stack(node.space) if node else None
        place = "fabric anti-spoofing"
        if stack is not None:
            rules = self._walk.hooks.ruleset(stack)
            if found := blame.missing_table(self._world, stack, rules, "bridge table"):
                return self._trail.end("dropped", self._stack, skb, found)
        text = (
            f"the fabric drops a frame with the MAC {skb.smac}: NIC {mine.nic.name} has "
            f"{mine.nic.mac}"
        )
        link = self._stack.links.get(mine.port)
        thing = f"link {link.peer[0]} {link.peer[1]}" if link and link.peer else ""
        entry = Entry("nic", f"NIC {mine.nic.name} has {mine.nic.mac}", f"nic {mine.nic.name}")
        return self._drop("nic-mac-changed", text, place, skb, thing=thing, entry=entry)

    # routing

    def _route(self, skb: Skb, vnet: VirtualNetwork, mine: Plugged) -> End:
        if skb.dst in (WIRE_SERVER, IMDS):
            self._trail.hop("fabric", self._stack, f"the platform has {skb.dst}", skb)
            return self._walk.platform(skb, self._stack)
        if balanced := balance(vnet, skb):
            return self._balance(skb, vnet, mine, balanced)
        taken = route_to(skb.dst, effective_routes(mine.nic, vnet.vnet))
        entry = _route_entry(taken, vnet, mine)
        text = f"{skb.dst} by {entry.text}"
        self._trail.hop("fabric route", self._stack, text, skb, entry)
        return self._follow(skb, vnet, mine, taken, entry)

    def _follow(
        self, skb: Skb, vnet: VirtualNetwork, mine: Plugged, taken: EffectiveRoute, entry: Entry
    ) -> End:
        hop = taken.next_hop_type
        if hop == NextHop.VIRTUAL_APPLIANCE:
            return self._appliance(skb, vnet, mine, taken, entry)
        if hop in (NextHop.NONE, NextHop.GATEWAY):
            if self._world.service_at(skb.dst) is not None:
                return self._unserved(skb, f"the route {entry.text} leads nowhere")
            if not taken.name:
                return self._unowned(skb)
            text = f"the route {entry.text} leads nowhere"
            return self._drop(
                *("udr-nowhere", text, "fabric route", skb),
                verdict=self._nowhere(skb),
                entry=entry,
                blamed=entry,
            )
        if hop == NextHop.PEERING:
            return self._peer(skb, mine, taken, vnet)
        owner = owner_of(vnet, skb.dst)
        if owner is not None:
            return self._hand_over(skb, vnet, mine, owner)
        if hop == NextHop.VNET_LOCAL:
            return self._unowned(skb)
        return self._outside(skb, vnet, mine)

    def _unowned(self, skb: Skb) -> End:
        service = self._world.service_at(skb.dst)
        pod = self._world.pod_addresses.get(skb.dst)
        node = self._world.pod_range(skb.dst)
        if node is not None:
            return self._unrouted(skb, node)
        text = f"no NIC of the VNet has {skb.dst}"
        if pod is not None:
            text += f", the address of pod {pod.key}"
        if service is not None:
            return self._unserved(skb, text)
        return self._drop("unowned-address", text, "fabric route", skb, verdict=self._nowhere(skb))

    def _unrouted(self, skb: Skb, node: KubeNode) -> End:
        """Of kubenet: only the route table knows where a node's pods are."""
        return self._drop(
            "udr-missing",
            f"no route of the subnet's table leads to {node.pod_cidr}, the pods of {node.name}",
            *("fabric route", skb),
            verdict=self._nowhere(skb),
            thing=f"node {node.name}",
        )

    def _unserved(self, skb: Skb, text: str) -> End:
        """A service's address came out of a node: its rules have not translated it."""
        service = self._world.service_at(skb.dst)
        assert service is not None
        unserved = self._walk.unserved(service, skb, text)
        return self._trail.end(self._nowhere(skb), self._stack, skb, unserved)

    def _nowhere(self, skb: Skb) -> Verdict:
        """Dropped, as in Azure; what would leave the VNet is told (ADR 6)."""
        vnet = self._world.vnet_of(self._stack.id)
        own = vnet.vnet.prefixes if vnet else ()
        inside = any(IPv4Address(skb.dst) in IPv4Network(one) for one in own)
        return "dropped" if inside else "refused"

    def _outside(self, skb: Skb, vnet: VirtualNetwork, mine: Plugged) -> End:
        if self._world.service_at(skb.dst) is not None:
            return self._unserved(skb, f"{skb.dst} leaves the VNet")
        if skb.src not in mine.nic.addresses:
            text = f"{skb.src} leaves the VNet unmasqueraded: nothing leads an answer back to it"
            return self._drop("masquerade-missing", text, "iptables nat", skb)
        if not vnet.outbound:
            text = f"VNet {vnet.vnet.name} has no way out to {skb.dst} (`podwire up --outbound`)"
            return self._drop("no-outbound", text, "fabric route", skb, verdict="refused")
        if skb.src != mine.nic.primary:
            hidden = (
                f"{skb.src} leaves the VNet unmasqueraded: Azure lets out primary addresses alone"
            )
            self._trail.suspects.append(
                culprit(self._world, "masquerade-missing", hidden, "iptables nat", self._stack)
            )
        text = f"{skb.dst} is outside of the VNet: it leaves by source NAT of the machine"
        self._trail.hop("fabric outbound", self._stack, text, skb)
        return self._trail.end("delivered", self._stack, skb)

    def _appliance(
        self, skb: Skb, vnet: VirtualNetwork, mine: Plugged, taken: EffectiveRoute, entry: Entry
    ) -> End:
        owner = owner_of(vnet, taken.next_hop_ip)
        if owner is None:
            text = f"the route {entry.text} leads to {taken.next_hop_ip}, which no NIC has"
            return self._drop(
                *("udr-nowhere", text, "fabric route", skb),
                verdict=self._nowhere(skb),
                entry=entry,
                blamed=entry,
            )
        if not owner.nic.ip_forwarding and skb.dst not in owner.nic.addresses:
            text = f"the route {entry.text} leads to NIC {owner.nic.name}, which does not forward"
            return self._drop(
                *("udr-no-forwarding", text, "fabric route", skb),
                thing=f"nic {owner.nic.name}",
                entry=entry,
                blamed=entry,
            )
        return self._hand_over(skb, vnet, mine, owner)

    def _peer(self, skb: Skb, mine: Plugged, taken: EffectiveRoute, vnet: VirtualNetwork) -> End:
        for peering in vnet.vnet.peerings:
            inside = any(
                IPv4Address(skb.dst) in IPv4Network(one) for one in peering.remote_prefixes
            )
            far = next(
                (
                    one
                    for one in self._world.snapshot.vnets
                    if one.vnet.key == peering.remote.lower()
                ),
                None,
            )
            if not (inside and far):
                continue
            back = next(
                (one for one in far.vnet.peerings if one.remote.lower() == vnet.vnet.key), None
            )
            if back is None or not back.open:
                text = f"VNet {far.vnet.name} does not let peering {peering.name} in"
                return self._drop("peering-closed", text, "fabric peering", skb)
            text = f"by peering {peering.name} into VNet {far.vnet.name}"
            self._trail.hop("fabric peering", self._stack, text, skb)
            owner = owner_of(far, skb.dst)
            if owner is None:
                return self._unowned(skb)
            return self._hand_over(skb, vnet, mine, owner, far)
        text = f"no peering leads to {skb.dst} ({taken.prefix})"
        return self._drop("peering-closed", text, "fabric peering", skb)

    def _balance(self, skb: Skb, vnet: VirtualNetwork, mine: Plugged, one: Balanced) -> End:
        place = "fabric load balancer"
        if one.rule is None:
            return self._drop(one.fault, one.text, place, skb)
        owner = one.owners[0]
        if not one.rule.floating:
            skb.dst, skb.dport = owner.nic.primary, one.rule.backend_port
        self._trail.hop(place, self._stack, one.text, skb, Entry("balancer", one.text))
        return self._hand_over(skb, vnet, mine, owner)

    # security groups, and the other side

    def _hand_over(
        self,
        skb: Skb,
        vnet: VirtualNetwork,
        mine: Plugged,
        owner: Plugged,
        far: VirtualNetwork | None = None,
    ) -> End:
        """far: the VNet where `owner` is, when it is another."""
        there = far or vnet
        sides = (
            (Direction.OUTBOUND, mine, vnet),
            (Direction.INBOUND, owner, there),
        )
        for direction, plugged, network in sides:
            if not skb.reply and (denied := self._judged(skb, direction, plugged, network)):
                return denied
        stack = self._world.stack(there.space)
        port = stack.links.get(owner.port) if stack else None
        if stack is None or port is None:
            text = f"NIC {owner.nic.name} is not plugged in"
            thing = f"nic {owner.nic.name}"
            return self._drop("nic-unplugged", text, "fabric", skb, thing=thing)
        skb.smac, skb.dmac = port.mac, owner.nic.mac
        skb.dmac_by = None
        text = f"to NIC {owner.nic.name} of {owner.node or 'another machine'}"
        links = ("", port.name)
        entry = Entry("nic", f"NIC {owner.nic.name}", f"nic {owner.nic.name}")
        self._trail.hop("fabric port", stack, text, skb, entry, links=links)
        return self._walk.transmit(skb, stack, port)

    def _judged(
        self, skb: Skb, direction: Direction, plugged: Plugged, vnet: VirtualNetwork
    ) -> End | None:
        protocol = _PROTOCOLS.get(skb.protocol)
        packet = Packet(protocol, skb.src, skb.dst, skb.sport, skb.dport)
        if vnet.vnet.subnet_of(plugged.nic) is None:
            return None
        decision = evaluate(packet, direction, plugged.nic, vnet.vnet)
        if not decision.deciders:
            return None
        group, rule = decision.deciders[-1]
        where = f"{direction.value.lower()} of NIC {plugged.nic.name}"
        show = (
            f"az network nsg rule show -g {vnet.vnet.resource_group} --nsg-name {group} -n {rule}"
        )
        entry = Entry("nsg", f"{group}/{rule} {direction.value}", f"nic {plugged.nic.name}", show)
        if decision.allowed:
            text = f"{group}/{rule} allows it {where}"
            self._trail.hop("fabric nsg", self._stack, text, skb, entry)
            return None
        text = f"rule {rule} of network security group {group} denies it {where}"
        thing = f"nic {plugged.nic.name}"
        return self._drop("nsg-deny", text, "fabric nsg", skb, thing=thing, entry=entry, show=show)

    def _drop(
        self,
        fault: str,
        text: str,
        place: str,
        skb: Skb,
        *,
        verdict: Verdict = "dropped",
        thing: str = "",
        entry: Entry | None = None,
        blamed: Entry | None = None,
        show: str = "",
    ) -> End:
        thing = thing or (blamed.object if blamed else "")
        found = culprit(self._world, fault, text, place, self._stack, thing=thing, entry=entry)
        show = show or (entry.show if entry else "")
        named = Culprit(
            *(found.fault, found.text, found.place, found.space, found.object, entry),
            show=show,
        )
        return self._trail.end(verdict, self._stack, skb, named)


def _route_entry(taken: EffectiveRoute, vnet: VirtualNetwork, mine: Plugged) -> Entry:
    words = [taken.prefix, taken.next_hop_type.value, taken.next_hop_ip]
    text = " ".join(one for one in words if one)
    if taken.name:
        text += f" (route {taken.name})"
    thing = f"subnet {vnet.vnet.key} {mine.nic.subnet.name}"
    group = vnet.vnet.resource_group
    show = f"az network nic show-effective-route-table -g {group} -n {mine.nic.name}"
    return Entry("udr" if taken.name else "route", text, thing, show)
