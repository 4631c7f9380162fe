"""All kinds of resources that the endpoint answers for, put together over one desk."""

from __future__ import annotations

from collections.abc import Mapping

from podwire.arm.backend import Backend
from podwire.arm.desk import Desk, Renderer, Rules
from podwire.arm.dispatch import Dispatcher
from podwire.arm.kinds.base import Kind
from podwire.arm.kinds.groups import Groups
from podwire.arm.kinds.network import Peerings, Subnets, VirtualNetworks
from podwire.arm.kinds.platform import Platform
from podwire.arm.operations import Deed, Operations
from podwire.arm.store import ArmStore
from podwire.lab.steps import Emit


def build(
    subscription: str, store: ArmStore, lab: Backend, rules: Rules, renderer: Renderer, emit: Emit
) -> Dispatcher:
    """What answers requests. `dispatcher.desk.operations.resume()` goes on with what was begun."""
    deeds: dict[str, Deed] = {}
    operations = Operations(store, deeds)
    desk = Desk(subscription, store, operations, lab, rules, renderer, emit)
    kinds = _kinds(desk)
    for kind in kinds.values():
        deeds.update(kind.deeds)
    groups = kinds[Groups.name.lower()]
    assert isinstance(groups, Groups)
    return Dispatcher(desk, kinds, Platform(desk, groups, [one.name for one in kinds.values()]))


def _kinds(desk: Desk) -> Mapping[str, Kind]:
    kinds: dict[str, Kind] = {}
    vnets = VirtualNetworks(desk)
    found: list[Kind] = [
        Groups(desk, kinds),
        vnets,
        Subnets(desk, vnets),
        Peerings(desk, vnets),
    ]
    kinds.update({one.name.lower(): one for one in found})
    return kinds
