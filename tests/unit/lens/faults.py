"""Planted faults: a name -> how a healthy snapshot is changed, what is asked, who is to blame.

`CASES` is the table; each entry changes one thing. Other tests of the lens may plant the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from podwire.lens.snapshot import (
    Address,
    FdbEntry,
    IptablesChain,
    IptablesRule,
    Neighbour,
    Plugged,
    PolicyRule,
    Route,
    Snapshot,
    Space,
    VirtualNetwork,
)
from podwire.model.load_balancer import LoadBalancer
from podwire.model.route_table import NextHop, RouteTable
from podwire.model.route_table import Route as UserRoute
from podwire.model.security import Access, Direction, SecurityGroup, SecurityRule
from tests.unit.lens import build

Mutation = Callable[[Snapshot], Snapshot]
OTHER_MAC = "02:de:ad:00:00:01"


@dataclass(frozen=True, slots=True)
class Case:
    """source, target: what is asked, as a person writes it. fault, object: the culprit's. object
    "": not looked at. harmless: the packet arrives, and the fault is among the suspects."""

    name: str
    mode: str
    plant: Mutation
    source: str
    target: str
    fault: str
    object: str = ""
    protocol: str = "tcp"
    size: int = 0
    harmless: bool = False


def _space(space_id: str, **values: Any) -> Mutation:
    return lambda seen: build.edit(seen, space_id, lambda one: replace(one, **values))


def _link(space_id: str, name: str, **values: Any) -> Mutation:
    return lambda seen: build.edit_link(seen, space_id, name, **values)


def _sysctl(space_id: str, **values: str) -> Mutation:
    given = {name.replace("__", "."): value for name, value in values.items()}
    return lambda seen: build.edit(
        seen, space_id, lambda one: replace(one, sysctls={**one.sysctls, **given})
    )


def _routes(space_id: str, change: Callable[[tuple[Route, ...]], tuple[Route, ...]]) -> Mutation:
    return lambda seen: build.edit(
        seen, space_id, lambda one: replace(one, routes=change(one.routes))
    )


def _without_route(space_id: str, dst: str) -> Mutation:
    return _routes(space_id, lambda routes: tuple(one for one in routes if one.dst != dst))


def _without_address(space_id: str, cidr: str) -> Mutation:
    return lambda seen: build.edit(
        seen,
        space_id,
        lambda one: replace(
            one, addresses=tuple(each for each in one.addresses if each.cidr != cidr)
        ),
    )


def _neighbour(space_id: str, ip: str, mac: str, state: str = "PERMANENT") -> Mutation:
    """mac "": the entry goes."""

    def change(space: Space) -> Space:
        kept = tuple(one for one in space.neighbours if one.ip != ip)
        link = next((one.link for one in space.neighbours if one.ip == ip), "eth0")
        new = (Neighbour(link, ip, mac, state),) if mac else ()
        return replace(space, neighbours=(*kept, *new))

    return lambda seen: build.edit(seen, space_id, change)


def _elements(space_id: str, name: str, change: Callable[[list[Any]], list[Any]]) -> Mutation:
    def changed(one: Any) -> Any:
        for kind in ("map", "set"):
            if kind in one and one[kind]["name"] == name:
                return {kind: {**one[kind], "elem": change(one[kind]["elem"])}}
        return one

    return lambda seen: build.edit(
        seen, space_id, lambda one: replace(one, nft=tuple(changed(each) for each in one.nft))
    )


def _chain(
    space_id: str, table: str, name: str, change: Callable[[IptablesChain], IptablesChain]
) -> Mutation:
    return lambda seen: build.edit_rules(
        seen, space_id, table, lambda one: change(one) if one.name == name else one
    )


def _first_rule(space_id: str, table: str, name: str, text: str) -> Mutation:
    return _chain(
        space_id, table, name, lambda one: replace(one, rules=(IptablesRule(text), *one.rules))
    )


def _without_rules(space_id: str, table: str, name: str) -> Mutation:
    return _chain(space_id, table, name, lambda one: replace(one, rules=()))


def _everywhere_to(old: str, new: str) -> Mutation:
    """The rules of n1 translate to another address."""

    def change(chain: IptablesChain) -> IptablesChain:
        rules = (
            replace(one, text=one.text.replace(f"-destination {old}", f"-destination {new}"))
            for one in chain.rules
        )
        return replace(chain, rules=tuple(rules))

    return lambda seen: build.edit_rules(seen, "node/n1", "nat", change)


def _all(*plants: Mutation) -> Mutation:
    def plant(seen: Snapshot) -> Snapshot:
        for one in plants:
            seen = one(seen)
        return seen

    return plant


def _network(change: Callable[[VirtualNetwork], VirtualNetwork]) -> Mutation:
    return lambda seen: build.edit_vnet(seen, change)


def _balancer(change: Callable[[LoadBalancer], LoadBalancer]) -> Mutation:
    return _network(
        lambda one: replace(
            one,
            balancers=tuple(replace(b, balancer=change(b.balancer)) for b in one.balancers),
        )
    )


def _for_others(one: LoadBalancer) -> LoadBalancer:
    return replace(one, rules=(replace(one.rules[0], sources=("9.0.0.0/8",)),))


def _nic(name: str, **values: Any) -> Mutation:
    def change(vnet: VirtualNetwork) -> VirtualNetwork:
        nics = (
            replace(one, nic=replace(one.nic, **values)) if one.nic.name == name else one
            for one in vnet.nics
        )
        return replace(vnet, nics=tuple(nics))

    return _network(change)


def _subnet(**values: Any) -> Mutation:
    def change(one: VirtualNetwork) -> VirtualNetwork:
        subnet = replace(one.vnet.subnets[0], **values)
        nics = (
            Plugged(replace(p.nic, subnet=subnet), p.node, p.port) if p.node else p
            for p in one.nics
        )
        return replace(one, vnet=replace(one.vnet, subnets=(subnet,)), nics=tuple(nics))

    return _network(change)


def _user_route(hop: NextHop, address: str = "", prefix: str = "10.220.2.32/27") -> Mutation:
    return _subnet(route_table=RouteTable("t", (UserRoute("astray", prefix, hop, address),)))


def _stale_endpoint(seen: Snapshot) -> Snapshot:
    """web-2 is gone; the rules of n1 still lead to it."""
    cluster = seen.clusters[0]
    pods = tuple(one for one in cluster.pods if one.name != "web-2")
    services = tuple(
        replace(one, endpoints=tuple(e for e in one.endpoints if e.pod != "default/web-2"))
        for one in cluster.services
    )
    nodes = tuple(
        replace(
            one,
            pods=tuple(p for p in one.pods if "web-2" not in p),
            attachments=replace(
                one.attachments,
                leases=tuple(e for e in one.attachments.leases if e.pod_name != "web-2"),
            ),
        )
        for one in seen.nodes
    )
    spaces = tuple(
        replace(
            one,
            links=tuple(e for e in one.links if e.name != "azv36"),
            neighbours=tuple(e for e in one.neighbours if e.ip != "10.220.2.36"),
            fdb=tuple(e for e in one.fdb if e.port != "azv36"),
        )
        for one in seen.spaces
        if one.id != "pod/default/web-2"
    )
    seen = replace(
        seen,
        nodes=nodes,
        spaces=spaces,
        clusters=(replace(cluster, pods=pods, services=services),),
    )
    return _elements("node/n2", "pod_mac", lambda have: [e for e in have if e[0] != "10.220.2.36"])(
        seen
    )


def _no_dns_endpoints(seen: Snapshot) -> Snapshot:
    cluster = seen.clusters[0]
    services = tuple(
        replace(one, endpoints=()) if one.name == "kube-dns" else one for one in cluster.services
    )
    seen = replace(seen, clusters=(replace(cluster, services=services),))
    reject = (
        f'-d {build.DNS_IP}/32 -p udp -m comment --comment "kube-system/kube-dns:dns has no '
        'endpoints" -m udp --dport 53 -j REJECT --reject-with icmp-port-unreachable'
    )
    for node in ("node/n1", "node/n2"):
        seen = _chain(
            *(node, "nat", "KUBE-SERVICES"),
            lambda one: replace(
                one, rules=tuple(r for r in one.rules if build.DNS_IP not in r.text)
            ),
        )(seen)
        seen = _first_rule(node, "filter", "KUBE-SERVICES", reject)(seen)
    return seen


DENY = SecurityGroup(
    "nsg",
    (SecurityRule("no-web", 100, Direction.INBOUND, Access.DENY, destination_ports=("80",)),),
)
_WEB1, _WEB2, _CLIENT1 = "pod/default/web-1", "pod/default/web-2", "pod/default/client-1"
_DROP = '-p tcp -m tcp --dport 80 -m comment --comment "planted" -j DROP'
_NFT_DROP = (
    {"table": {"family": "inet", "name": "wall"}},
    {
        "chain": {
            "family": "inet",
            "table": "wall",
            "name": "forward",
            "type": "filter",
            "hook": "forward",
            "prio": -10,
            "policy": "accept",
        }
    },
    {
        "rule": {
            "family": "inet",
            "table": "wall",
            "chain": "forward",
            "expr": [
                {
                    "match": {
                        "op": "==",
                        "left": {"payload": {"protocol": "tcp", "field": "dport"}},
                        "right": {"set": [80, 443]},
                    }
                },
                {"drop": None},
            ],
        }
    },
)


def _nft_wall(seen: Snapshot) -> Snapshot:
    return build.edit(seen, "node/n1", lambda one: replace(one, nft=(*one.nft, *_NFT_DROP)))


def _duplicate(seen: Snapshot) -> Snapshot:
    """client-2 takes web-1's address, beside its own."""
    return build.edit(
        seen,
        "pod/default/client-2",
        lambda one: replace(one, addresses=(Address("eth0", "10.220.2.5/24"),)),
    )


