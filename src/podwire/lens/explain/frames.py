"""Frames: out of a link, over a veth or a bridge, into another namespace; who has a next hop's MAC.

Must not know IP routing: what a stack does with a packet is `walk`'s. Sources: net/bridge
(br_input.c, br_forward.c), br_netfilter_hooks.c, drivers/net/veth.c, net/core/dev.c
(is_skb_forwardable), net/ipv4/arp.c.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from podwire.lens.explain import blame
from podwire.lens.explain.bridge import FORWARDING, way_of
from podwire.lens.explain.faults import culprit
from podwire.lens.explain.hooks import Hooks
from podwire.lens.explain.nftables import Ruleset
from podwire.lens.explain.routing import asking_address, forwarding, lookup
from podwire.lens.explain.skb import BROADCAST, Arp, Skb
from podwire.lens.explain.trail import End, Trail
from podwire.lens.explain.values import Culprit, Entry
from podwire.lens.explain.world import Stack, World
from podwire.lens.snapshot import Link

_USABLE = ("PERMANENT", "REACHABLE", "STALE", "DELAY", "PROBE", "NOARP")
"""States in which an entry's MAC is used (NUD_VALID)."""


class Frames(ABC):
    """What walks frames. `trail` is what is left behind."""

    def __init__(self, trail: Trail) -> None:
        self.trail = trail
        self.world: World = trail.world
        self.hooks = Hooks(trail)

    @abstractmethod
    def ip_receive(self, skb: Skb, stack: Stack, link: str) -> End:
        """The stack has an IP packet that came by `link`."""

    @abstractmethod
    def fabric_receive(self, skb: Skb, stack: Stack, link: str) -> End:
        """A VNet's fabric has a frame on its port `link`."""

    @abstractmethod
    def leaves(self, skb: Skb, stack: Stack, link: Link) -> End:
        """The frame leaves by a link whose other end the snapshot has not."""

    def transmit(self, skb: Skb, stack: Stack, link: Link) -> End:
        """The frame goes out by this link."""
        if not link.up:
            return self.trail.end("dropped", stack, skb, blame.link_down(self.world, stack, link))
        if too_big := self._too_big(skb, stack, link):
            return too_big
        self.trail.mtus[(stack.id, link.name)] = link.mtu
        if link.kind == "bridge":
            return self._bridge_sends(skb, stack, link)
        if ended := self.hooks.netdev(stack, "egress", link.name, skb):
            return ended
        if link.peer is None:
            return self.leaves(skb, stack, link)
        far = self.world.stack(link.peer[0])
        other = far.links.get(link.peer[1]) if far else None
        if far is None or other is None:
            return self.leaves(skb, stack, link)
        return self.receive(skb, far, other)

    def receive(self, skb: Skb, stack: Stack, link: Link) -> End:
        """The frame comes in by this link, the far end of a veth."""
        if not link.up:
            return self.trail.end("dropped", stack, skb, blame.link_down(self.world, stack, link))
        if too_big := self._too_big(skb, stack, link):
            return too_big
        self.trail.mtus[(stack.id, link.name)] = link.mtu
        skb.enter()
        if stack.space.kind == "fabric":
            return self.fabric_receive(skb, stack, link.name)
        if ended := self.hooks.netdev(stack, "ingress", link.name, skb):
            return ended
        if link.master and link.master in stack.links:
            return self._bridge_receives(skb, stack, link)
        if skb.dmac not in (BROADCAST, link.mac):
            rules = self._node_rules(stack)
            return self.trail.end(
                "dropped", stack, skb, blame.wrong_mac(self.trail, stack, link, skb, rules)
            )
        return self._up(skb, stack, link.name)

    def _up(self, skb: Skb, stack: Stack, link: str) -> End:
        skb.iif = link
        return self._arp_receive(skb, stack, link) if skb.arp else self.ip_receive(skb, stack, link)

    def _node_rules(self, stack: Stack) -> Ruleset | None:
        node = self.world.stack(stack.node.space) if stack.node else None
        return self.hooks.ruleset(node) if node else None

    def _too_big(self, skb: Skb, stack: Stack, link: Link) -> End | None:
        if skb.size <= link.mtu or skb.arp is not None:
            return None
        text = f"{skb.size} bytes do not fit {link.name} of {stack.label}, whose MTU is {link.mtu}"
        entry = Entry("link", f"{link.name} mtu {link.mtu}", stack.link_object(link.name))
        found = culprit(
            *(self.world, "mtu", text, "link", stack),
            thing=stack.link_object(link.name),
            entry=entry,
            show=f"ip link show {link.name}",
            mend=f"ip link set {link.name} mtu {max(self.trail.mtus.values(), default=1500)}",
        )
        return self.trail.end("dropped", stack, skb, found)

    # the bridge

    def _bridge_receives(self, skb: Skb, stack: Stack, port: Link) -> End:
        bridge = stack.links[port.master]
        if not bridge.up:
            return self.trail.end("dropped", stack, skb, blame.link_down(self.world, stack, bridge))
        if blocked := self._blocked(skb, stack, port):
            return blocked
        skb.iif, skb.physin = bridge.name, port.name
        if ended := self.hooks.bridge(stack, "prerouting", skb):
            return ended
        filtered = skb.arp is None and self._calls_iptables(stack)
        if filtered and (ended := self._netfilter_in(skb, stack, bridge)):
            return ended
        return self._bridge_decides(skb, stack, bridge, port.name)

    def _calls_iptables(self, stack: Stack) -> bool:
        return stack.sysctl("net.bridge.bridge-nf-call-iptables", "0") == "1"

    def _netfilter_in(self, skb: Skb, stack: Stack, bridge: Link) -> End | None:
        """iptables sees a bridged packet; one with another destination now is routed.

        Where the stack does not forward, it gets the packet all the same, and drops it: the input
        route is an error and no failure. Sources: br_nf_pre_routing_finish, ip_route_input_slow.
        """
        before = skb.dst
        if ended := self.hooks.inet(stack, "prerouting", skb):
            return ended
        skb.seen = True
        if skb.dst == before:
            return None
        found = lookup(stack, skb)
        forwards = forwarding(stack, bridge.name)
        if found.kind != "unicast" or found.link != bridge.name or not forwards:
            skb.dmac, skb.pkttype = bridge.mac, "host"
            return None
        mac, ended = self.resolve(stack, bridge.name, found.next_hop(skb.dst), skb)
        skb.dmac = mac
        return ended

    def _bridge_decides(self, skb: Skb, stack: Stack, bridge: Link, arrived: str) -> End:
        way = way_of(self.world, stack, bridge.name, skb, arrived)
        if way.up:
            return self._bridge_up(skb, stack, bridge)
        if len(way.ports) > 1 and skb.arp is not None:
            return self._duplicate(skb, stack, bridge)
        if not way.ports:
            return self._nowhere(skb, stack, bridge)
        return self._bridge_forwards(skb, stack, way.ports[0], way.entry)

    def _bridge_up(self, skb: Skb, stack: Stack, bridge: Link) -> End:
        if ended := self.hooks.bridge(stack, "input", skb):
            return ended
        if not skb.arp:
            text = f"{bridge.name} hands it to the node: the frame is for {skb.dmac}"
            self.trail.hop("bridge", stack, text, skb, links=(skb.physin, bridge.name))
        skb.physin = ""
        return self._up(skb, stack, bridge.name)

    def _bridge_forwards(self, skb: Skb, stack: Stack, port: Link, entry: Entry | None) -> End:
        arrived, bridge = skb.physin, stack.links[port.master]
        if blocked := self._blocked(skb, stack, port):
            return blocked
        if port.name == arrived and not port.hairpin:
            return self._no_hairpin(skb, stack, port)
        skb.physout, skb.oif, skb.fdb_by = port.name, bridge.name, entry
        if ended := self.hooks.bridge(stack, "forward", skb):
            return ended
        filtered = skb.arp is None and self._calls_iptables(stack)
        if filtered and (ended := self.hooks.inet(stack, "forward", skb)):
            return ended
        if ended := self.hooks.bridge(stack, "postrouting", skb):
            return ended
        if filtered and (ended := self.hooks.inet(stack, "postrouting", skb)):
            return ended
        if not skb.arp:
            how = "it was learned there" if entry else "flooded"
            text = f"{bridge.name} forwards to {port.name} ({skb.dmac}, {how})"
            self.trail.hop("bridge port", stack, text, skb, entry, links=(arrived, port.name))
        return self.transmit(skb, stack, port)

    def _bridge_sends(self, skb: Skb, stack: Stack, bridge: Link) -> End:
        """The node itself sends by its bridge."""
        skb.physin = ""
        way = way_of(self.world, stack, bridge.name, skb, "")
        if len(way.ports) > 1 and skb.arp is not None:
            return self._duplicate(skb, stack, bridge)
        if not way.ports:
            return self._nowhere(skb, stack, bridge)
        port = way.ports[0]
        if blocked := self._blocked(skb, stack, port):
            return blocked
        skb.physout, skb.fdb_by = port.name, way.entry
        for hook in ("output", "postrouting"):
            if ended := self.hooks.bridge(stack, hook, skb):
                return ended
        if not skb.arp:
            text = f"{bridge.name} sends by {port.name} ({skb.dmac})"
            self.trail.hop("bridge port", stack, text, skb, way.entry, links=("", port.name))
        return self.transmit(skb, stack, port)

    def _blocked(self, skb: Skb, stack: Stack, port: Link) -> End | None:
        if not port.up:
            return self.trail.end("dropped", stack, skb, blame.link_down(self.world, stack, port))
        if port.port_state in FORWARDING:
            return None
        if port.peer and (far := self.world.stack(port.peer[0])):
            other = far.links.get(port.peer[1])
            if other is not None and not other.up:
                down = blame.link_down(self.world, far, other)
                return self.trail.end("dropped", far, skb, down)
        text = f"port {port.name} of {port.master} on {stack.label} is {port.port_state}"
        entry = Entry("port", f"{port.name} state {port.port_state}", stack.link_object(port.name))
        found = culprit(
            *(self.world, "port-disabled", text, "bridge port", stack),
            thing=stack.link_object(port.name),
            entry=entry,
            show=f"bridge link show dev {port.name}",
            mend=f"bridge link set dev {port.name} state 3",
        )
        return self.trail.end("dropped", stack, skb, found)

    def _no_hairpin(self, skb: Skb, stack: Stack, port: Link) -> End:
        text = (
            f"port {port.name} of {port.master} may not send back what came in by it: hairpin off"
        )
        found = culprit(
            *(self.world, "hairpin-off", text, "bridge port", stack),
            thing=stack.link_object(port.name),
            entry=Entry("port", f"{port.name} hairpin off", stack.link_object(port.name)),
            show=f"bridge -d link show dev {port.name}",
            mend=f"bridge link set dev {port.name} hairpin on",
        )
        return self.trail.end("dropped", stack, skb, found)

    def _duplicate(self, skb: Skb, stack: Stack, bridge: Link) -> End:
        asked = skb.arp.target_ip if skb.arp else skb.dst
        return self.trail.end("unknown", stack, skb, self.duplicate(stack, asked, "neighbour"))

    def duplicate(self, stack: Stack, address: str, place: str) -> Culprit:
        """The culprit for an address that several have."""
        owners = self.world.owners.get(address, ())
        wrong = next((one for one in owners if one != self.world.meant(address)), stack.id)
        text = f"{address} is on {' and '.join(owners)}: who is reached is chance"
        return culprit(
            *(self.world, "duplicate-address", text, place, self.world.stack(wrong) or stack),
            thing=f"space {wrong}",
            show="ip address show",
            mend=f"ip address del {address}/32 dev eth0",
        )

    def _nowhere(self, skb: Skb, stack: Stack, bridge: Link) -> End:
        address = skb.arp.target_ip if skb.arp else skb.dst
        found = blame.lost_pod(self.world, address, "bridge")
        if found is None and bridge.name == blame.pod_bridge(stack):
            found = blame.loose_uplink(self.world, stack, bridge.name)
        found = found or culprit(
            *(self.world, "neighbour-unresolved"),
            f"no port of {bridge.name} on {stack.label} leads to {address} ({skb.dmac})",
            *("bridge", stack),
            thing=stack.link_object(bridge.name),
            show=f"bridge fdb show br {bridge.name}",
        )
        return self.trail.end("dropped", stack, skb, found)

    # neighbours

    def resolve(self, stack: Stack, link: str, ip: str, skb: Skb) -> tuple[str, End | None]:
        """The MAC of a next hop on a link: an entry's, else whoever answers ARP."""
        mac, state = stack.neighbours.get((link, ip), ("", ""))
        if mac and state in _USABLE:
            text = f"{ip} dev {link} lladdr {mac} {state}"
            skb.dmac_by = self._neighbour(stack, link, text, ip)
            self.trail.hop("neighbour", stack, f"{ip} has {mac}", skb, skb.dmac_by)
            return mac, None
        with self.trail.silence():
            asked = self._ask(stack, stack.links[link], ip, skb)
        if asked.verdict == "delivered" and asked.skb.arp is not None:
            mac = asked.skb.arp.sender_mac
            text = f"{ip} has {mac}, as ARP would learn"
            skb.dmac_by = None
            self.trail.hop("neighbour", stack, text, skb)
            return mac, None
        if asked.verdict == "unknown" and asked.culprit is None:
            return "", self.trail.end("unknown", stack, skb)
        found = blame.unanswered(self.trail, stack, link, ip, asked.culprit)
        return "", self.trail.end(asked.verdict, stack, skb, found)

    def _neighbour(self, stack: Stack, link: str, text: str, ip: str) -> Entry:
        return Entry("neighbour", text, stack.link_object(link), f"ip neighbour show {ip}")

    def _ask(self, stack: Stack, link: Link, ip: str, skb: Skb) -> End:
        sender = skb.src if skb.src in stack.local else asking_address(stack, link.name)
        arp = Arp("request", sender, link.mac, ip)
        request = Skb("arp", sender, ip, smac=link.mac, dmac=BROADCAST, arp=arp)
        request.pkttype = "broadcast"
        return self.transmit(request, stack, link)

    def _arp_receive(self, skb: Skb, stack: Stack, link: str) -> End:
        arp = skb.arp
        assert arp is not None
        if arp.operation == "reply":
            return self._arp_answered(skb, stack, arp)
        if arp.target_ip in stack.local or self._proxies(stack, link, arp.target_ip):
            return self.arp_answer(skb, stack, stack.links[link])
        place = "neighbour"
        port = stack.links.get(link)
        bridge = blame.pod_bridge(stack)
        is_pod_end = port and port.peer and port.peer[0].startswith("pod/") and not port.master
        if bridge and port and is_pod_end:
            found = blame.not_enslaved(self.world, stack, port, bridge, place)
            return self.trail.end("dropped", stack, skb, found)
        missing = blame.missing_address(self.world, stack, arp.target_ip, place)
        text = f"{stack.label} does not answer for {arp.target_ip}"
        found = missing or culprit(
            *(self.world, "neighbour-unresolved", text, place, stack),
            thing=stack.link_object(link),
        )
        return self.trail.end("dropped", stack, skb, found)

    def _arp_answered(self, skb: Skb, stack: Stack, arp: Arp) -> End:
        """An answer that comes to another than who asked is lost."""
        if arp.target_ip in stack.local:
            return self.trail.end("delivered", stack, skb)
        lost = blame.missing_element(self.trail, arp.target_ip, "bridge table")
        text = f"{stack.label} gets the ARP answer that is for {arp.target_ip}"
        found = lost or culprit(self.world, "neighbour-unresolved", text, "neighbour", stack)
        return self.trail.end("dropped", stack, skb, found)

    def _proxies(self, stack: Stack, link: str, ip: str) -> bool:
        if not stack.conf(link, "proxy_arp"):
            return False
        found = lookup(stack, Skb("arp", "", ip))
        return not found.fatal and found.link != link

    def arp_answer(self, skb: Skb, stack: Stack, link: Link) -> End:
        """The answer goes back by the link by which it was asked."""
        arp = skb.arp
        assert arp is not None
        answer = Arp("reply", arp.target_ip, link.mac, arp.sender_ip, arp.sender_mac)
        back = Skb("arp", arp.target_ip, arp.sender_ip, smac=link.mac, dmac=arp.sender_mac)
        back.arp = answer
        return self.transmit(back, stack, link)
