"""Faults that are planted into a running lab: how, how they are mended, and whom to blame.

Each is a real change of the kernel, of Kubernetes or of the VNet, which stops one connection. A
command names its place: node 0 or 1 (`n0:`), the namespace of pod a, b or c (`a:`), or the VNet's
owner, who puts one rule or one route on the nodes' subnet (`nsg: PORT`, `udr: PREFIX HOP [IP]`) and
takes both away (`open:`). The bed's values stand in braces. Pod a is on node 0, b beside it, c on
node 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """source, target: as given to explain. culprits: the names of faults that are right answers, ()
    when the packet arrives all the same; blamed: what the culprit's object or text must name. size:
    bytes of the packet; broken: whether a small connection fails while it is planted. mode: whose
    lab. finding: the doctor's kind, whose command, typed as it is printed, must mend it; "": it is
    not asked."""

    name: str
    plant: tuple[str, ...]
    mend: tuple[str, ...]
    culprits: tuple[str, ...]
    blamed: str
    source: str = "{pod_a}"
    target: str = "{ip_c}:80"
    size: int = 0
    protocol: str = "tcp"
    broken: bool = True
    mode: str = "bridge"
    finding: str = ""


def _iptables(fault: str, rule: str, culprit: str, blamed: str, **rest: str) -> Fault:
    table, _, text = rule.partition(" ")
    return Fault(
        fault,
        (f"n0: iptables -t {table} -I {text}",),
        (f"n0: iptables -t {table} -D {text}",),
        (culprit,),
        blamed,
        **rest,  # type: ignore[arg-type]
    )


_DEFAULT = "ip route add default via 10.220.2.1 dev eth0"
_NEIGHBOUR = "n0: ip neigh replace {ip_a} lladdr {mac_a} dev azure0 nud permanent"
_ELEMENT = "bridge azure-vnet pod_mac"


def faults() -> Iterator[Fault]:
    yield from _of_the_pod()
    yield from _of_the_node()
    yield from _of_rules()
    yield from _of_services()
    yield from _of_the_vnet()


def _of_the_pod() -> Iterator[Fault]:
    back = ("a: ip addr add {ip_a}/24 dev eth0", f"a: {_DEFAULT}")
    yield Fault(
        "the pod's address is removed",
        ("a: ip addr del {ip_a}/24 dev eth0",),
        back,
        ("pod-address-missing", "no-route", "pod-route-missing"),
        "{pod_a}",
    )
    yield Fault(
        "the target's address is removed",
        ("c: ip addr del {ip_c}/24 dev eth0",),
        ("c: ip addr add {ip_c}/24 dev eth0", f"c: {_DEFAULT}"),
        ("pod-address-missing",),
        "{pod_c}",
    )
    yield Fault(
        "the pod has no default route",
        ("a: ip route del default",),
        (f"a: {_DEFAULT}",),
        ("no-route", "pod-route-missing"),
        "{pod_a}",
        target="{ip_svc}:80",
    )
    yield Fault(
        "the pod's neighbour has another MAC",
        ("a: ip neigh replace {ip_c} lladdr 02:00:00:00:00:96 dev eth0 nud permanent",),
        ("a: ip neigh del {ip_c} dev eth0",),
        ("neighbour-wrong-mac",),
        "{ip_c}",
    )
    yield Fault(
        "the pod's link has another MAC",
        ("a: ip link set eth0 address 02:00:00:00:00:99",),
        ("a: ip link set eth0 address {mac_a}",),
        ("mac-changed", "mac-mismatch"),
        "{pod_a}",
    )
    yield Fault(
        "the pod's link is down",
        ("a: ip link set eth0 down",),
        ("a: ip link set eth0 up", f"a: {_DEFAULT}"),
        ("link-down", "no-route"),
        "eth0",
    )
    yield Fault(
        "nothing listens",
        (),
        (),
        ("no-listener",),
        "81",
        target="{ip_c}:81",
    )
    yield Fault(
        "a blackhole route in the pod",
        ("a: ip route add blackhole {ip_c}/32",),
        ("a: ip route del blackhole {ip_c}/32",),
        ("blackhole-route",),
        "{ip_c}",
    )


def _of_the_node() -> Iterator[Fault]:
    yield Fault(
        "the veth is down on the node",
        ("n0: ip link set {azv_a} down",),
        ("n0: ip link set {azv_a} up",),
        ("link-down", "no-carrier"),
        "{azv_a}",
    )
    yield Fault(
        "the veth is no port of azure0",
        ("n0: ip link set {azv_a} nomaster",),
        ("n0: ip link set {azv_a} master azure0", "n0: bridge link set dev {azv_a} hairpin on"),
        ("veth-not-enslaved",),
        "{azv_a}",
    )
    yield Fault(
        "the port is disabled",
        ("n0: bridge link set dev {azv_a} state 0",),
        ("n0: bridge link set dev {azv_a} state 3",),
        ("port-disabled",),
        "{azv_a}",
    )
    yield Fault(
        "the node's NIC is no port of azure0",
        ("n0: ip link set eth0 nomaster",),
        ("n0: ip link set eth0 master azure0", "n0: bridge link set dev eth0 hairpin on"),
        ("veth-not-enslaved", "neighbour-unresolved"),
        "eth0",
    )
    yield Fault(
        "azure0 is down",
        ("n0: ip link set azure0 down",),
        ("n0: ip link set azure0 up", "n0: ip route replace default via 10.220.2.1 dev azure0"),
        ("link-down",),
        "azure0",
    )
    yield Fault(
        "the permanent neighbour has another MAC",
        ("n0: ip neigh replace {ip_a} lladdr 02:00:00:00:00:98 dev azure0 nud permanent",),
        (_NEIGHBOUR,),
        ("neighbour-wrong-mac",),
        "{ip_a}",
        source="{node_0}",
        target="{ip_a}:80",
    )
    yield Fault(
        "the element of the pod is missing, and the node does not route in its place",
        (
            "n0: sysctl -qw net.ipv4.ip_forward=0",
            f"n0: nft delete element {_ELEMENT} '{{{{ {{ip_a}} }}}}'",
        ),
        (
            "n0: sysctl -qw net.ipv4.ip_forward=1",
            f"n0: nft add element {_ELEMENT} '{{{{ {{ip_a}} : {{mac_a}} }}}}'",
        ),
        ("pod-mac-element-missing", "ip-forward-off"),
        "a",
        source="{pod_c}",
        target="{ip_a}:80",
    )
    yield Fault(
        "the element of the pod has another MAC",
        (
            f"n0: nft delete element {_ELEMENT} '{{{{ {{ip_a}} }}}}'",
            f"n0: nft add element {_ELEMENT} '{{{{ {{ip_a}} : 02:00:00:00:00:97 }}}}'",
        ),
        (
            f"n0: nft delete element {_ELEMENT} '{{{{ {{ip_a}} }}}}'",
            f"n0: nft add element {_ELEMENT} '{{{{ {{ip_a}} : {{mac_a}} }}}}'",
        ),
        ("pod-mac-element-wrong",),
        "{ip_a}",
        source="{pod_c}",
        target="{ip_a}:80",
    )
    yield Fault(
        "a blackhole route on the node",
        ("n0: ip route add blackhole {ip_c}/32",),
        ("n0: ip route del blackhole {ip_c}/32",),
        ("blackhole-route",),
        "{ip_c}",
        source="{node_0}",
    )
    yield Fault(
        "the node does not forward",
        ("n0: sysctl -qw net.ipv4.ip_forward=0",),
        ("n0: sysctl -qw net.ipv4.ip_forward=1",),
        ("ip-forward-off",),
        "ip_forward",
        target="{ip_svc}:80",
    )
    yield Fault(
        "a smaller MTU on the way",
        ("n0: ip link set {azv_a} mtu 1000",),
        ("n0: ip link set {azv_a} mtu 1500",),
        ("mtu",),
        "{azv_a}",
        size=1400,
        broken=False,
    )
    yield Fault(
        "two have the address",
        ("b: ip addr add {ip_a}/24 dev eth0",),
        ("b: ip addr del {ip_a}/24 dev eth0",),
        ("duplicate-address",),
        "{ip_a}",
        broken=False,
        source="{pod_b}",
        target="{ip_a}:80",
    )


def _of_rules() -> Iterator[Fault]:
    yield _iptables(
        "a rule drops what is forwarded",
        "filter FORWARD -d {ip_c}/32 -p tcp -j DROP",
        "iptables-rule-drop",
        "DROP",
    )
    yield _iptables(
        "a rule rejects a port",
        "filter FORWARD -s {ip_a}/32 -p tcp --dport 80 -j REJECT",
        "iptables-rule-drop",
        "REJECT",
    )
    yield Fault(
        "the policy of FORWARD is DROP",
        ("n0: iptables -P FORWARD DROP", "n0: iptables -I FORWARD -s 203.0.113.1/32 -j ACCEPT"),
        ("n0: iptables -P FORWARD ACCEPT", "n0: iptables -D FORWARD -s 203.0.113.1/32 -j ACCEPT"),
        ("iptables-policy-drop",),
        "FORWARD",
    )
    yield Fault(
        "a foreign nft table drops",
        (
            "n0: nft add table inet foreign",
            (
                "n0: nft add chain inet foreign in "
                "'{{ type filter hook prerouting priority -300; policy accept; }}'"
            ),
            "n0: nft add rule inet foreign in ip saddr {ip_a} tcp dport 80 drop",
        ),
        ("n0: nft delete table inet foreign",),
        ("nft-drop",),
        "foreign",
    )
    yield Fault(
        "the bridge table is flushed",
        (
            (
                "n0: nft list table bridge azure-vnet > /tmp/azure-vnet.nft; "
                "nft delete table bridge azure-vnet"
            ),
        ),
        ("n0: nft -f /tmp/azure-vnet.nft",),
        ("nft-table-missing", "spoofed-source", "nic-mac-changed"),
        "azure-vnet",
    )


def _of_services() -> Iterator[Fault]:
    yield Fault(
        "a service without endpoints",
        (),
        (),
        ("service-no-endpoints",),
        "default/empty",
        target="svc/default/empty:80",
    )
    yield Fault(
        "a pod reaches itself by its service, but its port has no hairpin",
        ("n0: bridge link set dev {azv_a} hairpin off",),
        ("n0: bridge link set dev {azv_a} hairpin on",),
        ("hairpin-off",),
        "{azv_a}",
        target="svc/default/self:80",
    )
    yield Fault(
        "nobody masquerades what a pod sends to itself",
        ("n0: iptables-save -t nat > /tmp/nat; iptables -t nat -F KUBE-POSTROUTING",),
        ("n0: iptables-restore -T nat < /tmp/nat",),
        ("masquerade-missing",),
        "masquerade",
        target="svc/default/self:80",
    )
    yield Fault(
        "the service's rules lead to an endpoint that is gone",
        (
            (
                "n0: iptables -t nat -I KUBE-SERVICES -d {ip_svc}/32 -p tcp --dport 80 "
                "-j DNAT --to-destination 10.220.2.30:80"
            ),
        ),
        (
            (
                "n0: iptables -t nat -D KUBE-SERVICES -d {ip_svc}/32 -p tcp --dport 80 "
                "-j DNAT --to-destination 10.220.2.30:80"
            ),
        ),
        ("endpoint-stale", "pod-gone", "unowned-address"),
        "10.220.2.30",
        target="svc/default/one:80",
    )
    yield Fault(
        "the node has no rules for the service",
        ("n0: iptables-save -t nat > /tmp/nat; iptables -t nat -F KUBE-SERVICES",),
        ("n0: iptables-restore -T nat < /tmp/nat",),
        ("service-not-programmed",),
        "default/one",
        target="svc/default/one:80",
    )
    yield Fault(
        "bridged packets do not pass iptables",
        ("n0: sysctl -qw net.bridge.bridge-nf-call-iptables=0",),
        ("n0: sysctl -qw net.bridge.bridge-nf-call-iptables=1",),
        ("bridge-nf-off",),
        "bridge-nf-call-iptables",
        target="svc/default/local:80",
    )
    yield Fault(
        "the pod's resolv.conf names nobody",
        ("n0: cp {resolv_a} /tmp/resolv; echo 'nameserver 10.220.2.249' > {resolv_a}",),
        ("n0: cat /tmp/resolv > {resolv_a}",),
        ("dns-resolv-conf",),
        "10.220.2.249",
        target="one.default.svc.cluster.local:80",
        broken=False,
    )


def _of_the_vnet() -> Iterator[Fault]:
    yield Fault(
        "a security group denies the port",
        ("nsg: 80",),
        ("open:",),
        ("nsg-deny",),
        "closed",
    )
    yield Fault(
        "a route leads nowhere",
        ("udr: {ip_c}/32 None",),
        ("open:",),
        ("udr-nowhere",),
        "{ip_c}/32",
    )
    yield Fault(
        "a route leads to a card that does not forward",
        ("udr: {ip_c}/32 VirtualAppliance 10.220.2.4",),
        ("open:",),
        ("udr-no-forwarding",),
        "10.220.2.4",
    )
