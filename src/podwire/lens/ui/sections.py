"""What the page says of a thing, as values, and how a section is made. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from podwire.lens import iptext
from podwire.lens.snapshot import Snapshot, Space
from podwire.lens.ui import lookup


@dataclass(frozen=True, slots=True)
class Section:
    """facts: name and value; lines: as a tool prints them; command: what prints them."""

    title: str
    facts: tuple[tuple[str, str], ...] = ()
    lines: tuple[str, ...] = ()
    command: str = ""


@dataclass(frozen=True, slots=True)
class Details:
    """see: what else to look at, as (label, data-object). pod: namespace/name whose birth the log
    may tell, "" for none. object, kind: its data-object and that one's first word."""

    title: str
    sections: tuple[Section, ...]
    see: tuple[tuple[str, str], ...] = ()
    pod: str = ""
    object: str = ""
    kind: str = ""


def listing(title: str, lines: Iterable[str], command: str = "") -> Section:
    return Section(title, (), tuple(lines), command)


def mentioned(text: str, words: Iterable[str]) -> bool:
    return any(iptext.mentions(text, word) for word in words)


def end_object(end: tuple[str, str]) -> str:
    return f"link {end[0]} {end[1]}"


def stack(snapshot: Snapshot, space: Space) -> Iterator[Section]:
    enter = lookup.enter(snapshot, space)
    yield listing("Links", map(iptext.ip_link, space.links), f"{enter}ip -d link")
    yield listing("Addresses", map(iptext.ip_address, space.addresses), f"{enter}ip addr")
    routes = [one for one in space.routes if one.table != 255]
    yield listing("Routes", map(iptext.ip_route, routes), f"{enter}ip route show table all")
    yield listing("Rules", map(iptext.ip_rule, space.rules), f"{enter}ip rule")
    yield listing("Neighbours", map(iptext.ip_neighbour, space.neighbours), f"{enter}ip neigh")
    yield listing("Forwarding database", map(iptext.bridge_fdb, space.fdb), f"{enter}bridge fdb")
    chains = [f"{t.name} {c.name}: {len(c.rules)} rules" for t in space.iptables for c in t.chains]
    yield listing("iptables chains", chains, f"{enter}iptables-save -c")
    yield listing("Sockets", map(iptext.listener, space.sockets), f"{enter}ss -ltunp")
    yield Section("Settings", tuple(sorted(space.sysctls.items())), command=f"{enter}sysctl -a")
    yield Section("What could not be read", tuple(sorted(space.unread.items())))
