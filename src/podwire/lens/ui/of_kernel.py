"""What the page says of links, addresses and network namespaces. Pure."""

from __future__ import annotations

from podwire.lens import iptext
from podwire.lens.snapshot import LOCAL, Link, Snapshot, Space
from podwire.lens.ui import lookup
from podwire.lens.ui.sections import Details, Section, end_object, listing, stack


def tell_link(snapshot: Snapshot, rest: str) -> Details:
    space_id, _, name = rest.rpartition(" ")
    space = lookup.space(snapshot, space_id)
    link = lookup.link(space, name)
    addresses = [one for one in space.addresses if one.link == name]
    names = {name, link.mac, *(one.ip for one in addresses)}
    enter = lookup.enter(snapshot, space)
    sections = (
        Section(
            "Link", lines=(iptext.ip_link(link),), command=f"{enter}ip -d link show dev {name}"
        ),
        listing("Addresses", map(iptext.ip_address, addresses), f"{enter}ip addr show dev {name}"),
        listing(
            "Routes",
            (
                iptext.ip_route(one)
                for one in space.routes
                if one.link == name and one.table != LOCAL
            ),
            f"{enter}ip route show dev {name}",
        ),
        listing(
            "Neighbours",
            (iptext.ip_neighbour(one) for one in space.neighbours if one.link == name),
            f"{enter}ip neigh show dev {name}",
        ),
        listing(
            "Forwarding database",
            (iptext.bridge_fdb(one) for one in space.fdb if name in (one.port, one.bridge)),
            f"{enter}bridge fdb show dev {name}",
        ),
        listing("nftables elements", iptext.nft_elements(space, names), f"{enter}nft list ruleset"),
        Section("Counters", tuple((key, f"{n:,}") for key, n in sorted(link.counters.items()))),
    )
    see = [(f"the other end, {link.peer[1]}", end_object(link.peer))] if link.peer else []
    see += [(f"bridge {link.master}", f"link {space.id} {link.master}")] * bool(link.master)
    see += _whose(snapshot, space, link)
    return Details(f"{name} in {lookup.label(snapshot, space)}", sections, tuple(see))


def _whose(snapshot: Snapshot, space: Space, link: Link) -> list[tuple[str, str]]:
    """The pod that the link is for, and where it is."""
    there = link.peer[0] if link.peer and space.kind == "node" else space.id
    pod = lookup.pod_in(snapshot, there)
    found = [(f"pod {pod.key}", f"pod {pod.key}")] if pod else []
    node = lookup.node_of_space(snapshot, space.id)
    return found + ([(f"node {node.name}", f"node {node.name}")] if node else [])


def tell_space(snapshot: Snapshot, id_: str) -> Details:
    space = lookup.space(snapshot, id_)
    vnet = next((one for one in snapshot.vnets if one.space == id_), None)
    facts = [("inode", str(space.inode))]
    if vnet is not None:
        facts += [("VNet", vnet.vnet.name), ("ranges", ", ".join(vnet.vnet.prefixes))]
        facts += [(f"dropped: {why}", f"{n:,}") for why, n in sorted(vnet.drops.items())]
    sections = [Section("Network namespace", tuple(facts)), *stack(snapshot, space)]
    return Details(lookup.label(snapshot, space), tuple(sections))


def tell_address(snapshot: Snapshot, rest: str) -> Details:
    space_id, link, cidr = rest.rsplit(" ", 2)
    space, ip = lookup.space(snapshot, space_id), cidr.partition("/")[0]
    node = lookup.node_of_space(snapshot, space_id)
    host = snapshot.space(node.space) if node else space
    held = [one for one in node.attachments.leases if one.address == ip] if node else []
    sections = [Section("Address", (("address", cidr), ("link", link)))]
    sections.append(Section("Lease", tuple(f for one in held for f in lookup.lease_facts(one))))
    if host is not None:
        lines = [*map(iptext.ip_route, host.routes), *map(iptext.ip_neighbour, host.neighbours)]
        near = [one for one in lines if iptext.mentions(one, ip)]
        sections.append(listing("On the node", near))
        sections.append(listing("nftables elements", iptext.nft_elements(host, {ip})))
    see = ((f"link {link}", f"link {space_id} {link}"),)
    return Details(f"{cidr} at {link}", tuple(sections), see)
