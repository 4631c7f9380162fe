"""What the page says of subnets and NICs. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from podwire.lens.snapshot import Snapshot
from podwire.lens.ui import lookup
from podwire.lens.ui.sections import Details, Section, listing
from podwire.model.route_table import RouteTable
from podwire.model.security import Direction, SecurityGroup


def tell_subnet(snapshot: Snapshot, rest: str) -> Details:
    key, _, name = rest.rpartition(" ")
    vnet, subnet = lookup.subnet(snapshot, key, name)
    facts = [("range", subnet.prefix), ("gateway", subnet.gateway)]
    facts += [("addresses that can be given out", str(subnet.usable))]
    where = f"-g {vnet.vnet.resource_group} --vnet-name {vnet.vnet.name} -n {name}"
    mine = [one for one in vnet.nics if one.nic.subnet.name == name]
    cards = (
        f"{one.nic.name}  {one.nic.primary}  addresses: {len(one.nic.addresses)}" for one in mine
    )
    sections = (
        Section("Subnet", tuple(facts), command=f"az network vnet subnet show {where}"),
        _routes(subnet.route_table),
        *_rules(subnet.security),
        listing("NICs", cards),
    )
    see = tuple((f"nic {one.nic.name}", f"nic {one.nic.name}") for one in mine)
    return Details(f"subnet {name}", sections, see)


def tell_nic(snapshot: Snapshot, name: str) -> Details:
    one = lookup.nic(snapshot, name)
    facts = [("MAC", one.nic.mac), ("subnet", one.nic.subnet.name), ("primary", one.nic.primary)]
    facts += [("IP forwarding", "on" if one.nic.ip_forwarding else "off")]
    facts += [("port of the fabric", one.port)] * bool(one.port)
    sections = (
        Section("NIC", tuple(facts)),
        listing("Addresses", one.nic.addresses),
        *_rules(one.nic.security),
    )
    see = ((f"node {one.node}", f"node {one.node}"),) if one.node else ()
    return Details(f"nic {name}", sections, see)


def _routes(table: RouteTable | None) -> Section:
    if table is None:
        return Section("Route table")
    found = (f"{r.prefix}  {r.next_hop_type} {r.next_hop_ip}  {r.name}" for r in table.routes)
    return listing(f"Route table {table.name}", found)


def _rules(group: SecurityGroup | None) -> Iterator[Section]:
    """In the order in which they decide."""
    if group is None:
        return
    for direction in Direction:
        found = (
            f"{r.priority}  {r.access}  {r.protocol}  {','.join(r.sources)} "
            f"to {','.join(r.destinations)}:{','.join(r.destination_ports)}  {r.name}"
            for r in group.rules_of(direction)
        )
        yield listing(f"Security group {group.name}, {direction}", found)
