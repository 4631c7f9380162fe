"""`podwire plan`: a cluster's addresses, and what AKS would refuse, without building anything."""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv4Network
from typing import Any

import click

from podwire.cli import plan_text
from podwire.cli.output import output_option, print_json
from podwire.cli.plan_options import (
    PoolWish,
    Reading,
    as_vnet,
    read_cidr,
    read_ip,
    read_pool,
    read_subnet,
)
from podwire.model.ip_modes import MODES, Mode, PodsFrom, Ranges
from podwire.model.node_pool import USER, Pool, Surge
from podwire.model.plan import ModePlan, Refusal, network_refusals, plan_mode
from podwire.model.vnet import Subnet

_CIDR = Reading("CIDR", read_cidr)
_SUBNET = Reading("[NAME=]CIDR", read_subnet)
_POOL = Reading("NAME:COUNT[:KEY=VALUE]...", read_pool)
_ALL = "all"


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked, as the options name it."""

    subnet: Subnet | None
    pod_subnet: Subnet | None
    pod_cidr: IPv4Network
    service_cidr: IPv4Network
    dns_service_ip: str
    vnet: tuple[IPv4Network, ...]
    other_subnet: tuple[Subnet, ...]
    pool: tuple[PoolWish, ...]
    max_pods: int | None
    max_surge: Surge
    mode: str

    def network(self) -> tuple[Refusal, ...]:
        named = (self.subnet, self.pod_subnet, *self.other_subnet)
        modes = [one for one in MODES if self.mode in (_ALL, one.name)]
        has_pod_cidr = any(one.pods_from is PodsFrom.POD_CIDR for one in modes)
        return network_refusals(
            as_vnet(self.vnet, [one for one in named if one is not None]),
            str(self.service_cidr),
            self.dns_service_ip,
            str(self.pod_cidr) if has_pod_cidr else None,
        )

    def plans(self) -> list[ModePlan]:
        ranges = Ranges(self.subnet, self.pod_subnet, self.pod_cidr)
        return [
            plan_mode(mode, self._pools(mode), ranges)
            for mode in MODES
            if self.mode in (_ALL, mode.name)
        ]

    def _pools(self, mode: Mode) -> list[Pool]:
        """The first is the system pool, as AKS makes it."""
        first, *rest = (one.pool(mode, self.max_pods, self.max_surge) for one in self.pool)
        return [first, *(replace(one, mode=USER) for one in rest)]


@click.command()
@click.option("--subnet", type=_SUBNET, help="The nodes' subnet; without it nothing is too large.")
@click.option(
    "--pool",
    type=_POOL,
    multiple=True,
    default=["nodepool1:3"],
    show_default=True,
    help="A node pool, the system pool first. Keys: min, max (the autoscaler's), max-pods, surge.",
)
@click.option(
    "--mode",
    type=click.Choice([_ALL, *(one.name for one in MODES)]),
    default=_ALL,
    show_default=True,
    help="How pods get addresses.",
)
@click.option(
    "--max-pods",
    type=int,
    help="Pods per node, for pools that name none. Default: "
    + ", ".join(f"{one.name} {one.default_max_pods}" for one in MODES)
    + ".",
)
@click.option(
    "--max-surge",
    type=Reading("N or N%", Surge.parse),
    default="1",
    show_default=True,
    help="Nodes that an upgrade adds to a pool at once, for pools that name none.",
)
@click.option("--pod-subnet", type=_SUBNET, help="The pods' subnet in mode pod-subnet.")
@click.option(
    "--pod-cidr",
    type=_CIDR,
    default="10.244.0.0/16",
    show_default=True,
    help="The pods' range in overlay and kubenet.",
)
@click.option("--service-cidr", type=_CIDR, default="10.0.0.0/16", show_default=True)
@click.option(
    "--dns-service-ip", type=Reading("IP", read_ip), default="10.0.0.10", show_default=True
)
@click.option("--vnet", type=_CIDR, multiple=True, help="The VNet's range; may be given twice.")
@click.option(
    "--other-subnet", type=_SUBNET, multiple=True, help="A subnet that the VNet has besides."
)
@output_option
def plan(output: str, **options: Any) -> None:
    """How many addresses a cluster takes, when it breaks, and what would fit. Builds nothing.

    The rules are AKS's, with its codes and texts; the lab goes by the same ones. Node counts that
    an upgrade or the autoscaler reaches are counted too. Defaults are those of `az aks create`.

    \b
    Does a cluster of 8 nodes fit a /24?
      podwire plan --subnet 10.220.2.0/24 --pool nodepool1:8 --mode node-subnet
    Two pools, one with an autoscaler, upgraded by a third at a time:
      podwire plan --subnet 10.220.2.0/23 --pool system:3 --pool gpu:2:max=10:max-pods=50:surge=33%
    What subnet do 50 nodes need, in each mode?
      podwire plan --pool nodepool1:50
    With a pod subnet, and the VNet's other subnets:
      podwire plan --mode pod-subnet --subnet nodes=10.1.0.0/24 --pod-subnet pods=10.1.4.0/22 \\
                   --vnet 10.1.0.0/16 --other-subnet gateway=10.1.1.0/24 --pool nodepool1:20
    For a script:
      podwire plan --subnet 10.220.2.0/24 --mode node-subnet -o json | jq .fits

    Exit status: 0 it fits, now, during an upgrade, and at the autoscaler's maximum; 1 something is
    refused in a mode that is shown; 2 a value cannot be read.
    """
    wish = _named(Wish(**options))
    if wish.max_pods is not None and wish.max_pods < 0:
        raise click.BadParameter(f"{wish.max_pods} is negative", param_hint="'--max-pods'")
    names = [one.name for one in wish.pool]
    if twice := next((one for one in names if names.count(one) > 1), None):
        message = f"two node pools have the name {twice!r}; give each one of its own"
        raise click.BadParameter(message, param_hint="'--pool'")
    network, plans = wish.network(), wish.plans()
    if output == "json":
        print_json(plan_text.document(network, plans))
    else:
        plan_text.show(network, plans)
    if network or not all(one.fits for one in plans):
        raise SystemExit(1)


def _named(wish: Wish) -> Wish:
    """Subnets without a name have one that tells what they are for."""

    def name(subnet: Subnet | None, otherwise: str) -> Subnet | None:
        return replace(subnet, name=subnet.name or otherwise) if subnet is not None else None

    others = [
        replace(one, name=one.name or f"other{at}") for at, one in enumerate(wish.other_subnet)
    ]
    return replace(
        wish,
        subnet=name(wish.subnet, "nodes"),
        pod_subnet=name(wish.pod_subnet, "pods"),
        other_subnet=tuple(others),
    )
