"""What a fabric is to be at one moment, as a value from which its kernel objects are computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network

from podwire.model.effective_routes import EffectiveRoute, subnet_routes
from podwire.model.vnet import Nic, Peering, VNet
from podwire.model.wiring import Wiring
from podwire.vnet.segments import FIRST_ENTRY, FIRST_TABLE, port_wiring

NIC_LINK = "nic"
"""What the links to NICs are called, with a number."""
Routes = tuple[EffectiveRoute, ...]


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
    def number(self) -> int:
        """That of its link."""
        return int(self.link.removeprefix(NIC_LINK))

    @property
    def wiring(self) -> Wiring:
        return port_wiring(self.nic, self.link, ifname=self.ifname, mtu=self.mtu)

    def within(self, vnet: VNet) -> Port:
        """The same NIC, in its subnet as `vnet` has it."""
        subnet = next((one for one in vnet.subnets if one.name == self.nic.subnet.name), None)
        if subnet is None or subnet.prefix != self.nic.subnet.prefix:
            return self
        return replace(self, nic=replace(self.nic, subnet=subnet))

    def same_cable(self, other: Port) -> bool:
        """Whether the veth pair can stay when this becomes `other`."""
        return self._cable == other._cable

    @property
    def _cable(self) -> tuple[object, ...]:
        subnet = self.nic.subnet
        card = (self.nic.mac, subnet.name, subnet.prefix, self.nic.primary)
        return (*card, self.namespace, self.ifname, self.mtu)


@dataclass(frozen=True, slots=True)
class SubnetTable:
    """The routing table of a subnet that has a route table. number: the kernel's; it changes when
    the routes do, so that packets change over from one whole table to the other."""

    number: int
    routes: Routes


@dataclass(frozen=True, slots=True)
class Scene:
    """tables: by subnet; peers: links to other fabrics by their VNets' keys; outside: whether
    the link that leads out is there."""

    vnet: VNet
    ports: Mapping[str, Port] = field(default_factory=dict)
    tables: Mapping[str, SubnetTable] = field(default_factory=dict)
    peers: Mapping[str, str] = field(default_factory=dict)
    outside: bool = False

    @property
    def open_peers(self) -> tuple[tuple[str, Peering], ...]:
        """(link, peering) of those through which packets pass."""
        pairs = ((self.peers.get(one.remote.lower()), one) for one in self.vnet.peerings)
        return tuple((link, one) for link, one in pairs if link is not None and one.open)

    def owner(self, address: str) -> Port | None:
        ports = self.ports.values()
        return next((port for port in ports if address in port.nic.addresses), None)

    @property
    def entries(self) -> tuple[tuple[int, Port], ...]:
        """(mark, NIC) of those that peers may name as the next hop of their routes."""
        if not self.open_peers:
            return ()
        forwarders = (port for port in self.ports.values() if port.nic.ip_forwarding)
        return tuple((FIRST_ENTRY + port.number, port) for port in forwarders)

    def peer_of(self, address: str) -> str | None:
        """The link to the peered VNet that has the address."""
        return next(
            (
                link
                for link, one in self.open_peers
                if any(
                    IPv4Address(address) in IPv4Network(prefix) for prefix in one.remote_prefixes
                )
            ),
            None,
        )

    def is_platform(self, port: Port) -> bool:
        """Whether the NIC is outside the VNet: Azure's own, that no rule of the user's is for."""
        return self.vnet.subnet_of(port.nic) is None


def subnet_tables(vnet: VNet, before: Mapping[str, SubnetTable]) -> dict[str, SubnetTable]:
    """A table for each subnet that has a route table; a new number when its routes are new."""
    numbers = {one.number for one in before.values()}
    found: dict[str, SubnetTable] = {}
    for subnet in vnet.subnets:
        if subnet.route_table is None:
            continue
        routes, old = subnet_routes(subnet, vnet), before.get(subnet.name)
        if old is None or old.routes != routes:
            number = next(one for one in range(FIRST_TABLE, FIRST_TABLE << 1) if one not in numbers)
            numbers.add(number)
            old = SubnetTable(number, routes)
        found[subnet.name] = old
    return found
