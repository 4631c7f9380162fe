"""Addresses, routes, neighbours and sysctls: made, unmade, seen."""

from __future__ import annotations

import errno
import socket
from dataclasses import replace

from podwire.kernel import sysctl
from podwire.kernel.wire.session import Session, unless_missing
from podwire.model.errors import KernelError
from podwire.model.wiring import Address, Neighbour, Route, Sysctl

_IPV6_SYSCTLS = "net/ipv6/"


def make_address(session: Session, want: Address) -> None:
    if want.absent:
        unmake_address(session, want)
        return
    index = session.index(want.place, want.link)
    try:
        session.route(want.place).add_address(index, want.cidr)
    except KernelError as error:
        if error.errno != errno.EEXIST:
            raise


def unmake_address(session: Session, want: Address) -> None:
    index = _index(session, want)
    if index is not None:
        door = session.route(want.place)
        unless_missing(lambda: door.delete_address(index, want.cidr))


def see_address(session: Session, want: Address) -> Address | None:
    index = _index(session, want)
    if index is None:
        return None
    entries = session.route(want.place).addresses(index)
    there = any(one.cidr == want.cidr and one.ifindex == index for one in entries)
    return replace(want, absent=False) if there else None


def make_route(session: Session, want: Route) -> None:
    if want.absent:
        unmake_route(session, want)
        return
    index = session.index(want.place, want.link)
    session.route(want.place).set_route(want.dst, index, want.via, want.onlink)


def unmake_route(session: Session, want: Route) -> None:
    index = _index(session, want)
    if index is not None:
        door = session.route(want.place)
        unless_missing(lambda: door.delete_route(want.dst, index))


def see_route(session: Session, want: Route) -> Route | None:
    index = _index(session, want)
    if index is None:
        return None
    family = socket.AF_INET6 if ":" in want.dst else socket.AF_INET
    for one in session.route(want.place).routes(family, index):
        if one.dst == want.dst and one.ifindex == index:
            return replace(want, via=one.via, onlink=one.onlink, absent=False)
    return None


def make_neighbour(session: Session, want: Neighbour) -> None:
    index = session.index(want.place, want.link)
    session.route(want.place).set_neighbour(index, want.ip, want.mac)


def unmake_neighbour(session: Session, want: Neighbour) -> None:
    index = _index(session, want)
    if index is not None:
        door = session.route(want.place)
        unless_missing(lambda: door.delete_neighbour(index, want.ip))


def see_neighbour(session: Session, want: Neighbour) -> Neighbour | None:
    index = _index(session, want)
    have = None if index is None else session.route(want.place).neighbour(index, want.ip)
    if have is None or not have.permanent:
        return None
    return replace(want, mac=have.mac)


def make_sysctl(session: Session, want: Sysctl) -> None:
    """A kernel without IPv6 has none of its sysctls, and nothing that they would switch off."""
    namespace = session.namespace(want.place)
    if sysctl.write(namespace, want.name, want.value) or _needs_no_sysctl(session, want):
        return
    raise KernelError(f"there is no sysctl {want.name}", errno=errno.ENOENT)


def unmake_sysctl(session: Session, want: Sysctl) -> None:
    """Nothing: its value before is not known, and a link's sysctls go with the link."""


def see_sysctl(session: Session, want: Sysctl) -> Sysctl | None:
    value = sysctl.read(session.namespace(want.place), want.name)
    if value is None:
        return want if _needs_no_sysctl(session, want) else None
    return replace(want, value=value)


def _needs_no_sysctl(session: Session, want: Sysctl) -> bool:
    if not want.name.startswith(_IPV6_SYSCTLS):
        return False
    return not sysctl.has_ipv6(session.namespace(want.place))


def _index(session: Session, want: Address | Route | Neighbour) -> int | None:
    """None when the place or the link is gone, and with it what was on the link."""
    return session.find_index(want.place, want.link) if session.has_place(want.place) else None
