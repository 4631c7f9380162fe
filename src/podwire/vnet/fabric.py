"""The fabric of one VNet: its network namespace, and the NICs that are plugged into it.

Held by a file descriptor of this process alone, so that it vanishes with the process. Must not
know what is behind a NIC. What the fabric is made of says `segments`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from podwire.kernel import wire
from podwire.kernel.netns import NetNamespace
from podwire.kernel.rtnetlink import RtNetlink
from podwire.model.errors import InvalidInputError, KernelError
from podwire.model.vnet import Nic, VNet
from podwire.model.wiring import Wiring
from podwire.vnet.drops import Drops, read_drops
from podwire.vnet.segments import FABRIC, NODE, fabric_wiring, node_wiring, port_wiring


@dataclass(frozen=True, slots=True)
class Port:
    """A NIC that is plugged in. link: the name of its end in the fabric, as in nic3; namespace:
    the inode of the network namespace where its other end `ifname` is."""

    nic: Nic
    link: str
    namespace: int
    ifname: str
    mtu: int

    @property
    def wiring(self) -> Wiring:
        return port_wiring(self.nic, self.link, ifname=self.ifname, mtu=self.mtu)

    def same_cable(self, other: Port) -> bool:
        """Whether the veth pair can stay when this becomes `other`."""
        mine = (self.nic.mac, self.nic.subnet, self.nic.primary)
        return mine == (other.nic.mac, other.nic.subnet, other.nic.primary) and (
            (self.namespace, self.ifname, self.mtu) == (other.namespace, other.ifname, other.mtu)
        )


class Fabric:
    """One VNet's fabric. One thread uses it; each call takes milliseconds."""

    def __init__(self, vnet: VNet, namespace: NetNamespace) -> None:
        self.vnet = vnet
        self.namespace = namespace
        self._ports: dict[str, Port] = {}

    @classmethod
    def create(cls, vnet: VNet) -> Fabric:
        """A new fabric without NICs. Raises KernelError, and leaves nothing then."""
        namespace = NetNamespace.create()
        try:
            with RtNetlink(namespace) as door:
                door.set_link(door.index("lo"), up=True)
            wire.realise(fabric_wiring(vnet.prefixes), {FABRIC: namespace})
        except BaseException:
            namespace.close()
            raise
        return cls(vnet, namespace)

    def attach(
        self, nic: Nic, namespace: NetNamespace, *, ifname: str = "eth0", mtu: int = 1500
    ) -> None:
        """Plug the NIC in: `ifname` in `namespace`, with what Azure's DHCP gives it.

        Done already: nothing. Other secondary addresses than before: only those change. What the
        node has done to its own end since (an address moved to a bridge) is left alone. Another
        namespace, MAC, primary address or MTU: unplugged and plugged in anew.

        Raises InvalidInputError when another NIC has one of the addresses, KernelError when the
        kernel refuses; a NIC that was not plugged in before is not then either.
        """
        self._refuse_taken(nic)
        old = self._ports.get(nic.name)
        link = old.link if old else self._free_link()
        new = Port(nic, link, namespace.inode, ifname, mtu)
        if old is not None and old.same_cable(new) and self._has_link(link):
            self._change(old, new, namespace)
            return
        self.detach(nic.name)
        self._plug(new, namespace)

    def detach(self, nic_name: str) -> None:
        """Unplug the NIC; unknown: nothing. The node may be gone already.

        Raises KernelError when something could not be removed; the NIC stays listed then.
        """
        port = self._ports.get(nic_name)
        if port is not None:
            wire.unwire(port.wiring, {FABRIC: self.namespace})
            del self._ports[nic_name]

    def nics(self) -> tuple[Nic, ...]:
        """The NICs that are plugged in, in the order in which they were."""
        return tuple(port.nic for port in self._ports.values())

    def ports(self) -> tuple[Port, ...]:
        """The same with the names of their links in the fabric."""
        return tuple(self._ports.values())

    def drops(self) -> Drops:
        """What the fabric has dropped since it was made. Raises KernelError."""
        return read_drops(self.namespace)

    def close(self) -> None:
        """Let go of the namespace: the kernel removes it with all that is in it.

        Close the servers first: an open socket keeps it alive. A second time: nothing.
        """
        self._ports.clear()
        self.namespace.close()

    def _refuse_taken(self, nic: Nic) -> None:
        wanted = set(nic.addresses)
        for port in self._ports.values():
            taken = wanted.intersection(port.nic.addresses)
            if taken and port.nic.name != nic.name:
                raise InvalidInputError(
                    f"NIC {nic.name} cannot have {min(taken)}: NIC {port.nic.name} of VNet "
                    f"{self.vnet.name} has it; detach that one first or take another address"
                )

    def _free_link(self) -> str:
        """The lowest free name: at most 15 characters whatever the NIC is called."""
        taken = {port.link for port in self._ports.values()}
        return next(name for name in _link_names() if name not in taken)

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
        self._ports[port.nic.name] = port

    def _change(self, old: Port, new: Port, namespace: NetNamespace) -> None:
        """Secondary addresses come and go while the link stays as it is."""
        before, after = old.wiring, new.wiring
        stale = set(before).difference(after)
        fresh = set(after).difference(before)
        places = {FABRIC: self.namespace, NODE: namespace}
        wire.unwire(Wiring.of(one for one in before if one in stale), places)
        wire.realise(Wiring.of(one for one in after if one in fresh), places)
        self._ports[new.nic.name] = new


def _link_names() -> Iterator[str]:
    return (f"nic{number}" for number in count(1))
