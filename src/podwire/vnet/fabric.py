"""The fabric of one VNet: its network namespace, and the NICs that are plugged into it.

Held by a file descriptor of this process alone, so that it vanishes with the process. Must not
know what is behind a NIC. What the fabric is made of say `segments`, `steering` and `classes`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import count

from podwire.kernel import wire
from podwire.kernel.netns import NetNamespace
from podwire.kernel.rtnetlink import RtNetlink
from podwire.kernel.tap import create_tap
from podwire.model.errors import InvalidInputError, KernelError
from podwire.model.vnet import Nic, VNet
from podwire.model.vnet_change import check_change
from podwire.model.wiring import Element, Table, Veth, Wiring
from podwire.vnet.classes import classes
from podwire.vnet.drops import Drops, read_drops
from podwire.vnet.scene import NIC_LINK, Port, Scene, subnet_tables
from podwire.vnet.segments import FABRIC, FAR, NODE, TABLE, TRUSTED, fabric_wiring, node_wiring
from podwire.vnet.steering import OUTSIDE, steering

__all__ = ["Fabric", "Port"]


class Fabric:
    """One VNet's fabric. One thread uses it; each call takes milliseconds."""

    def __init__(self, vnet: VNet, namespace: NetNamespace) -> None:
        self.namespace = namespace
        self._scene = Scene(vnet)
        self._loaded = classes(self._scene)
        """The table of classes that the kernel has."""

    @property
    def vnet(self) -> VNet:
        return self._scene.vnet

    @classmethod
    def create(cls, vnet: VNet) -> Fabric:
        """A new fabric without NICs.

        Raises InvalidInputError when a security rule names what the lab does not know, KernelError
        when the kernel refuses, and leaves nothing then.
        """
        namespace = NetNamespace.create()
        try:
            fabric = cls(vnet, namespace)
            with RtNetlink(namespace) as door:
                door.set_link(door.index("lo"), up=True)
            fabric._realise(fabric_wiring() + Wiring((fabric._loaded,)))
            fabric.update(vnet)
        except BaseException:
            namespace.close()
            raise
        return fabric

    def update(self, vnet: VNet) -> None:
        """Be the fabric of this value of the same VNet: prefixes, subnets, route tables, groups.

        NICs stay plugged in and established flows go on; packets follow the old routes and rules or
        the new ones, nothing between. With peerings call `peering.join` instead.

        Raises InvalidInputError when a subnet that has NICs would go or get another prefix, or a
        rule is unknown, KernelError when the kernel refuses; all is as it was then.
        """
        self._become(self._changed(vnet))

    def check(self, vnet: VNet) -> None:
        """Raises InvalidInputError when `update` would."""
        classes(self._changed(vnet))

    def _changed(self, vnet: VNet) -> Scene:
        scene = self._scene
        check_change(scene.vnet, vnet, self.nics())
        ports = {name: port.within(vnet) for name, port in scene.ports.items()}
        tables = subnet_tables(vnet, scene.tables)
        return replace(scene, vnet=vnet, ports=ports, tables=tables)

    def attach(
        self, nic: Nic, namespace: NetNamespace, *, ifname: str = "eth0", mtu: int = 1500
    ) -> None:
        """Plug the NIC in: `ifname` in `namespace`, with what Azure's DHCP gives it.

        Done already: nothing. Other secondary addresses than before: only those change. What the
        node has done to its own end since (an address moved to a bridge) is left alone. Another
        namespace, MAC, primary address or MTU: unplugged and plugged in anew.

        Raises InvalidInputError when another NIC has one of the addresses or a security rule is
        unknown, KernelError when the kernel refuses; a NIC that was not plugged in before is not
        then either.
        """
        self._refuse_taken(nic)
        old = self._scene.ports.get(nic.name)
        link = old.link if old else self.free_link(NIC_LINK)
        new = Port(nic, link, namespace.inode, ifname, mtu)
        scene = replace(self._scene, ports={**self._scene.ports, nic.name: new})
        if old is not None and old.same_cable(new) and self._has_link(link):
            self._become(scene, lambda: self._change(old, new, namespace))
            return
        classes(scene)  # refuses what cannot be before anything is unplugged
        self.detach(nic.name)
        self._become(scene, lambda: self._plug(new, namespace))

    def detach(self, nic_name: str) -> None:
        """Unplug the NIC; unknown: nothing. The node may be gone already.

        Raises KernelError when something could not be removed; the NIC stays listed then.
        """
        scene = self._scene
        port = scene.ports.get(nic_name)
        if port is None:
            return
        rest = {name: one for name, one in scene.ports.items() if name != nic_name}
        self._become(replace(scene, ports=rest), unplug=port.wiring)

    def nics(self) -> tuple[Nic, ...]:
        """The NICs that are plugged in, in the order in which they were."""
        return tuple(port.nic for port in self._scene.ports.values())

    def ports(self) -> tuple[Port, ...]:
        """The same with the names of their links in the fabric."""
        return tuple(self._scene.ports.values())

    @property
    def peers(self) -> Mapping[str, str]:
        """The links to other fabrics, by the keys of their VNets."""
        return self._scene.peers

    def link(self, key: str, link: str, wiring: Wiring) -> None:
        """The link leads to the fabric of that VNet; `wiring` opens it. Raises KernelError."""
        scene = replace(self._scene, peers={**self._scene.peers, key: link})
        self._become(scene, lambda: self._realise(wiring))

    def unlink(self, key: str) -> None:
        """Take the link to that VNet's fabric away; it may be gone, and unknown is fine."""
        link = self._scene.peers.get(key)
        if link is not None:
            rest = {one: name for one, name in self._scene.peers.items() if one != key}
            trusted = Element(FABRIC, "ip", TABLE, TRUSTED, link)
            cable = Veth(FABRIC, link, FAR, link)
            self._become(replace(self._scene, peers=rest), unplug=Wiring((cable, trusted)))

    def open_outside(self, wiring: Wiring) -> None:
        """There is a link that leads out; `wiring` is what it has. Raises KernelError."""
        if self._scene.outside:
            return
        create_tap(self.namespace, OUTSIDE)
        with RtNetlink(self.namespace) as door:
            door.set_link(door.index(OUTSIDE), up=True)
        self._become(replace(self._scene, outside=True), lambda: self._realise(wiring))

    def close_outside(self, wiring: Wiring) -> None:
        """The link goes, with what it had. Raises KernelError."""
        if not self._scene.outside:
            return
        self._become(replace(self._scene, outside=False), unplug=wiring)
        with RtNetlink(self.namespace) as door:
            door.delete_link(door.index(OUTSIDE))

    def free_link(self, kind: str) -> str:
        """The lowest free name, as in nic3: at most 15 characters whatever it is for."""
        ports = (port.link for port in self._scene.ports.values())
        taken = {*ports, *self._scene.peers.values()}
        return next(name for name in _link_names(kind) if name not in taken)

    def drops(self) -> Drops:
        """What the fabric has dropped since it was made. Raises KernelError."""
        return read_drops(self.namespace)

    def close(self) -> None:
        """Let go of the namespace: the kernel removes it with all that is in it.

        Close the servers first: an open socket keeps it alive. A second time: nothing.
        """
        self._scene = Scene(self.vnet)
        self.namespace.close()

    def _refuse_taken(self, nic: Nic) -> None:
        wanted = set(nic.addresses)
        for port in self._scene.ports.values():
            taken = wanted.intersection(port.nic.addresses)
            if taken and port.nic.name != nic.name:
                raise InvalidInputError(
                    f"NIC {nic.name} cannot have {min(taken)}: NIC {port.nic.name} of VNet "
                    f"{self.vnet.name} has it; detach that one first or take another address"
                )

    def _has_link(self, link: str) -> bool:
        """To ask has an effect: a link whose carrier has just come drops what it is to send until
        the kernel's link watch has run, up to a second later or when somebody asks
        (linkwatch_sync_dev in rtnl_getlink, Linux 6.8)."""
        with RtNetlink(self.namespace) as door:
            return door.link(link) is not None

    def _plug(self, port: Port, namespace: NetNamespace) -> None:
        places = {FABRIC: self.namespace, NODE: namespace}
        try:
            wire.realise(port.wiring, places)
            wire.realise(node_wiring(port.nic, ifname=port.ifname), places)
        except KernelError:
            wire.unwire(port.wiring, places)
            raise

    def _change(self, old: Port, new: Port, namespace: NetNamespace) -> None:
        """Secondary addresses come and go while the link stays as it is."""
        places = {FABRIC: self.namespace, NODE: namespace}
        fresh, stale = _changes(old.wiring, new.wiring)
        wire.unwire(stale, places)
        wire.realise(fresh, places)

    def _become(
        self,
        scene: Scene,
        plug: Callable[[], None] = lambda: None,
        unplug: Wiring = Wiring(),  # noqa: B008  a value
    ) -> None:
        """Raises InvalidInputError or KernelError; the old scene is there again then."""
        before, loaded, wanted = self._scene, self._loaded, classes(scene)
        try:
            self._show(scene, wanted, plug, unplug)
        except BaseException:
            self._scene = scene
            self._show(before, loaded)
            raise

    def _show(
        self,
        scene: Scene,
        wanted: Table,
        plug: Callable[[], None] = lambda: None,
        unplug: Wiring = Wiring(),  # noqa: B008
    ) -> None:
        """Routing tables are filled before the classes lead into them. The classes know a link
        longer than it is there; the routes through it come after it, and go before it does."""
        fresh, stale = _changes(steering(self._scene), steering(scene))
        if scene.tables != self._scene.tables:
            self._realise(fresh)
        if not unplug.objects:
            self._load(wanted)
        plug()
        self._realise(fresh)
        self._unwire(stale)
        self._unwire(unplug)
        self._load(wanted)
        self._scene = scene

    def _load(self, wanted: Table) -> None:
        if wanted != self._loaded:
            self._realise(Wiring((wanted,)))
            self._loaded = wanted

    def _unwire(self, wiring: Wiring) -> None:
        if wiring.objects:
            wire.unwire(wiring, {FABRIC: self.namespace})

    def _realise(self, wiring: Wiring) -> None:
        if wiring.objects:
            wire.realise(wiring, {FABRIC: self.namespace})


def _changes(before: Wiring, after: Wiring) -> tuple[Wiring, Wiring]:
    """What `after` has in addition or otherwise, and what of `before` it has no more."""
    old, new = set(before), {one.key for one in after}
    return (
        Wiring.of(one for one in after if one not in old),
        Wiring.of(one for one in before if one.key not in new),
    )


def _link_names(kind: str) -> Iterator[str]:
    return (f"{kind}{number}" for number in count(1))
