"""Faults of one mode alone, of the same table as `faults`; there stands how they are written.

The doctor is asked about each that names a finding: its own command is the mending, and a second
one, of `mend`, only for what a test that failed halfway left.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from tests.e2e.faults import Fault

_HOP = "169.254.1.1"
_OTHER = "02:00:00:00:00:96"
_KEEPER = "$(pgrep -f kubenet-keepe[r])"


def of_modes() -> Iterator[Fault]:
    yield from _transparent()
    yield from _kubenet()
    yield from _of_the_vnet()


def _transparent() -> Iterator[Fault]:
    ours = partial(Fault, mode="transparent", finding="pod-wiring")
    to_a = partial(ours, source="{pod_c}", target="{ip_a}:80")
    routed = ("n0: ip route replace {ip_a}/32 dev {azv_a}",)
    known = ("n0: ip neigh replace {ip_a} lladdr {mac_a} dev {azv_a} nud permanent",)
    hop = (f"a: ip neigh replace {_HOP} lladdr aa:aa:aa:aa:aa:aa dev eth0 nud permanent",)
    yield to_a(
        "the node has no route to the pod",
        ("n0: ip route del {ip_a}/32 dev {azv_a}",),
        routed,
        ("pod-route-missing",),
        "{pod_a}",
    )
    yield to_a(
        "the route leads to another pod",
        ("n0: ip route replace {ip_a}/32 dev {azv_b}",),
        routed,
        ("pod-route-missing",),
        "{pod_a}",
    )
    yield to_a(
        "the node's neighbour has another MAC",
        (f"n0: ip neigh replace {{ip_a}} lladdr {_OTHER} dev {{azv_a}} nud permanent",),
        known,
        ("neighbour-wrong-mac",),
        "{ip_a}",
    )
    yield to_a(
        "the node's neighbour is gone, and ARP is asked",
        ("n0: ip neigh del {ip_a} dev {azv_a}",),
        known,
        (),
        "{ip_a}",
        broken=False,
    )
    yield ours(
        "the pod's next hop has no neighbour",
        (f"a: ip neigh del {_HOP} dev eth0",),
        hop,
        ("neighbour-missing",),
        _HOP,
    )
    yield ours(
        "the host's end has another MAC",
        ("n0: ip link set {azv_a} address 02:00:00:00:00:96",),
        ("n0: ip link set {azv_a} address aa:aa:aa:aa:aa:aa", *known),
        ("mac-mismatch",),
        "{azv_a}",
    )
    yield ours(
        "the MTU of the pod's link",
        ("n0: ip link set {azv_a} mtu 1000",),
        ("n0: ip link set {azv_a} mtu 1500",),
        ("mtu",),
        "{azv_a}",
        size=1400,
        broken=False,
        finding="mtu-differs",
    )
    yield ours(
        "the node does not forward",
        ("n0: sysctl -qw net.ipv4.ip_forward=0",),
        ("n0: sysctl -qw net.ipv4.ip_forward=1",),
        ("ip-forward-off",),
        "ip_forward",
        finding="node-wiring",
    )
    yield ours(
        "rp_filter is strict, which routed pods do not mind",
        ("n0: sysctl -qw net.ipv4.conf.all.rp_filter=1",),
        ("n0: sysctl -qw net.ipv4.conf.all.rp_filter=0",),
        (),
        "rp_filter",
        broken=False,
        finding="rp-filter-strict",
    )


def _kubenet() -> Iterator[Fault]:
    kept = partial(Fault, mode="kubenet", finding="kubenet-wiring")
    to_a = partial(kept, source="{pod_c}", target="{ip_a}:80")
    hairpin = "n0: bridge link set dev {azv_a} hairpin on"
    yield to_a(
        "the veth is no port of cbr0",
        ("n0: ip link set {azv_a} nomaster",),
        ("n0: ip link set {azv_a} master cbr0", hairpin),
        ("veth-not-enslaved",),
        "{azv_a}",
    )
    yield kept(
        "a pod reaches itself by its service, but its port has no hairpin",
        ("n0: bridge link set dev {azv_a} hairpin off",),
        (hairpin,),
        ("hairpin-off",),
        "{azv_a}",
        target="svc/default/self:80",
    )
    yield to_a(
        "cbr0 has not the gateway's address",
        ("n0: ip addr del {gateway_0} dev cbr0",),
        ("n0: ip addr replace {gateway_0} dev cbr0",),
        ("pod-route-missing",),
        "{gateway_0}",
    )
    yield to_a(
        "cbr0 is down",
        ("n0: ip link set cbr0 down",),
        ("n0: ip link set cbr0 up",),
        ("link-down",),
        "cbr0",
        finding="link-down",
    )
    yield kept(
        "the rule that masquerades is gone, and who brings it back sleeps",
        (
            (
                f"n0: kill -STOP {_KEEPER}; iptables-save -t nat > /tmp/nat; "
                "grep -v 'kubenet: SNAT' /tmp/nat | iptables-restore -T nat"
            ),
        ),
        (f"n0: kill -CONT {_KEEPER}",),
        (),
        "kubenet: SNAT",
        broken=False,
    )
    yield kept(
        "bridged packets do not pass iptables",
        ("n0: sysctl -qw net.bridge.bridge-nf-call-iptables=0",),
        ("n0: sysctl -qw net.bridge.bridge-nf-call-iptables=1",),
        ("bridge-nf-off",),
        "bridge-nf-call-iptables",
        target="svc/default/local:80",
        finding="sysctl-wrong",
    )
    held = "/var/lib/cni/networks/kubenet/{ip_a}9"
    yield kept(
        "host-local holds an address for nobody",
        (f"n0: echo {'f' * 64} > {held}; touch -d '1 hour ago' {held}",),
        (f"n0: rm -f {held}",),
        (),
        "{ip_a}9",
        broken=False,
        finding="lease-leaked",
    )


def _of_the_vnet() -> Iterator[Fault]:
    """The doctor's command for these is one of `az`, which these tests do not start."""
    led = partial(Fault, mode="kubenet", mend=("open:",))
    yield led(
        "a narrower route leads the node's pods nowhere",
        ("udr: {half_1} None",),
        culprits=("udr-nowhere",),
        blamed="{half_1}",
    )
