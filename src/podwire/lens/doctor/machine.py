"""The machine below: kernel settings, tables that fill up, MTUs, links that are down. Pure.

A pod's link of ours that is down is the pod's wiring's, and is told there.
Source: Documentation/networking/ip-sysctl.rst and nf_conntrack-sysctl.rst of Linux.
"""

from __future__ import annotations

from collections.abc import Iterator

from podwire.cni.modes import MODES
from podwire.lens.doctor import remedies
from podwire.lens.doctor.catalog import found
from podwire.lens.doctor.values import Finding
from podwire.lens.snapshot import MAIN, Link, Node, Snapshot, Space

NEARLY = 0.9
"""Of what a table holds."""
_FORWARDING = "net.ipv4.ip_forward"
_BRIDGED = "net.bridge.bridge-nf-call-iptables"
_STRICT = "1"
_POD_LINKS = "azv"


def findings(snapshot: Snapshot, node: Node) -> Iterator[Finding]:
    space = snapshot.space(node.space)
    if space is None or not node.attachments.mode:
        return
    if "sysctls" not in space.unread:
        yield from _settings(space, node)
        yield from _tables(space, node)
    if "links" not in space.unread:
        yield from _mtus(snapshot, space, node)
        yield from _down(snapshot, space, node)


def _settings(space: Space, node: Node) -> Iterator[Finding]:
    """Forwarding in transparent mode is the node's wiring."""
    mode, have = node.attachments.mode, space.sysctls
    if mode != "transparent" and have.get(_FORWARDING) == "0":
        yield _sysctl(space, node, _FORWARDING, "1", "nothing is forwarded between pods' networks")
    elif have.get(_FORWARDING) == "1":
        for link in _ways(space, node):
            name = f"net.ipv4.conf.{_slashed(link)}.forwarding"
            if have.get(name) == "0":
                yield _sysctl(space, node, name, "1", f"what comes in by {link} is not forwarded")
    if mode != "transparent" and _uses_services(space) and have.get(_BRIDGED, "0") == "0":
        why = "an answer between pods of this node passes by the services' rules: it is not undone"
        yield _sysctl(space, node, _BRIDGED, "1", why)
    for link in ("all", *_ways(space, node)):
        name = f"net.ipv4.conf.{_slashed(link)}.rp_filter"
        if have.get(name) == _STRICT and _is_strict(space, link):
            yield found(
                "rp-filter-strict",
                f"space {space.id}",
                f"{name} is {_STRICT} (strict)",
                f"sysctl -w {name}=2",
                node=node.name,
            )


def _sysctl(space: Space, node: Node, name: str, value: str, consequence: str) -> Finding:
    have = space.sysctls.get(name)
    module = "modprobe br_netfilter && " if have is None and name == _BRIDGED else ""
    return found(
        "sysctl-wrong",
        f"space {space.id}",
        f"{name} is {have}, not {value}" if have is not None else f"there is no {name}",
        f"{module}sysctl -w {name}={value}",
        node=node.name,
        consequence=consequence,
    )


def _uses_services(space: Space) -> bool:
    """kube-proxy with iptables: where its rules are."""
    return any(chain.name == "KUBE-SERVICES" for one in space.iptables for chain in one.chains)


def _is_strict(space: Space, link: str) -> bool:
    """The higher of a link's own and that of all counts: strict is 1, loose 2."""
    if link == "all":
        return True
    return space.sysctls.get("net.ipv4.conf.all.rp_filter") == "0"


def _ways(space: Space, node: Node) -> list[str]:
    """Links by which packets of pods come to the node: bridge or pods' ends, and the card."""
    bridge = node.attachments.bridge
    pods = [one.name for one in space.links if one.name.startswith(_POD_LINKS) and not one.master]
    have = [bridge] if space.link(bridge) else []
    return list(dict.fromkeys([*have, *_routed(space), *pods]))


def _routed(space: Space) -> list[str]:
    routes = (one for one in space.routes if one.dst == "0.0.0.0/0" and one.table == MAIN)
    return [one.link for one in routes if one.link]


def _slashed(link: str) -> str:
    return link.replace(".", "/")


