"""A fabric with two nodes and the control plane plugged in; all vanishes with the fixture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from podwire.kernel.netns import NetNamespace
from podwire.kernel.rtnetlink import RtNetlink
from podwire.model.cluster import CONTROL_PLANE_SUBNET
from podwire.model.vnet import Nic, Subnet, VNet
from podwire.vnet.fabric import Fabric

from .frames import Tap

SUBNET = Subnet("azurecni", "10.220.2.0/24")
VNET = VNet("aksvnet", "NetworkLab", ("10.220.0.0/16",), (SUBNET,))
A = Nic("nic-a", "00:0d:3a:00:00:0a", SUBNET, ("10.220.2.4", "10.220.2.5", "10.220.2.6"))
B = Nic("nic-b", "00:0d:3a:00:00:0b", SUBNET, ("10.220.2.35", "10.220.2.36"))
CONTROL = Nic("control-plane", "00:0d:3a:00:00:0c", CONTROL_PLANE_SUBNET, ("172.31.0.4",))


@dataclass
class Machine:
    """A namespace with a NIC in it."""

    nic: Nic
    namespace: NetNamespace


@dataclass
class Net:
    fabric: Fabric
    a: Machine
    b: Machine
    control: Machine
    tap: Callable[[Machine], Tap]

    @property
    def machines(self) -> tuple[Machine, ...]:
        return (self.a, self.b, self.control)


@pytest.fixture
def new_namespace() -> Iterator[Callable[[], NetNamespace]]:
    """Makes namespaces that are closed at the end, their loopback up."""
    with ExitStack() as stack:

        def make() -> NetNamespace:
            made = stack.enter_context(NetNamespace.create())
            with RtNetlink(made) as door:
                door.set_link(door.index("lo"), up=True)
            return made

        yield make


@pytest.fixture
def fabric() -> Iterator[Fabric]:
    made = Fabric.create(VNET)
    yield made
    made.close()


@pytest.fixture
def net(fabric: Fabric, new_namespace: Callable[[], NetNamespace]) -> Iterator[Net]:
    with ExitStack() as stack:

        def tap(machine: Machine) -> Tap:
            made = Tap(machine.namespace)
            stack.callback(made.close)
            return made

        a, b, control = (Machine(nic, new_namespace()) for nic in (A, B, CONTROL))
        for machine in (a, b, control):
            fabric.attach(machine.nic, machine.namespace)
        yield Net(fabric, a, b, control, tap)