_BRIDGED = {"family": "bridge", "table": "filter"}
_OUTPUT = {"type": "filter", "hook": "output", "prio": -200, "policy": "accept"}
_DEDUP = (
    {"table": {"family": "bridge", "name": "filter"}},
    {"chain": {**_BRIDGED, "name": "KUBE-DEDUP"}},
    {"chain": {**_BRIDGED, "name": "OUTPUT", **_OUTPUT}},
    {"rule": {**_BRIDGED, "chain": "OUTPUT", "expr": [{"jump": {"target": "KUBE-DEDUP"}}]}},
)
"""Kubenet's chain, whose rules nft's JSON does not show."""


CASES = (
    Case(
        *("pod address removed", "bridge", _space(_WEB1, addresses=())),
        *("client-1", "web-1:80", "pod-address-missing"),
        "address pod/default/web-1 eth0 10.220.2.5",
    ),
    Case(
        *("pod address removed, from afar", "bridge", _space(_WEB1, addresses=())),
        *("client-2", "web-1:80", "pod-address-missing"),
    ),
    Case(
        *("pod address removed, routed", "transparent", _space(_WEB1, addresses=())),
        *("client-2", "web-1:80", "pod-address-missing"),
    ),
    Case(
        *("own address removed", "bridge", _space(_CLIENT1, addresses=(), routes=())),
        *("client-1", "web-1:80", "pod-address-missing"),
    ),
    Case(
        *("pod has no default route", "bridge", _without_route(_CLIENT1, "0.0.0.0/0")),
        *("client-1", "svc/web", "pod-route-missing", f"space {_CLIENT1}"),
    ),
    Case(
        *("the answer's pod has no route", "transparent", _without_route(_WEB1, "0.0.0.0/0")),
        *("client-2", "web-1:80", "pod-route-missing", f"space {_WEB1}"),
    ),
    Case(
        *("node has no route to pod", "transparent", _without_route("node/n1", "10.220.2.5/32")),
        *("client-2", "web-1:80", "pod-route-missing", "pod default/web-1"),
    ),
    Case(
        *("node has no route to its range", "kubenet", _without_route("node/n1", "10.244.0.0/24")),
        *("client-2", "web-1:80", "pod-route-missing", "link node/n1 cbr0"),
    ),
    Case(
        *("cbr0 without address", "kubenet"),
        _all(
            _without_route("node/n1", "10.244.0.0/24"),
            _without_address("node/n1", "10.244.0.1/24"),
        ),
        *("client-2", "web-1:80", "pod-route-missing", "link node/n1 cbr0"),
    ),
    Case(
        *("cbr0 is down", "kubenet"),
        _all(
            _without_route("node/n1", "10.244.0.0/24"),
            _link("node/n1", "cbr0", up=False),
        ),
        *("client-2", "web-1:80", "link-down", "link node/n1 cbr0"),
    ),
    Case(
        *("no route leads to a node's range", "kubenet"),
        _subnet(route_table=RouteTable("pods", ())),
        *("client-1", "web-2:80", "udr-missing", "node n2"),
    ),
    Case(
        *("MAC of the host's end changed", "transparent"),
        _link("node/n1", "azv6", mac=OTHER_MAC),
        *("client-1", "web-2:80", "mac-mismatch", "link node/n1 azv6"),
    ),
    Case(
        *(
            "wrong MAC of the next hop",
            "transparent",
            _neighbour(_CLIENT1, "169.254.1.1", OTHER_MAC),
        ),
        *("client-1", "web-2:80", "neighbour-wrong-mac", "link pod/default/client-1 eth0"),
    ),
    Case(
        *("node has no route to pod, same", "transparent"),
        _without_route("node/n1", "10.220.2.5/32"),
        *("client-1", "web-1:80", "pod-route-missing", "pod default/web-1"),
    ),
    Case(
        *(
            "neighbour of pod is wrong",
            "transparent",
            _neighbour("node/n1", "10.220.2.5", OTHER_MAC),
        ),
        *("client-2", "web-1:80", "neighbour-wrong-mac", "link node/n1 azv5"),
    ),
    Case(
        *("neighbour of pod is wrong, bridge", "bridge"),
        _neighbour("node/n1", "10.220.2.5", OTHER_MAC),
        *("n1", "web-1:80", "neighbour-wrong-mac", "link node/n1 azure0"),
    ),
    Case(
        *("gateway's neighbour is wrong", "bridge"),
        _space(_CLIENT1, neighbours=(Neighbour("eth0", "10.220.2.1", OTHER_MAC, "STALE"),)),
        *("client-1", "8.8.8.8:53", "neighbour-wrong-mac", f"link {_CLIENT1} eth0"),
    ),
    Case(
        *(
            "next hop's neighbour is missing",
            "transparent",
            _neighbour(_CLIENT1, "169.254.1.1", ""),
        ),
        *("client-1", "web-1:80", "neighbour-missing", f"link {_CLIENT1} eth0"),
    ),
    Case(
        *("element wrong", "bridge"),
        _elements("node/n1", "pod_mac", lambda have: [[have[0][0], OTHER_MAC], *have[1:]]),
        *("client-2", "web-1:80", "pod-mac-element-wrong", "space node/n1"),
    ),
    Case(
        *("element missing", "bridge", _elements("node/n1", "pod_mac", lambda have: have[1:])),
        *("web-1", "web-2:80", "pod-mac-element-missing", "pod default/web-1"),
    ),
    Case(
        *("element missing, the node forwards instead", "bridge"),
        _all(
            _elements("node/n1", "pod_mac", lambda have: have[1:]),
            _space(
                _WEB1,
                neighbours=(Neighbour("eth0", "10.220.2.36", "12:34:56:78:9a:bc", "REACHABLE"),),
            ),
        ),
        *("web-1", "web-2:80", "pod-mac-element-missing", "pod default/web-1"),
        harmless=True,
    ),
    Case(
        *("port disabled", "bridge", _link("node/n1", "azv5", port_state="disabled")),
        *("client-1", "web-1:80", "port-disabled", "link node/n1 azv5"),
    ),
    Case(
        *("host's end down", "bridge", _link("node/n1", "azv5", up=False, port_state="disabled")),
        *("client-1", "web-1:80", "link-down", "link node/n1 azv5"),
    ),
    Case(
        *("pod's end down", "bridge"),
        _all(
            _link(_WEB1, "eth0", up=False, carrier=False),
            _link("node/n1", "azv5", carrier=False, port_state="disabled"),
        ),
        *("client-1", "web-1:80", "link-down", f"link {_WEB1} eth0"),
    ),
    Case(
        *("bridge down", "bridge", _link("node/n1", "azure0", up=False)),
        *("client-1", "web-1:80", "link-down", "link node/n1 azure0"),
    ),
    Case(
        *("not enslaved", "bridge", _link("node/n1", "azv5", master="", port_state="")),
        *("client-1", "web-1:80", "veth-not-enslaved", "link node/n1 azv5"),
    ),
    Case(
        *("asker not enslaved", "bridge", _link("node/n1", "azv6", master="", port_state="")),
        *("client-1", "web-1:80", "veth-not-enslaved", "link node/n1 azv6"),
    ),
    Case(
        *("asker not enslaved, kubenet", "kubenet"),
        _link("node/n1", "veth6", master="", port_state=""),
        *("client-1", "web-2:80", "veth-not-enslaved", "link node/n1 veth6"),
    ),
    Case(
        *("rp_filter strict and another way back", "transparent"),
        _all(
            _sysctl("node/n1", net__ipv4__conf__all__rp_filter="1"),
            _routes("node/n1", lambda have: (*have, Route("10.220.2.36/32", "azv6"))),
        ),
        *("web-2", "web-1:80", "rp-filter", "link node/n1 eth0"),
    ),
    Case(
        *("ip_forward off", "transparent", _sysctl("node/n1", net__ipv4__ip_forward="0")),
        *("client-1", "web-2:80", "ip-forward-off", "space node/n1"),
    ),
    Case(
        *("ip_forward off, kubenet", "kubenet", _sysctl("node/n2", net__ipv4__ip_forward="0")),
        *("client-1", "web-2:80", "ip-forward-off", "space node/n2"),
    ),
    Case(
        *("ip_forward off, bridge, a service", "bridge"),
        _sysctl("node/n1", net__ipv4__ip_forward="0"),
        *("client-1", "svc/web", "ip-forward-off", "space node/n1"),
    ),
    Case(
        *("not enslaved, from afar", "bridge"),
        _link("node/n1", "azv5", master="", port_state=""),
        *("client-2", "web-1:80", "veth-not-enslaved", "link node/n1 azv5"),
    ),
    Case(
        *("own link down", "bridge"),
        _all(
            _link(_CLIENT1, "eth0", up=False),
            _space(_CLIENT1, routes=()),
            _link("node/n1", "azv6", carrier=False, port_state="disabled"),
        ),
        *("client-1", "web-1:80", "link-down", f"link {_CLIENT1} eth0"),
    ),
    Case(
        *("the NIC is no port", "bridge"),
        _link("node/n1", "eth0", master="", port_state=""),
        *("client-1", "web-2:80", "veth-not-enslaved", "link node/n1 eth0"),
    ),
    Case(
        *("an endpoint that no pod has", "bridge"),
        _all(
            _nic("n1-nic", addresses=("10.220.2.4", "10.220.2.5", "10.220.2.6", "10.220.2.9")),
            _everywhere_to("10.220.2.5:80", "10.220.2.9:80"),
        ),
        *("client-1", "svc/web", "endpoint-stale", "service default/web"),
    ),
    Case(
        *("FORWARD policy", "bridge"),
        _chain("node/n1", "filter", "FORWARD", lambda one: replace(one, policy="DROP")),
        *("client-1", "web-1:80", "iptables-policy-drop", "space node/n1"),
    ),
    Case(
        *("a rule drops", "bridge", _first_rule("node/n1", "filter", "FORWARD", _DROP)),
        *("client-1", "web-1:80", "iptables-rule-drop", "space node/n1"),
    ),
    Case(
        *("a rule drops in raw", "transparent"),
        lambda seen: build.edit(
            seen,
            "node/n1",
            lambda one: replace(
                one,
                iptables=(
                    *one.iptables,
                    replace(
                        one.iptables[0],
                        name="raw",
                        chains=(IptablesChain("PREROUTING", "ACCEPT", (IptablesRule(_DROP),)),),
                    ),
                ),
            ),
        ),
        *("client-1", "web-1:80", "iptables-rule-drop", "space node/n1"),
    ),
    Case(
        *("INPUT drops", "bridge"),
        _first_rule("node/n1", "filter", "INPUT", "-p tcp -m tcp --dport 22 -j DROP"),
        *("client-2", "n1:22", "iptables-rule-drop", "space node/n1"),
    ),
    Case(
        *("an nft table drops", "transparent", _nft_wall),
        *("client-1", "web-1:80", "nft-drop", "space node/n1"),
    ),
    Case(
        *("MTU of the pod", "bridge", _link(_WEB2, "eth0", mtu=1400)),
        *("client-1", "web-2:80", "mtu", f"link {_WEB2} eth0"),
        size=1500,
    ),
    Case(
        *("MAC of the pod changed", "bridge", _link(_WEB1, "eth0", mac=OTHER_MAC)),
        *("client-2", "web-1:80", "mac-changed", f"link {_WEB1} eth0"),
    ),
    Case(
        *("MAC of the pod changed, routed", "transparent", _link(_WEB1, "eth0", mac=OTHER_MAC)),
        *("client-2", "web-1:80", "mac-changed", f"link {_WEB1} eth0"),
    ),
    Case(
        *("MAC of the NIC changed", "transparent", _link("node/n1", "eth0", mac=OTHER_MAC)),
        *("client-1", "web-2:80", "nic-mac-changed", "link node/n1 eth0"),
    ),
    Case(
        *("hairpin off", "bridge", _link("node/n1", "azv5", hairpin=False)),
        *("web-1", "svc/web", "hairpin-off", "link node/n1 azv5"),
    ),
    Case(
        *("hairpin off, kubenet", "kubenet", _link("node/n1", "veth5", hairpin=False)),
        *("web-1", "svc/web", "hairpin-off", "link node/n1 veth5"),
    ),
    Case(
        *("masquerade missing, to itself", "bridge"),
        _without_rules("node/n1", "nat", "KUBE-POSTROUTING"),
        *("web-1", "svc/web", "masquerade-missing", "space node/n1"),
    ),
    Case(
        *("masquerade missing, out", "kubenet"),
        _without_rules("node/n1", "nat", "IP-MASQ-AGENT"),
        *("web-1", "8.8.8.8:53", "masquerade-missing"),
    ),
    Case(
        *("masquerade missing, node port", "bridge"),
        _without_rules("node/n1", "nat", "KUBE-POSTROUTING"),
        *("client-2", "n1:30080", "masquerade-missing", "space node/n1"),
    ),
    Case(
        *("VNet masqueraded", "bridge"),
        _chain(
            *("node/n1", "nat", "IP-MASQ-AGENT"), lambda one: replace(one, rules=one.rules[-1:])
        ),
        *("client-1", "web-2:80", "masquerade-unwanted", "space node/n1"),
        harmless=True,
    ),
    Case(
        *("stale endpoint", "bridge", _stale_endpoint, "client-1", "svc/web", "endpoint-stale"),
        "service default/web",
    ),
    Case(
        *("no endpoints", "bridge", lambda seen: seen),
        *("client-1", "svc/empty", "service-no-endpoints", "service default/empty"),
    ),
    Case(
        *("no endpoints, routed", "transparent", lambda seen: seen),
        *("client-1", "svc/empty", "service-no-endpoints", "service default/empty"),
    ),
    Case(
        *("no rules of a service", "bridge"),
        _without_rules("node/n1", "nat", "KUBE-SERVICES"),
        *("client-1", "svc/web", "service-not-programmed", "service default/web"),
    ),
    Case(
        *("no such port", "bridge", lambda seen: seen),
        *("client-1", f"{build.WEB_IP}:81", "service-no-port", "service default/web"),
    ),
    Case(
        *("a service answers no ping", "bridge", lambda seen: seen),
        *("client-1", "svc/web", "service-no-port", "service default/web", "icmp"),
    ),
    Case(
        *("bridged packets unseen", "bridge"),
        _sysctl("node/n1", **{"net__bridge__bridge-nf-call-iptables": "0"}),
        *("client-1", "svc/web", "bridge-nf-off", "space node/n1"),
    ),
    Case(
        *("bridged packets unseen, kubenet", "kubenet"),
        _all(
            _sysctl("node/n1", **{"net__bridge__bridge-nf-call-iptables": "0"}),
            _space("node/n1", nft=_DEDUP),
        ),
        *("client-1", "svc/web", "bridge-nf-off", "space node/n1"),
    ),
    Case(
        *("DNS without endpoints", "bridge", _no_dns_endpoints),
        *("client-1", "web.default.svc.cluster.local:80", "service-no-endpoints"),
        "service kube-system/kube-dns",
    ),
    Case(
        *("resolv.conf", "bridge", _space(_CLIENT1, resolv_conf="nameserver 10.9.9.9\n")),
        *("client-1", "web.default:80", "dns-resolv-conf", "pod default/client-1"),
    ),
    Case(
        *("DNS server does not listen", "bridge", _space("pod/kube-system/dns", sockets=())),
        *("client-1", "web.default:80", "no-listener", "space pod/kube-system/dns"),
    ),
    Case(
        *("no such name", "bridge", lambda seen: seen),
        *("client-1", "nothing.default:80", "dns-no-such-name"),
    ),
    Case(
        *("NSG", "bridge", _subnet(security=DENY)),
        *("client-1", "web-2:80", "nsg-deny", "nic n2-nic"),
    ),
    Case(
        *("UDR to nowhere", "bridge", _user_route(NextHop.NONE)),
        *("client-1", "web-2:80", "udr-nowhere", "subnet rg/net aks"),
    ),
    Case(
        *("UDR to nobody", "bridge", _user_route(NextHop.VIRTUAL_APPLIANCE, "10.220.2.200")),
        *("client-1", "web-2:80", "udr-nowhere", "subnet rg/net aks"),
    ),
    Case(
        *("UDR to a NIC that does not forward", "bridge"),
        _user_route(NextHop.VIRTUAL_APPLIANCE, "10.220.2.4", "172.31.0.0/16"),
        *("client-2", "svc/kubernetes", "udr-no-forwarding", "nic n1-nic"),
    ),
    Case(
        *("kubenet NIC does not forward", "kubenet", _nic("n2-nic", ip_forwarding=False)),
        *("client-1", "web-2:80", "udr-no-forwarding", "nic n2-nic"),
    ),
    Case(
        *("a balancer has no such port", "bridge", lambda seen: seen),
        *("client-1", f"{build.FRONTEND_IP}:81", "balancer-no-rule"),
    ),
    Case(
        *("a balancer's rule is for others", "transparent"),
        _all(
            _without_rules("node/n1", "nat", "KUBE-SERVICES"),
            _balancer(_for_others),
        ),
        *("n1", f"{build.FRONTEND_IP}:80", "balancer-source"),
    ),
    Case(
        *("a balancer without backends", "transparent"),
        _all(
            _without_rules("node/n1", "nat", "KUBE-SERVICES"),
            _balancer(lambda one: replace(one, backends=())),
        ),
        *("n1", f"{build.FRONTEND_IP}:80", "balancer-no-backend"),
    ),
    Case(
        *("conntrack full", "transparent"),
        _sysctl(
            "node/n1",
            net__netfilter__nf_conntrack_max="100",
            net__netfilter__nf_conntrack_count="100",
        ),
        *("client-1", "web-2:80", "conntrack-full", "space node/n1"),
    ),
    Case(
        *("duplicate address", "bridge", _duplicate),
        *("client-1", "web-1:80", "duplicate-address", "space pod/default/client-2"),
        harmless=True,
    ),
    Case(
        *("no listener", "bridge", _space(_WEB1, sockets=())),
        *("client-1", "web-1:80", "no-listener", f"space {_WEB1}"),
    ),
    Case(
        *("blackhole", "transparent"),
        _routes("node/n1", lambda have: (*have, Route("10.220.2.36/32", kind="blackhole"))),
        *("client-1", "web-2:80", "blackhole-route", "space node/n1"),
    ),
    Case(
        *("blackhole rule", "transparent"),
        _space(
            "node/n1",
            rules=(
                PolicyRule(0, 255),
                PolicyRule(10, 0, action="blackhole", source="10.220.2.6/32"),
                PolicyRule(32766, 254),
            ),
        ),
        *("client-1", "web-2:80", "blackhole-route", "space node/n1"),
    ),
    Case(
        *("wrong gateway", "bridge"),
        _routes(_CLIENT1, lambda have: (Route("0.0.0.0/0", "eth0", "10.220.2.5"), *have[1:])),
        *("client-1", "8.8.8.8:53", "wrong-gateway", f"space {_CLIENT1}"),
    ),
    Case(
        *("wrong gateway, routed", "transparent"),
        _routes(_CLIENT1, lambda have: (Route("0.0.0.0/0", "eth0", "169.254.9.9"), *have[1:])),
        *("client-1", "web-2:80", "wrong-gateway", f"space {_CLIENT1}"),
    ),
    Case(
        *("nft table flushed", "bridge", _space("node/n1", nft=())),
        *("client-1", "web-2:80", "nft-table-missing", "space node/n1"),
    ),
    Case(
        *("fdb entry wrong", "bridge"),
        _space("node/n1", fdb=(FdbEntry("azure0", "azv6", "02:00:00:00:00:05"),)),
        *("client-2", "web-1:80", "fdb-wrong", "link node/n1 azv6"),
    ),
)
