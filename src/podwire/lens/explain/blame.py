"""Who is to blame when a packet ends where it should not: from the symptom to the thing.

Pure; each function returns a culprit, the last resort being the symptom itself.
"""

from __future__ import annotations

from ipaddress import IPv4Network

from podwire.lens.explain import remedies
from podwire.lens.explain.faults import culprit
from podwire.lens.explain.nftables import Ruleset
from podwire.lens.explain.routing import lookup
from podwire.lens.explain.skb import Skb
from podwire.lens.explain.trail import Trail
from podwire.lens.explain.values import Culprit, Entry
from podwire.lens.explain.world import Stack, World
from podwire.lens.snapshot import MAIN, Link
from podwire.model.bridge_mode import POD_MACS, TABLE_FAMILY, TABLE_NAME
from podwire.model.transparent_mode import HOST_MAC, NEXT_HOP


def missing_address(world: World, stack: Stack, address: str, place: str) -> Culprit | None:
    """When this pod should have the address and has not."""
    if world.meant(address) != stack.id or address in stack.local or stack.space.kind != "pod":
        return None
    link = next((one.name for one in stack.space.links if one.kind == "veth"), "eth0")
    text = f"{stack.label} has not its address {address} (its links have {_listed(stack.local)})"
    return culprit(
        *(world, "pod-address-missing", text, place, stack),
        thing=f"address {stack.id} {link} {address}",
        show="ip address show",
        mend=remedies.address(world, stack, address, link),
    )


def _listed(local: object) -> str:
    return ", ".join(one for one in local if not one.startswith("127.")) or "none"  # type: ignore[attr-defined]


def no_route(world: World, stack: Stack, skb: Skb) -> Culprit:
    """A stack has no route to where its own packet shall go."""
    pod = world.pods.get(stack.id)
    if pod is not None and (found := missing_address(world, stack, pod.address, "pod route")):
        return found
    down = [one for one in stack.space.links if not one.up and one.kind and one.name != "lo"]
    if down and stack.space.kind == "pod":  # its routes went with it
        return link_down(world, stack, down[0])
    is_pod = stack.space.kind == "pod"
    place = "pod route" if is_pod else "node route"
    fault = "pod-route-missing" if is_pod else "no-route"
    return culprit(
        *(world, fault, f"{stack.label} has no route to {skb.dst}", place, stack),
        show=f"ip route get {skb.dst}",
        mend=remedies.default_route(world, stack),
    )


def lost_pod(world: World, address: str, place: str) -> Culprit | None:
    """Why the pod that should have the address is not reached from its own node's stack."""
    far = world.stack(world.meant(address))
    stack = world.stack(far.node.space) if far and far.node else None
    if far is None or stack is None or far.space.kind != "pod":
        return None
    host = next((one for one in stack.space.links if one.peer and one.peer[0] == far.id), None)
    if host is None:
        text = f"{stack.label} has no link to {far.label}, which should have {address}"
        thing = f"space {far.id}"
        return culprit(world, "link-missing", text, place, stack, thing=thing, show="ip link")
    if not host.up:
        return link_down(world, stack, host)
    if host.master:
        if host.master in stack.links and not stack.links[host.master].up:
            return link_down(world, stack, stack.links[host.master])
        missing = missing_address(world, far, address, place)
        return missing or _range_unrouted(world, stack, far, host.master, address, place)
    bridge = pod_bridge(stack)
    if bridge:
        return not_enslaved(world, stack, host, bridge, place)
    routed = any(
        one.link == host.name and one.dst == f"{address}/32" and one.table == MAIN
        for one in stack.space.routes
    )
    if routed:
        return missing_address(world, far, address, place)
    return culprit(
        world,
        "pod-route-missing",
        f"{stack.label} has no route to {far.label}: {address} dev {host.name} is missing",
        place,
        stack,
        thing=f"pod {far.id.removeprefix('pod/')}",
        show=f"ip route get {address}",
        mend=f"ip route add {address}/32 dev {host.name}",
    )


