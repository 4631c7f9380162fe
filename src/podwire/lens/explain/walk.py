"""A packet's way through every stack: routed, filtered, translated, handed on, delivered.

Sources: net/ipv4 (ip_input.c, ip_forward.c, ip_output.c, route.c), Documentation ip-sysctl.rst.
"""

from __future__ import annotations

from podwire.lens.explain import blame
from podwire.lens.explain.fabric import Fabric
from podwire.lens.explain.faults import culprit
from podwire.lens.explain.frames import Frames
from podwire.lens.explain.routing import Found, forwarding, lookup, reverse_path
from podwire.lens.explain.skb import Skb
from podwire.lens.explain.trail import End
from podwire.lens.explain.values import Culprit, Entry
from podwire.lens.explain.world import Stack
from podwire.lens.kube_values import Service
from podwire.lens.snapshot import Link, Socket

_ANY = ("0.0.0.0", "*", "::", "", "[::]")


class Walk(Frames):
    """One walk over a snapshot, there and back."""

    def send(self, skb: Skb, stack: Stack) -> End:
        """What a process in this namespace sends."""
        if stack.space.kind == "fabric":
            return Fabric(self, stack).send(skb)
        place = self._place(stack)
        found = lookup(stack, skb)
        if found.fatal:
            return self._no_way(skb, stack, found)
        skb.oif = "lo" if found.kind == "local" else found.link
        skb.route_by = self._route_entry(stack, found, skb)
        text = f"{skb.dst} by {found.text}" if found.kind != "local" else f"{skb.dst} is its own"
        self.trail.hop(place, stack, text, skb, skb.route_by, links=("", skb.oif))
        before = (skb.dst, skb.mark)
        if ended := self.hooks.inet(stack, "output", skb):
            return ended
        if (skb.dst, skb.mark) != before:
            again = lookup(stack, skb)
            if again.fatal:
                return self._no_way(skb, stack, again)
            if again.text != found.text:
                skb.route_by = self._route_entry(stack, again, skb)
                text = f"{skb.dst} by {again.text}"
                self.trail.hop(place, stack, text, skb, skb.route_by, links=("", again.link))
            found = again
        if found.kind == "local":
            return self._loop_back(skb, stack)
        return self._out(skb, stack, found)

    def ip_receive(self, skb: Skb, stack: Stack, link: str) -> End:
        """A packet came in by this link."""
        if not skb.seen and (ended := self.hooks.inet(stack, "prerouting", skb)):
            return ended
        skb.seen = False
        if refused := self._source_refused(skb, stack, link):
            return refused
        found = lookup(stack, skb)
        if found.kind == "local":
            return self._deliver(skb, stack)
        if not forwarding(stack, link):
            return self._not_mine(skb, stack, link)
        if found.fatal:
            return self._no_way(skb, stack, found)
        return self._forward(skb, stack, link, found)

    def leaves(self, skb: Skb, stack: Stack, link: Link) -> End:
        """Out of the snapshot: to another node that it has, or to where it sees nothing."""
        owner = self.world.stack(self.world.meant(skb.dst)) if skb.arp is None else None
        home = self.world.stack(owner.node.space) if owner and owner.node else None
        if home is None or home is stack or skb.arp is not None:
            text = f"it leaves {stack.label} by {link.name}; what is there is not in the snapshot"
            self.trail.hop("outside", stack, text, skb, links=("", link.name))
            return self.trail.end("unknown", stack, skb)
        nic = next((one for one in home.space.links if one.name == link.name), None)
        if nic is None:
            return self.trail.end("unknown", stack, skb)
        text = f"the network takes it to {home.label}; its way is not in the snapshot"
        self.trail.hop("outside", stack, text, skb, links=(link.name, nic.name))
        skb.dmac = nic.mac
        return self.receive(skb, home, nic)

    def platform(self, skb: Skb, stack: Stack) -> End:
        """The fabric's own addresses: its servers answer."""
        return self._deliver(skb, stack)

    def unserved(self, service: Service, skb: Skb, text: str) -> Culprit:
        """A service's address came out of a node: no rule translated it."""
        nodes = [one.space for one in self.trail.hops if one.space.startswith("node/")]
        stack = self.world.stack(nodes[-1] if nodes else self.trail.hops[-1].space)
        assert stack is not None
        thing = f"service {service.key}"
        unseen = f"service {service.key} is not translated ({text})"
        if found := blame.bridge_nf_off(self.world, stack, unseen):
            return found
        if found := self._no_port(service, skb, stack):
            return found
        if not any(one.ready for one in service.endpoints):
            return culprit(
                *(self.world, "service-no-endpoints"),
                f"service {service.key} has no endpoint that is ready",
                *("iptables nat", stack),
                thing=thing,
                show=f"iptables-save | grep {skb.dst}/32",
            )
        return culprit(
            *(self.world, "service-not-programmed"),
            f"{stack.label} has no rule for service {service.key} "
            f"{skb.dst}:{skb.dport}/{skb.protocol}: {text}",
            *("iptables nat", stack),
            thing=thing,
            show=f"iptables-save -t nat | grep {skb.dst}/32",
        )

    def _no_port(self, service: Service, skb: Skb, stack: Stack) -> Culprit | None:
        wanted = (skb.protocol, skb.dport)
        if skb.protocol != "icmp" and any(
            (one.protocol.lower(), one.port) == wanted for one in service.ports
        ):
            return None
        have = ", ".join(f"{one.port}/{one.protocol.lower()}" for one in service.ports)
        text = f"service {service.key} has no {skb.protocol} port {skb.dport}; it has {have}"
        if skb.protocol == "icmp":
            text = f"service {service.key} answers no ICMP: its address is only in rules for {have}"
        return culprit(
            *(self.world, "service-no-port", text, "iptables nat", stack),
            thing=f"service {service.key}",
        )

    def fabric_receive(self, skb: Skb, stack: Stack, link: str) -> End:
        return Fabric(self, stack).receive(skb, link)

    # sending on

    def _out(self, skb: Skb, stack: Stack, found: Found) -> End:
        link = stack.links.get(found.link)
        if link is None:
            return self._no_link(skb, stack, found)
        skb.oif = link.name
        if not link.up:
            return self.trail.end("dropped", stack, skb, blame.link_down(self.world, stack, link))
        if ended := self.hooks.inet(stack, "postrouting", skb):
            return ended
        mac, failed = self.resolve(stack, link.name, found.next_hop(skb.dst), skb)
        if failed is not None:
            return failed
        skb.smac, skb.dmac = link.mac, mac
        return self.transmit(skb, stack, link)

    def _forward(self, skb: Skb, stack: Stack, link: str, found: Found) -> End:
        if self.trail.passed.count((stack.id, skb.dst)) > 2:
            return self._loops(skb, stack, found)
        self.trail.passed.append((stack.id, skb.dst))
        skb.oif = found.link
        skb.route_by = self._route_entry(stack, found, skb)
        text = f"forwards: {skb.dst} by {found.text}"
        self.trail.hop("node route", stack, text, skb, skb.route_by, links=(link, found.link))
        if ended := self.hooks.inet(stack, "forward", skb):
            return ended
        return self._out(skb, stack, found)

    def _loop_back(self, skb: Skb, stack: Stack) -> End:
        if ended := self.hooks.inet(stack, "postrouting", skb):
            return ended
        skb.iif, skb.oif = "lo", ""
        return self._deliver(skb, stack)

    # what refuses

    def _source_refused(self, skb: Skb, stack: Stack, link: str) -> End | None:
        if skb.src in stack.local and not stack.conf(link, "accept_local"):
            return self._martian(skb, stack, link)
        accepted, back = reverse_path(stack, skb, link)
        if accepted:
            return None
        value = stack.conf(link, "rp_filter")
        text = (
            f"{stack.label} refuses {skb.src} on {link}: rp_filter is {value}, and its own way to "
            f"{skb.src} is {back.text}"
        )
        name = f"net.ipv4.conf.{link}.rp_filter"
        found = culprit(
            *(self.world, "rp-filter", text, "rp_filter", stack),
            thing=stack.link_object(link),
            entry=Entry("sysctl", f"{name} = {value}", stack.link_object(link), f"sysctl {name}"),
            show=f"sysctl net.ipv4.conf.all.rp_filter {name}",
            mend=f"sysctl -w net.ipv4.conf.all.rp_filter=0 {name}=0",
        )
        return self.trail.end("dropped", stack, skb, found)

    def _martian(self, skb: Skb, stack: Stack, link: str) -> End:
        owners = self.world.owners.get(skb.src, ())
        if len(owners) > 1:
            found = self.duplicate(stack, skb.src, "martian")
            return self.trail.end("dropped", stack, skb, found)
        text = f"{stack.label} gets a packet whose source {skb.src} is its own, and drops it"
        if skb.src == skb.dst and stack.node is not None:
            node = self.world.stack(stack.node.space) or stack
            text = (
                f"{node.label} does not masquerade what {stack.label} sends to itself by a service:"
                f" {text}"
            )
            found = culprit(
                *(self.world, "masquerade-missing", text, "iptables nat", node),
                show="iptables -t nat -S KUBE-POSTROUTING",
            )
        else:
            found = culprit(self.world, "martian-source", text, "martian", stack)
        return self.trail.end("dropped", stack, skb, found)

    def _not_mine(self, skb: Skb, stack: Stack, link: str) -> End:
        missing = blame.missing_address(self.world, stack, skb.dst, "pod route")
        if missing is None and stack.space.kind == "pod" and skb.route_by is not None:
            sender = self.world.stack(skb.route_by.object.split(" ")[1]) or stack
            missing = blame.wrong_gateway(self.world, sender, stack.id, skb.route_by)
        if missing is None:
            missing = blame.missing_element(self.trail, skb.dst, "bridge table")
        found = missing or culprit(
            *(self.world, "ip-forward-off"),
            f"{stack.label} does not forward (ip_forward is 0), and {skb.dst} is not its own",
            *("node route", stack),
            entry=Entry("sysctl", "net.ipv4.ip_forward = 0", f"space {stack.id}"),
            show="sysctl net.ipv4.ip_forward",
            mend="sysctl -w net.ipv4.ip_forward=1",
        )
        return self.trail.end("dropped", stack, skb, found)

    def _no_way(self, skb: Skb, stack: Stack, found: Found) -> End:
        if found.kind == "none":
            lost = blame.lost_pod(self.world, skb.dst, "node route")
            who = lost or blame.no_route(self.world, stack, skb)
            return self.trail.end("refused", stack, skb, who)
        text = f"{stack.label} throws packets to {skb.dst} away: {found.text}"
        entry = self._route_entry(stack, found, skb)
        who = culprit(
            *(self.world, "blackhole-route", text, self._place(stack), stack),
            entry=entry,
            show=f"ip route get {skb.dst}",
            mend=f"ip route del {found.text}",
        )
        return self.trail.end(
            "dropped" if found.kind == "blackhole" else "refused", stack, skb, who
        )

    def _no_link(self, skb: Skb, stack: Stack, found: Found) -> End:
        text = f"{stack.label} has no link {found.link or '(none)'}, which {found.text} needs"
        who = culprit(self.world, "link-missing", text, "link", stack, show="ip link")
        return self.trail.end("dropped", stack, skb, who)

    def _loops(self, skb: Skb, stack: Stack, found: Found) -> End:
        lost = blame.lost_pod(self.world, skb.dst, "node route")
        text = f"packets to {skb.dst} come back to {stack.label} until their TTL ends"
        entry = self._route_entry(stack, found, skb)
        who = lost or culprit(
            *(self.world, "routing-loop", text, "node route", stack),
            entry=entry,
            show=f"ip route get {skb.dst}",
        )
        return self.trail.end("dropped", stack, skb, who)

    # arriving

    def _deliver(self, skb: Skb, stack: Stack) -> End:
        if ended := self.hooks.inet(stack, "input", skb):
            return ended
        if skb.reply or skb.protocol not in ("tcp", "udp") or not skb.dport:
            self.trail.hop("local", stack, f"{stack.label} takes it: {skb.dst} is its own", skb)
            return self.trail.end("delivered", stack, skb)
        if "sockets" in stack.space.unread:
            why = stack.space.unread["sockets"]
            self.trail.hop("socket", stack, f"sockets are unknown: {why}", skb)
            return self.trail.end("delivered", stack, skb)
        socket = _listening(stack, skb)
        if socket is None:
            return self._nobody_listens(skb, stack)
        where = f"{socket.protocol} {socket.address}:{socket.port} {socket.process}".strip()
        entry = Entry("socket", where, f"space {stack.id}", "ss -lntup")
        text = f"{socket.process or 'a process'} of {stack.label} listens on port {skb.dport}"
        self.trail.hop("socket", stack, text, skb, entry)
        return self.trail.end("delivered", stack, skb)

    def _nobody_listens(self, skb: Skb, stack: Stack) -> End:
        text = f"nothing in {stack.label} listens on {skb.protocol} port {skb.dport}"
        have = sorted({one.port for one in stack.space.sockets if one.protocol == skb.protocol})
        text += f" (it listens on {', '.join(map(str, have[:8]))})" if have else ""
        service = self.world.service_at(skb.dst)
        if service is not None:
            text = f"{stack.label} has no rules for service {service.key}: {text}"
        found = culprit(
            *(self.world, "no-listener", text, "socket", stack),
            show=f"ss -ln{skb.protocol[0]}p sport = :{skb.dport}",
        )
        return self.trail.end("refused", stack, skb, found)

    def _place(self, stack: Stack) -> str:
        return "pod route" if stack.space.kind == "pod" else "node route"

    def _route_entry(self, stack: Stack, found: Found, skb: Skb) -> Entry:
        thing = stack.link_object(found.link) if found.link else f"space {stack.id}"
        return Entry("route", found.text, thing, f"ip route get {skb.dst}")


def _listening(stack: Stack, skb: Skb) -> Socket | None:
    for one in stack.space.sockets:
        mine = one.protocol.rstrip("6") == skb.protocol and one.port == skb.dport
        if mine and one.address in (*_ANY, skb.dst, f"::ffff:{skb.dst}"):
            return one
    return None
