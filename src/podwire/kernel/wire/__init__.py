"""Wirings and the kernel: realise, unwire, observe.

The only place that turns a `model.wiring` value into kernel objects, and back. Must not know why
a wiring is as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from podwire.kernel.netlink import NetlinkSocket
from podwire.kernel.netns import NetNamespace
from podwire.kernel.wire import addressing, filtering, links, policy, proxies
from podwire.kernel.wire.batch import Batch
from podwire.kernel.wire.deletion import Deletion
from podwire.kernel.wire.session import MISSING, Session
from podwire.model.errors import KernelError
from podwire.model.wiring import (
    Address,
    Bridge,
    BridgePort,
    Element,
    KernelObject,
    Neighbour,
    NeighbourProxy,
    PolicyRoute,
    PolicyRule,
    Route,
    Sysctl,
    Table,
    Veth,
    Wiring,
)

__all__ = ["cut", "observe", "realise", "unwire"]


class _Hands(NamedTuple):
    """How one kind of object is made, unmade and seen. `see` returns None when it is not there.

    ask: makes it when it is not there, by requests alone that can be sent with others.
    """

    make: Callable[[Session, Any], None]
    unmake: Callable[[Session, Any], None]
    see: Callable[[Session, Any], KernelObject | None]
    ask: Callable[[Session, Any], None] | None = None


_HANDS: dict[type, _Hands] = {
    Bridge: _Hands(links.make_bridge, links.unmake_bridge, links.see_bridge),
    Veth: _Hands(links.make_veth, links.unmake_veth, links.see_veth),
    BridgePort: _Hands(links.make_port, links.unmake_port, links.see_port, links.ask_port),
    Address: _Hands(
        addressing.make_address,
        addressing.unmake_address,
        addressing.see_address,
        addressing.make_address,
    ),
    Route: _Hands(
        addressing.make_route,
        addressing.unmake_route,
        addressing.see_route,
        addressing.make_route,
    ),
    PolicyRoute: _Hands(
        policy.make_route, policy.unmake_route, policy.see_route, policy.make_route
    ),
    PolicyRule: _Hands(policy.make_rule, policy.unmake_rule, policy.see_rule),
    Neighbour: _Hands(
        addressing.make_neighbour,
        addressing.unmake_neighbour,
        addressing.see_neighbour,
        addressing.make_neighbour,
    ),
    NeighbourProxy: _Hands(
        proxies.make_proxy,
        proxies.unmake_proxy,
        proxies.see_proxy,
        proxies.make_proxy,
    ),
    Sysctl: _Hands(addressing.make_sysctl, addressing.unmake_sysctl, addressing.see_sysctl),
    Table: _Hands(filtering.make_table, filtering.unmake_table, filtering.see_table),
    Element: _Hands(
        filtering.make_element,
        filtering.unmake_element,
        filtering.see_element,
        filtering.make_element,
    ),
}


def realise(
    wiring: Wiring,
    places: Mapping[str, NetNamespace],
    told: Callable[[KernelObject], None] = lambda _: None,
) -> None:
    """Make the kernel match `wiring`, in its order. What is right already is left alone.

    told: called with each object just before it is made.

    What is there but wrong is corrected, or made anew. Raises KernelError at the first object that
    cannot be made; what was made before it stays (`unwire` takes it back).
    """
    with Session(places) as session:
        batch = Batch(session, partial(_make, session))
        for one in wiring:
            told(one)
            ask = _HANDS[type(one)].ask
            if ask is None or getattr(one, "absent", False):
                batch.send()
                _make(session, one)
            else:
                batch.add(one, _door(session, one), partial(ask, session))
        batch.send()


def _make(session: Session, one: KernelObject) -> None:
    try:
        _HANDS[type(one)].make(session, one)
    except KernelError as error:
        raise KernelError(f"cannot make {describe(one)}: {error}", errno=error.errno) from error


def _door(session: Session, one: KernelObject) -> NetlinkSocket:
    return (session.filter if isinstance(one, Element) else session.route)(one.place)


def unwire(wiring: Wiring, places: Mapping[str, NetNamespace]) -> None:
    """Take `wiring` out of the kernel, last object first. What is not there is fine.

    A place that is not in `places` is gone with all that was in it. What lives on a link that this
    wiring makes goes with the link. Goes on after a failure: raises one KernelError at the end
    that names all that could not be removed.
    """
    _take_out(wiring, places, links.unmake_veth)


def cut(wiring: Wiring, places: Mapping[str, NetNamespace]) -> Callable[[], None]:
    """As `unwire`, done when nothing of it is to be seen any more, in no place.

    Returns what waits until the kernel is done with its links, too: up to 30 ms.
    """
    deletions: list[Deletion] = []

    def end(session: Session, veth: Veth) -> None:
        deletions.extend(links.begin_to_delete(session, veth))

    _take_out(wiring, places, end)

    def finish() -> None:
        for one in deletions:
            one.finish()

    return finish


def _take_out(
    wiring: Wiring,
    places: Mapping[str, NetNamespace],
    end_veth: Callable[[Session, Veth], None],
) -> None:
    doomed = _links_of(wiring)
    failures: list[tuple[KernelObject, KernelError]] = []
    with Session(places) as session:

        def unmake(one: KernelObject) -> None:
            try:
                if isinstance(one, Veth):
                    end_veth(session, one)
                else:
                    _HANDS[type(one)].unmake(session, one)
            except KernelError as error:
                failures.append((one, error))

        batch = Batch(session, unmake)
        for one in reversed(wiring.objects):
            if _goes_with_a_link(one, doomed) or getattr(one, "absent", False):
                continue
            if _HANDS[type(one)].ask is None or not session.has_place(one.place):
                batch.send()
                unmake(one)
            else:
                batch.add(one, _door(session, one), partial(_HANDS[type(one)].unmake, session))
        batch.send()
    if failures:
        said = "; ".join(f"{describe(one)}: {error}" for one, error in failures)
        raise KernelError(f"cannot remove {said}", errno=failures[0][1].errno)


def observe(wanted: Wiring, places: Mapping[str, NetNamespace]) -> Wiring:
    """The kernel's version of each wanted object that exists, MACs filled in.

    Compare with `model.wiring.diff`. Raises KernelError when the kernel cannot be asked.
    """
    with Session(places) as session:
        seen = (_see(session, one) for one in wanted if session.has_place(one.place))
        return Wiring.of(one for one in seen if one is not None)


def _see(session: Session, one: KernelObject) -> KernelObject | None:
    """None also when it, or its link, goes away while it is looked at: another call's DEL."""
    for _ in range(2):  # it may be there under another index than the one that was known
        try:
            return _HANDS[type(one)].see(session, one)
        except KernelError as error:
            if error.errno not in MISSING:
                raise
            session.forget_all()
    return None


def describe(one: KernelObject) -> str:
    """What messages call an object, as in "address pod eth0 10.220.2.11/24"."""
    return f"{type(one).__name__.lower()} {' '.join(one.key[1:])}"


def _links_of(wiring: Wiring) -> set[tuple[str, str]]:
    """(place, name) of each link that goes when this wiring goes."""
    doomed = {(one.place, one.name) for one in wiring if isinstance(one, Bridge | Veth)}
    return doomed | {(one.peer_place, one.peer_name) for one in wiring if isinstance(one, Veth)}


def _goes_with_a_link(one: KernelObject, doomed: set[tuple[str, str]]) -> bool:
    return (one.place, getattr(one, "link", "")) in doomed