def _range_unrouted(
    world: World, stack: Stack, pod: Stack, bridge: str, address: str, place: str
) -> Culprit | None:
    """When a node of kubenet does not lead its own range to its bridge."""
    found = lookup(stack, Skb("", "", address))
    node = world.pod_range(address)
    if found.link == bridge or node is None or stack.node is None or node.name != stack.node.name:
        return None
    net = IPv4Network(node.pod_cidr)
    gateway = f"{net[1]}/{net.prefixlen}"
    has = (bridge, gateway) in {(one.link, one.cidr) for one in stack.space.addresses}
    missing = "" if has else f", which has not its address {gateway}"
    return culprit(
        world,
        "pod-route-missing",
        f"{stack.label} has no route to {pod.label}: {net} dev {bridge} is missing{missing}",
        place,
        stack,
        thing=stack.link_object(bridge),
        show=f"ip route get {address}",
        mend=f"ip route add {net} dev {bridge}" if has else f"ip addr add {gateway} dev {bridge}",
    )


def pod_bridge(stack: Stack) -> str:
    """The bridge that pods of this node are ports of, "" where they are routed."""
    if stack.node is None:
        return ""
    mode = stack.node.attachments.mode
    if mode == "transparent":
        return ""
    names = [stack.node.attachments.bridge, "cbr0"]
    return next((one for one in names if one in stack.links), "")


def bridge_nf_off(world: World, stack: Stack, what: str) -> Culprit | None:
    """When bridged packets do not pass iptables. what: what comes of it."""
    name = "net.bridge.bridge-nf-call-iptables"
    if stack.sysctl(name, "0") == "1" or not pod_bridge(stack):
        return None
    return culprit(
        *(world, "bridge-nf-off"),
        f"{stack.label} does not show bridged packets to iptables: {what}",
        *("bridge", stack),
        entry=Entry("sysctl", f"{name} = 0", f"space {stack.id}"),
        show=f"sysctl {name}",
        mend=f"sysctl -w {name}=1",
    )


def not_enslaved(world: World, stack: Stack, link: Link, bridge: str, place: str) -> Culprit:
    return culprit(
        world,
        "veth-not-enslaved",
        f"{link.name} of {stack.label} is no port of {bridge}: no frame passes between them",
        place,
        stack,
        thing=stack.link_object(link.name),
        entry=Entry("link", f"{link.name} master none", stack.link_object(link.name)),
        show=f"ip link show {link.name}",
        mend=f"ip link set {link.name} master {bridge}",
    )


def loose_uplink(world: World, stack: Stack, bridge: str) -> Culprit | None:
    """When the NIC of a node whose pods share its bridge is no port of it."""
    for one in stack.space.links:
        far = world.stack(one.peer[0]) if one.peer else None
        if far is not None and far.space.kind == "fabric" and not one.master:
            return not_enslaved(world, stack, one, bridge, "bridge")
    return None


def link_down(world: World, stack: Stack, link: Link) -> Culprit:
    return culprit(
        world,
        "link-down",
        f"{link.name} of {stack.label} is down",
        "link",
        stack,
        thing=stack.link_object(link.name),
        entry=Entry("link", f"{link.name} state DOWN", stack.link_object(link.name)),
        show=f"ip link show {link.name}",
        mend=f"ip link set {link.name} up",
    )


def unanswered(trail: Trail, stack: Stack, link: str, ip: str, inner: Culprit | None) -> Culprit:
    """Nobody answers ARP. inner: why the question, or the answer, did not arrive."""
    world = trail.world
    if found := lost_pod(world, ip, "neighbour"):
        return found
    specific = inner is not None and inner.fault not in ("neighbour-unresolved", "mac-mismatch")
    if inner is not None and specific:
        return inner
    if ip == NEXT_HOP:
        return _missing_neighbour(world, stack, link, ip)
    routes = [one for one in stack.space.routes if one.via == ip]
    if routes:
        return wrong_gateway(world, stack, ip, Entry("route", f"via {ip} dev {link}"))
    if inner is not None:
        return inner
    return _unresolved(world, stack, link, ip)


