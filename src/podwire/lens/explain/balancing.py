"""What a load balancer of the VNet does with a packet to one of its frontends: a pure decision.

Source: the model's load_balancer; docs/adr/0012.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from podwire.lens.explain.skb import Skb
from podwire.lens.snapshot import Balancer, Plugged, VirtualNetwork
from podwire.model.load_balancer import Rule


@dataclass(frozen=True, slots=True)
class Balanced:
    """fault, text: why not, of what is refused; else rule, and owners: the NICs that may get it."""

    text: str
    fault: str = ""
    rule: Rule | None = None
    owners: tuple[Plugged, ...] = ()


def owner_of(vnet: VirtualNetwork, address: str) -> Plugged | None:
    """The NIC that has the address."""
    return next((one for one in vnet.nics if address in one.nic.addresses), None)


def balance(vnet: VirtualNetwork, skb: Skb) -> Balanced | None:
    """None when the destination is no balancer's."""
    for one in vnet.balancers:
        if any(front.address == skb.dst for front in one.balancer.frontends):
            return _decide(vnet, one, skb)
    return None


def _decide(vnet: VirtualNetwork, one: Balancer, skb: Skb) -> Balanced:
    name = one.balancer.name
    rule = next((rule for rule in one.balancer.rules if _serves(one, rule, skb)), None)
    if rule is None:
        text = f"load balancer {name} has no rule for {skb.dst} {skb.protocol}/{skb.dport}"
        return Balanced(text, "balancer-no-rule")
    nets = [IPv4Network(net, strict=False) for net in rule.sources]
    if nets and not any(IPv4Address(skb.src) in net for net in nets):
        text = f"rule {rule.name} of load balancer {name} is not for {skb.src}"
        return Balanced(text, "balancer-source")
    owners = [owner_of(vnet, backend) for backend in _healthy(one, rule)]
    found = tuple(owner for owner in owners if owner is not None)
    if not found:
        text = f"no backend of rule {rule.name} of load balancer {name} is healthy"
        return Balanced(text, "balancer-no-backend")
    text = f"{name}, rule {rule.name}: to {found[0].nic.primary}, one of {len(found)}"
    return Balanced(text, "", rule, found)


def _healthy(one: Balancer, rule: Rule) -> list[str]:
    every = one.balancer.backends
    return [end for end in every if not rule.probe or f"{rule.name} {end}" in one.healthy]


def _serves(one: Balancer, rule: Rule, skb: Skb) -> bool:
    front = one.balancer.frontend(rule.frontend)
    return (front.address, rule.protocol, rule.frontend_port) == (skb.dst, skb.protocol, skb.dport)
