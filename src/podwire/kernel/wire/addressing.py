"""Addresses, routes, neighbours and sysctls: made, unmade, seen."""

from __future__ import annotations

import errno
import socket
from dataclasses import replace
from ipaddress import ip_interface

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
    door = session.route(want.place)
    try:
        door.add_address(index, want.cidr, prefix_route=want.prefix_route is not False)
    except KernelError as error:
        if error.errno != errno.EEXIST:
            raise
        if want.prefix_route is not None:
            _correct_prefix_route(session, want)


def _correct_prefix_route(session: Session, want: Address) -> None:
    """The address stays, with the connections that use it; its flag cannot be changed."""
    door, index = session.route(want.place), session.index(want.place, want.link)
    subnet = str(ip_interface(want.cidr).network)
    if not want.prefix_route:
        unless_missing(lambda: door.delete_route(subnet, index))
    elif not _has_prefix_route(session, want, index):
        door.set_route(subnet, index)


def _has_prefix_route(session: Session, want: Address, index: int) -> bool:
    subnet = str(ip_interface(want.cidr).network)
    family = socket.AF_INET6 if ":" in want.cidr else socket.AF_INET
    routes = session.route(want.place).routes(family, index)
    return any(one.dst == subnet and one.via is None for one in routes)


def unmake_address(session: Session, want: Address) -> None:
    index = session.find_index(want.place, want.link)
    if index is not None:
        door = session.route(want.place)
        unless_missing(lambda: door.delete_address(index, want.cidr))


def see_address(session: Session, want: Address) -> Address | None:
    index = session.find_index(want.place, want.link)
    if index is None:
        return None
    entries = session.route(want.place).addresses(index)
    if not any(one.cidr == want.cidr and one.ifindex == index for one in entries):
        return None
    if want.prefix_route is None:
        return replace(want, absent=False)
    return replace(want, absent=False, prefix_route=_has_prefix_route(session, want, index))


def make_route(session: Session, want: Route) -> None:
    if want.absent:
        unmake_route(session, want)
        return
    index = session.index(want.place, want.link)
    session.route(want.place).set_route(want.dst, index, want.via, want.onlink, want.metric or 0)


def unmake_route(session: Session, want: Route) -> None:
    index = session.find_index(want.place, want.link)
    if index is not None:
        door = session.route(want.place)
        unless_missing(lambda: door.delete_route(want.dst, index))


def see_route(session: Session, want: Route) -> Route | None:
    index = session.find_index(want.place, want.link)
    if index is None:
        return None
    family = socket.AF_INET6 if ":" in want.dst else socket.AF_INET
    for one in session.route(want.place).routes(family, index):
        if one.dst == want.dst and one.ifindex == index:
            metric = None if want.metric is None else one.metric
            return replace(want, via=one.via, onlink=one.onlink, absent=False, metric=metric)
    return None


def make_neighbour(session: Session, want: Neighbour) -> None:
    index = session.index(want.place, want.link)
    session.route(want.place).set_neighbour(index, want.ip, want.mac)


def unmake_neighbour(session: Session, want: Neighbour) -> None:
    index = session.find_index(want.place, want.link)
    if index is not None:
        door = session.route(want.place)
        unless_missing(lambda: door.delete_neighbour(index, want.ip))


def see_neighbour(session: Session, want: Neighbour) -> Neighbour | None:
    index = session.find_index(want.place, want.link)
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