def _tables(space: Space, node: Node) -> Iterator[Finding]:
    count, most = (_number(space, f"net.netfilter.nf_conntrack_{one}") for one in ("count", "max"))
    if most and count >= NEARLY * most:
        yield found(
            "conntrack-full",
            f"space {space.id}",
            f"{count} connections are known, at most {most}",
            f"sysctl -w net.netfilter.nf_conntrack_max={2 * most}",
            node=node.name,
        )
    limit = _number(space, "net.ipv4.neigh.default.gc_thresh3")
    known = sum(1 for one in space.neighbours if ":" not in one.ip and not one.proxy)
    if limit and known >= NEARLY * limit:
        yield found(
            "neighbours-full",
            f"space {space.id}",
            f"{known} neighbours are known, at most {limit}",
            f"sysctl -w net.ipv4.neigh.default.gc_thresh3={4 * limit}",
            node=node.name,
        )


def _number(space: Space, name: str) -> int:
    text = space.sysctls.get(name, "")
    return int(text) if text.isdecimal() else 0


def _mtus(snapshot: Snapshot, space: Space, node: Node) -> Iterator[Finding]:
    """Against the card's. When all others differ from it in the same way, it is the card."""
    card = _card(space, node)
    if card is None:
        return
    others = list(_on_the_way(snapshot, space, node))
    wrong = [(where, one) for where, one in others if one.mtu != card.mtu]
    odd = {one.mtu for _, one in wrong}
    if len(others) > 1 and len(wrong) == len(others) and len(odd) == 1:
        wrong = [(space, card)]
    usual = odd.pop() if wrong == [(space, card)] else card.mtu
    for where, one in wrong:
        yield found(
            "mtu-differs",
            f"link {where.id} {one.name}",
            f"{one.name} has {one.mtu}, the others on its way have {usual}",
            _mended(where, one, node, f"ip link set {one.name} mtu {usual}", card),
            ours=_is_ours(one, node, card),
            node=node.name,
        )


def _is_ours(one: Link, node: Node, card: Link | None) -> bool:
    return node.attachments.mode in MODES and one is not card


def _mended(where: Space, one: Link, node: Node, command: str, card: Link | None) -> str:
    """The command is one for the node; what is inside a pod goes with the pod."""
    if _is_ours(one, node, card):
        return remedies.fix(node.name)
    return remedies.new_pod(where.id) if where.kind == "pod" else command


def _card(space: Space, node: Node) -> Link | None:
    """The NIC by which pods' packets leave."""
    bridge = node.attachments.bridge
    for name in _routed(space):
        if name != bridge:
            return space.link(name)
    ports = (one for one in space.links if one.master == bridge and _is_card(one, node))
    return next(ports, None)


def _is_card(one: Link, node: Node) -> bool:
    return not (one.peer or ("", ""))[0].startswith("pod/") and not one.name.startswith(_POD_LINKS)


def _on_the_way(snapshot: Snapshot, space: Space, node: Node) -> Iterator[tuple[Space, Link]]:
    bridge = space.link(node.attachments.bridge)
    if bridge is not None:
        yield space, bridge
    for name in node.pods:
        pod = snapshot.space(name)
        for one in pod.links if pod else ():
            host = space.link(one.peer[1]) if one.peer and one.peer[0] == space.id else None
            if pod is not None and host is not None:
                yield space, host
                yield pod, one


def _down(snapshot: Snapshot, space: Space, node: Node) -> Iterator[Finding]:
    card, bridge = _card(space, node), space.link(node.attachments.bridge)
    links = [(space, one) for one in (card,) if one is not None]
    if node.attachments.mode == "kubenet":
        links += [(space, bridge)] if bridge else []
        links += [one for one in _on_the_way(snapshot, space, node) if one[1] is not bridge]
    for where, one in links:
        if not one.up or (one.kind != "bridge" and not one.carrier and _is_card(one, node)):
            why = "is down" if not one.up else "has no carrier"
            yield found(
                "link-down",
                f"link {where.id} {one.name}",
                f"{one.name} {why}",
                _mended(where, one, node, f"ip link set {one.name} up", card)
                if not one.up
                else f"see to {one.name}'s other end",
                node=node.name,
            )
