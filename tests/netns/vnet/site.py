"""A fabric with any machines, and where a frame that one of them sends comes out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import count

from podwire.kernel.netns import NetNamespace
from podwire.kernel.rtnetlink import RtNetlink
from podwire.model.cluster import CONTROL_PLANE_SUBNET, PLATFORM_ADDRESS
from podwire.model.vnet import FABRIC_MAC, Nic, VNet
from podwire.vnet.fabric import Fabric

from .frames import Frame, Tap, udp

CONTROL = Nic("control-plane", "00:0d:3a:00:00:fe", CONTROL_PLANE_SUBNET, (PLATFORM_ADDRESS,))
PORT = 9999


@dataclass
class Host:
    nic: Nic
    namespace: NetNamespace
    tap: Tap


@dataclass
class Site:
    """The control plane is there always: what it sends passes whatever the user's rules say."""

    fabric: Fabric
    stack: ExitStack
    hosts: dict[str, Host] = field(default_factory=dict)
    _words: count[int] = field(default_factory=count)

    @classmethod
    def build(cls, vnet: VNet, stack: ExitStack) -> Site:
        _stay_on_one_processor(stack)
        fabric = Fabric.create(vnet)
        stack.callback(fabric.close)
        site = cls(fabric, stack)
        site.plug(CONTROL)
        return site

    def add(self, name: str, subnet: str, *addresses: str, **more: object) -> Host:
        mac = f"00:0d:3a:00:01:{len(self.hosts):02x}"
        nic = Nic(name, mac, self.fabric.vnet.subnet(subnet), addresses, **more)  # type: ignore[arg-type]
        return self.plug(nic)

    def plug(self, nic: Nic) -> Host:
        namespace = self.stack.enter_context(NetNamespace.create())
        with RtNetlink(namespace) as door:
            door.set_link(door.index("lo"), up=True)
        self.fabric.attach(nic, namespace)
        tap = Tap(namespace)
        self.stack.callback(tap.close)
        self.hosts[nic.name] = Host(nic, namespace, tap)
        return self.hosts[nic.name]

    def change(self, name: str, **more: object) -> None:
        host = self.hosts[name]
        host.nic = replace(host.nic, **more)  # type: ignore[arg-type]
        self.fabric.attach(host.nic, host.namespace)

    def reaches(self, sender: str, destination: str, source: str = "") -> tuple[str, ...]:
        """The hosts that a datagram from `sender` to the address comes to."""
        nic = self.hosts[sender].nic
        word = f"word {next(self._words)}".encode()
        frame = udp(FABRIC_MAC, nic.mac, source or nic.primary, destination, word, PORT)
        return self.sees(sender, frame, lambda one: one == word)

    def sees(
        self, sender: str, frame: bytes, is_it: Callable[[bytes | None], bool]
    ) -> tuple[str, ...]:
        """The hosts to which a frame comes whose UDP payload is the one."""
        self.hosts[sender].tap.send(frame)
        return tuple(name for name in self._others() if self._has_seen(name, is_it))

    def _others(self) -> list[str]:
        return [one for one in self.hosts if one != CONTROL.name]

    def _has_seen(self, name: str, is_it: Callable[[bytes | None], bool]) -> bool:
        packets = [one for one in self.frames_at(name) if one.kind == 0x0800]  # to the last one
        return any(is_it(one.udp_payload) for one in packets)

    def frames_at(self, name: str) -> Iterator[Frame]:
        """What has come to the host since the last look: what the control plane sends afterwards
        shows that nothing else is to come."""
        host, last = self.hosts[name], f"last {next(self._words)}".encode()
        tap = self.hosts[CONTROL.name].tap
        tap.send(udp(FABRIC_MAC, CONTROL.mac, PLATFORM_ADDRESS, host.nic.primary, last, PORT))
        for one in host.tap.received():
            if one.udp_payload == last:
                return
            yield one
        raise AssertionError(f"{name} is not reached by the control plane")


def _stay_on_one_processor(stack: ExitStack) -> None:
    """What is sent later then comes later, also when the kernel puts packets off (ksoftirqd)."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    stack.callback(os.sched_setaffinity, 0, before)