def _unresolved(world: World, stack: Stack, link: str, ip: str) -> Culprit:
    is_known = bool(world.owners.get(ip))
    fault = "neighbour-unresolved" if is_known else "pod-gone"
    text = f"nobody answers the ARP request of {stack.label} for {ip} on {link}"
    if not is_known:
        text = f"{ip} is nobody's: {text}"
    return culprit(
        *(world, fault, text, "neighbour", stack),
        thing=stack.link_object(link),
        entry=Entry("neighbour", f"{ip} dev {link} FAILED", stack.link_object(link)),
        show=f"ip neighbour show {ip}",
    )


def _missing_neighbour(world: World, stack: Stack, link: str, ip: str) -> Culprit:
    peer = stack.links[link].peer if link in stack.links else None
    far = world.stack(peer[0]) if peer else None
    mac = far.links[peer[1]].mac if far and peer and peer[1] in far.links else ""
    return culprit(
        world,
        "neighbour-missing",
        f"{stack.label} has no neighbour entry for {ip}, which answers no ARP request",
        "neighbour",
        stack,
        thing=stack.link_object(link),
        show=f"ip neighbour show dev {link}",
        mend=f"ip neighbour replace {ip} lladdr {mac} nud permanent dev {link}" if mac else "",
    )


def wrong_gateway(world: World, stack: Stack, ip: str, entry: Entry) -> Culprit:
    is_pod = stack.space.kind == "pod"
    return culprit(
        world,
        "wrong-gateway",
        f"{stack.label} sends by way of {ip}, which is no gateway ({entry.text})",
        "pod route" if is_pod else "node route",
        stack,
        entry=entry,
        show="ip route",
        mend=remedies.default_route(world, stack),
    )


def wrong_mac(trail: Trail, stack: Stack, link: Link, skb: Skb, rules: Ruleset | None) -> Culprit:
    """A frame came to a link that has another MAC. rules: of the node that sent it."""
    world = trail.world
    if stack.space.kind == "node":
        bridge = pod_bridge(stack)
        if bridge and link.peer and link.peer[0].startswith("pod/") and not link.master:
            return not_enslaved(world, stack, link, bridge, "link")
    if found := _wrong_port(world, skb):
        return found
    by = skb.dmac_by
    believed = _believed(world, stack, skb.arp.target_ip if skb.arp else skb.dst, rules)
    is_host_end = by is not None and by.text.startswith(f"{NEXT_HOP} ") and skb.dmac == HOST_MAC
    if by is not None and not is_host_end and (link.mac in believed.values() or not believed):
        return _wrong_entry(world, stack, link, skb, by)
    text = f"{link.name} of {stack.label} has the MAC {link.mac}; frames for it go to {skb.dmac}"
    fault = "mac-changed" if stack.space.kind == "pod" else "mac-mismatch"
    return culprit(
        *(world, fault, text, "link", stack),
        thing=stack.link_object(link.name),
        entry=Entry("link", f"{link.name} link/ether {link.mac}", stack.link_object(link.name)),
        show=f"ip link show {link.name}",
        mend=f"ip link set {link.name} address {skb.dmac}",
    )


def _wrong_port(world: World, skb: Skb) -> Culprit | None:
    """When the bridge's forwarding entry named another port than the MAC's own."""
    entry = skb.fdb_by
    sender = world.stack(entry.object.split(" ")[1]) if entry else None
    if entry is None or sender is None:
        return None
    port = entry.object.split(" ")[-1]
    bridge = sender.links[port].master
    right = [near.name for near, _, far in world.far_ends(sender, bridge) if far.mac == skb.dmac]
    if not right or port in right:
        return None
    return culprit(
        *(world, "fdb-wrong"),
        f"{bridge} of {sender.label} sends what is for {skb.dmac} to {port}, not to {right[0]}",
        *("bridge port", sender),
        thing=entry.object,
        entry=entry,
        show=f"bridge fdb show br {bridge}",
        mend=f"bridge fdb replace {skb.dmac} dev {right[0]} master dynamic",
    )


