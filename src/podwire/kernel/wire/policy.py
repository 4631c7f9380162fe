"""Routes of further tables and the rules that lead to them: made, unmade, seen."""

from __future__ import annotations

import errno
from dataclasses import replace

from podwire.kernel import policy_routes
from podwire.kernel.wire.session import Session, unless_missing
from podwire.model.errors import KernelError
from podwire.model.wiring import PolicyRoute, PolicyRule


def make_route(session: Session, want: PolicyRoute) -> None:
    index = 0 if want.link is None else session.index(want.place, want.link)
    door = session.route(want.place)
    policy_routes.set_route(door, want.table, want.dst, index, want.via, want.metric)


def unmake_route(session: Session, want: PolicyRoute) -> None:
    if not session.has_place(want.place):
        return
    index = 0 if want.link is None else session.find_index(want.place, want.link)
    if index is not None:
        door = session.route(want.place)
        unless_missing(
            lambda: policy_routes.delete_route(door, want.table, want.dst, index, want.metric)
        )


def see_route(session: Session, want: PolicyRoute) -> PolicyRoute | None:
    index = 0 if want.link is None else session.find_index(want.place, want.link)
    for one in policy_routes.routes(session.route(want.place), want.table):
        if (one.dst, one.ifindex, one.metric) == (want.dst, index, want.metric):
            return replace(want, via=one.via)
    return None


def make_rule(session: Session, want: PolicyRule) -> None:
    try:
        policy_routes.add_rule(session.route(want.place), want.table)
    except KernelError as error:
        if error.errno != errno.EEXIST:
            raise


def unmake_rule(session: Session, want: PolicyRule) -> None:
    if session.has_place(want.place):
        door = session.route(want.place)
        unless_missing(lambda: policy_routes.delete_rule(door, want.table))


def see_rule(session: Session, want: PolicyRule) -> PolicyRule | None:
    have = policy_routes.ruled_tables(session.route(want.place))
    return want if want.table in have else None
