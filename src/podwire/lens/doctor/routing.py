"""Routes and rules of others that lead pods' packets elsewhere. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

from podwire.lens.doctor.catalog import found
from podwire.lens.doctor.filters import overlaps
from podwire.lens.doctor.values import Finding
from podwire.lens.snapshot import DEFAULT, LOCAL, MAIN, Node, PolicyRule, Route, Space

_STANDARD = {0: LOCAL, 32766: MAIN, 32767: DEFAULT}
_NOWHERE = ("blackhole", "unreachable", "prohibit")
_POD_LINKS = "azv"


def findings(
    space: Space, node: Node, pods: tuple[str, ...], nets: tuple[str, ...]
) -> Iterator[Finding]:
    """pods: their addresses here, CIDRs; nets: the ranges that pods here get addresses from."""
    own = _links(space, node)
    for route in space.routes:
        if route.table == MAIN and _leads_away(route, nets, own):
            yield found(
                "foreign-route",
                f"space {space.id}",
                f"{_told(route)} is inside {overlaps(route.dst, nets)}, where pods have addresses",
                f"ip route del {_command(route)}",
                node=node.name,
            )
    for rule in space.rules:
        if not _is_standard(rule) and (net := _concerns(rule, pods)) and _matters(rule, space):
            yield found(
                "foreign-rule",
                f"space {space.id}",
                f"ip rule {_shown(rule)} comes before the main table, for {net}",
                f"ip {'-6 ' if rule.family == 6 else ''}rule del {_shown(rule)}",
                node=node.name,
            )


def _links(space: Space, node: Node) -> set[str]:
    """Those by which pods' addresses are reached: the bridge, the card, pods' own."""
    routed = {one.link for one in space.routes if one.dst == "0.0.0.0/0" and one.table == MAIN}
    pods = {one.name for one in space.links if one.name.startswith(_POD_LINKS)}
    return {node.attachments.bridge} | routed | pods


def _leads_away(route: Route, nets: tuple[str, ...], own: set[str]) -> bool:
    """A part of a range that pods have addresses of; what the kernel or the plugins made has the
    whole of it, or leads to a pod."""
    net = overlaps(route.dst, nets)
    if not net or ip_network(route.dst).prefixlen < ip_network(net, strict=False).prefixlen:
        return False
    if route.kind in _NOWHERE:
        return True
    if route.kind != "unicast" or route.dst == str(ip_network(net, strict=False)):
        return route.kind == "unicast" and route.link not in own
    return route.link not in own or bool(route.via)


def _is_standard(rule: PolicyRule) -> bool:
    return _STANDARD.get(rule.priority) == rule.table and not (rule.source or rule.destination)


def _concerns(rule: PolicyRule, pods: tuple[str, ...]) -> str:
    """The pod that it is about; of one that names nobody the first: it is about all."""
    if rule.mark or rule.inverted:
        return ""
    named = [one for one in (rule.source, rule.destination) if one]
    mine = [one for one in pods if (":" in one) == (rule.family == 6)]
    if not named:
        return next(iter(mine), "")
    return next((pod for one in named if (pod := overlaps(one, mine))), "")


def _matters(rule: PolicyRule, space: Space) -> bool:
    """A table without routes leads on to the next rule."""
    if rule.action != "lookup":
        return rule.action in _NOWHERE
    routes = [one for one in space.routes if one.table == rule.table]
    return rule.table not in (MAIN, LOCAL, DEFAULT) and any(one.kind != "throw" for one in routes)


def _shown(rule: PolicyRule) -> str:
    parts = [f"pref {rule.priority}", f"from {rule.source or 'all'}"]
    parts += [f"to {rule.destination}"] if rule.destination else []
    parts += [f"iif {rule.iif}"] if rule.iif else []
    parts += [f"lookup {rule.table}" if rule.action == "lookup" else rule.action]
    return " ".join(parts)


def _told(route: Route) -> str:
    return f"route {_command(route)}"


def _command(route: Route) -> str:
    kind = f"{route.kind} " if route.kind != "unicast" else ""
    via = f" via {route.via}" if route.via else ""
    return f"{kind}{route.dst}{via}" + (f" dev {route.link}" if route.link else "")