def _believed(world: World, stack: Stack, ip: str, rules: Ruleset | None) -> dict[str, str]:
    """What MAC each source says that an address of this pod has."""
    found: dict[str, str] = {}
    node = stack.node
    host = world.stack(node.space) if node else None
    for lease in node.attachments.leases if node else ():
        if lease.address == ip and lease.mac:
            found["lease"] = lease.mac
    for (_, address), (mac, state) in host.neighbours.items() if host else ():
        if address == ip and state == "PERMANENT":
            found["neighbour"] = mac
    if element := element_of(rules, ip):
        found["element"] = element
    return found


def element_of(rules: Ruleset | None, ip: str) -> str:
    """The MAC that the map pod_mac has for an address; "" for none."""
    for one in rules.objects if rules else ():
        body = one.get("map")
        if body and (body["family"], body["table"], body["name"]) == _POD_MACS:
            found = rules.sets.elements(_POD_MACS) if rules else []
            return next((str(mac) for item, mac in found if item == ip), "")
    return ""


_POD_MACS = (TABLE_FAMILY, TABLE_NAME, POD_MACS)
_LIST_MAP = f"nft list map {TABLE_FAMILY} {TABLE_NAME} {POD_MACS}"
_ADD = f"nft add element {TABLE_FAMILY} {TABLE_NAME} {POD_MACS}"


def _wrong_entry(world: World, stack: Stack, link: Link, skb: Skb, by: Entry) -> Culprit:
    ip = skb.arp.target_ip if skb.arp else skb.dst
    sender = world.stack(by.object.split(" ")[1]) or stack
    if by.kind == "nft":
        return culprit(
            *(world, "pod-mac-element-wrong"),
            f"{POD_MACS} of {sender.label} has {skb.dmac} for {ip}, whose MAC is {link.mac}",
            *("bridge table", sender),
            thing=f"space {sender.id}",
            entry=by,
            show=_LIST_MAP,
            mend=f"{_ADD} '{{ {ip} : {link.mac} }}'",
        )
    device = by.object.split(" ")[-1]
    ip = by.text.split(" ")[0]  # the next hop's, which need not be the packet's
    return culprit(
        *(world, "neighbour-wrong-mac"),
        f"{sender.label} takes {skb.dmac} for the MAC of {ip}: it is {link.mac} ({by.text})",
        *("neighbour", sender),
        thing=by.object,
        entry=by,
        show=f"ip neighbour show {ip}",
        mend=f"ip neighbour replace {ip} lladdr {link.mac} nud permanent dev {device}",
    )


def missing_element(trail: Trail, ip: str, place: str) -> Culprit | None:
    """When the walk missed the pod's element of pod_mac on the pod's own node."""
    world = trail.world
    far = world.stack(world.meant(ip))
    if far is None or far.space.kind != "pod" or far.node is None:
        return None
    node = world.stack(far.node.space)
    if node is None or (node.id, POD_MACS, ip) not in trail.missed:
        return None
    mac = next((one.mac for one in far.space.links if one.kind == "veth"), "MAC")
    element = f"'{{ {ip} : {mac} }}'"
    return culprit(
        *(world, "pod-mac-element-missing"),
        f"the map {POD_MACS} of {node.label} has nothing for {ip} of {far.label}: frames for it "
        "stay with the node",
        *(place, node),
        thing=f"pod {far.id.removeprefix('pod/')}",
        show=_LIST_MAP,
        mend=f"{_ADD} {element}",
    )


def missing_table(world: World, node: Stack, rules: Ruleset, place: str) -> Culprit | None:
    """When a node of bridge mode has no MAC NAT at all."""
    is_bridge = node.node is not None and node.node.attachments.mode == "bridge"
    has = any(
        family == TABLE_FAMILY and table == TABLE_NAME and rules.rules.get((family, table, name))
        for family, table, name in rules.chains
    )
    if not is_bridge or has or "nft" in node.space.unread:
        return None
    return culprit(
        *(world, "nft-table-missing"),
        f"{node.label} has no table {TABLE_FAMILY} {TABLE_NAME}, or one without rules: pods' "
        "frames leave with MACs that the fabric does not know",
        *(place, node),
        show=f"nft list table {TABLE_FAMILY} {TABLE_NAME}",
        mend="",  # the next pod that starts on the node brings it back
    )
