"""Bridges, veth pairs and bridge ports: made, unmade, seen.

Creation is tried before looking, since a new object is the common case of a new pod; EEXIST leads
to the slower path that looks, corrects, or makes anew.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator
from dataclasses import replace

from podwire.kernel.rtnetlink import Link, RtNetlink
from podwire.kernel.wire.deletion import Deletion
from podwire.kernel.wire.session import Session, unless_missing
from podwire.model.errors import KernelError
from podwire.model.wiring import Bridge, BridgePort, Veth

_ACTIVE_TRIES, _ACTIVE_PAUSE = 200, 0.0002
"""At most about 50 ms; it takes well below one."""


def make_bridge(session: Session, want: Bridge) -> None:
    door = session.route(want.place)
    have = door.link(want.name)
    if have is None:
        door.create_bridge(want.name, want.mac, want.mtu)
        have = _expect(door, want.name)
    elif have.kind != "bridge":
        raise KernelError(
            f"{want.name} is there and is no bridge but {have.kind or 'a NIC'}", errno=errno.EEXIST
        )
    _correct(door, have, want.mac, want.mtu)
    session.learn(want.place, want.name, have.ifindex)


def unmake_bridge(session: Session, want: Bridge) -> None:
    _delete(session, want.place, want.name, "bridge")


def see_bridge(session: Session, want: Bridge) -> Bridge | None:
    have = session.route(want.place).link(want.name)
    if have is None or have.kind != "bridge" or not have.up:
        return None
    return replace(want, mac=have.mac, mtu=have.mtu)


def make_veth(session: Session, want: Veth) -> None:
    if want.index is not None and _create_numbered(session, want, want.index):
        return
    try:
        _create_veth(session, want)
    except KernelError as error:
        if error.errno != errno.EEXIST:
            raise
        _repair_veth(session, want)
    peer = _expect(session.route(want.peer_place), want.peer_name)
    _correct(session.route(want.peer_place), peer, want.peer_mac, want.mtu)
    _see_carrier(session, want, peer.peer)
    session.learn(want.peer_place, want.peer_name, peer.ifindex)
    session.learn(want.place, want.name, peer.peer)


def _create_numbered(session: Session, want: Veth, index: int) -> bool:
    """Make the pair if nothing has its names and numbers; there is nothing to ask for then."""
    try:
        _request_veth(session, want, index)
    except KernelError as error:
        if error.errno not in (errno.EBUSY, errno.EEXIST):
            raise
        return False
    session.learn(want.place, want.name, index + 1)
    session.learn(want.peer_place, want.peer_name, index)
    session.route(want.peer_place).set_link(index, up=True)
    _see_carrier(session, want, index + 1)
    return True


def _see_carrier(session: Session, want: Veth, index: int) -> None:
    """Of this end, which the kernel would see later by itself; then the first packets are lost."""
    unless_missing(lambda: session.route(want.place).see_carrier(index))


def _create_veth(session: Session, want: Veth) -> None:
    try:
        _request_veth(session, want, want.index)
    except KernelError as error:
        if error.errno not in (errno.EBUSY, errno.EEXIST) or want.index is None:
            raise
        _request_veth(session, want, None)  # somebody has that number, or the name: see which


def _request_veth(session: Session, want: Veth, index: int | None) -> None:
    session.route(want.place).create_veth(
        want.name,
        want.peer_name,
        session.namespace(want.peer_place),
        mac=want.mac,
        peer_mac=want.peer_mac,
        mtu=want.mtu,
        index=index,
    )


def _repair_veth(session: Session, want: Veth) -> None:
    """Keep the pair if it is one, else make it anew: a peer elsewhere is an earlier pod's."""
    door = session.route(want.place)
    have = door.link(want.name)
    if have is None:
        # The name that is taken is the peer's, or it was the end of a namespace that died just now.
        if session.route(want.peer_place).link(want.peer_name) is not None:
            raise KernelError(
                f"there is another link {want.peer_name} in {want.peer_place}", errno=errno.EEXIST
            )
        _create_veth(session, want)
        return
    if have.kind != "veth":
        raise KernelError(
            f"{want.name} is there and is no veth but {have.kind or 'a NIC'}", errno=errno.EEXIST
        )
    if _peer(session, want, have) is not None:
        _correct(door, have, want.mac, want.mtu)
        return
    unless_missing(lambda: door.delete_link(have.ifindex))
    _create_veth(session, want)


def _peer(session: Session, want: Veth, have: Link) -> Link | None:
    """The other end, if it is where and what it should be."""
    if not session.has_place(want.peer_place):
        return None
    peer = session.route(want.peer_place).link(want.peer_name)
    if peer is None or peer.kind != "veth":
        return None
    if (peer.peer, peer.ifindex) != (have.ifindex, have.peer):
        return None
    if have.peer_nsid is None:
        mine, other = session.namespace(want.place), session.namespace(want.peer_place)
        return peer if mine.inode == other.inode else None
    nsid = session.route(want.place).nsid(session.namespace(want.peer_place))
    return peer if nsid == have.peer_nsid else None


def unmake_veth(session: Session, want: Veth) -> None:
    """Either end takes the other along; the peer's place may be the only one that is left."""
    if session.has_place(want.place):
        _delete(session, want.place, want.name, "veth")
    elif session.has_place(want.peer_place):
        _delete(session, want.peer_place, want.peer_name, "veth")


def begin_to_delete(session: Session, want: Veth) -> Iterator[Deletion]:
    """Nobody sees the link, or its other end, any more. Raises KernelError when it stays."""
    door = session.route(want.place)
    have = door.link(want.name)
    if have is not None and have.kind == "veth":
        deletion = Deletion(session.namespace(want.place), have.ifindex)
        deletion.await_unlisted(door, want.name)
        yield deletion


def see_veth(session: Session, want: Veth) -> Veth | None:
    have = session.route(want.place).link(want.name)
    if have is None or have.kind != "veth" or not have.up:
        return None
    peer = _peer(session, want, have)
    if peer is None or not peer.up:
        return None
    mtu = have.mtu if have.mtu != want.mtu else peer.mtu
    return replace(want, mac=have.mac, peer_mac=peer.mac, mtu=mtu)


def make_port(session: Session, want: BridgePort) -> None:
    door = session.route(want.place)
    have = _expect(door, want.link)
    bridge = _expect(door, want.bridge)
    if have.master != bridge.ifindex:
        door.set_link(have.ifindex, master=bridge.ifindex, up=True)
        have = have._replace(hairpin=False, neigh_suppress=False)
        if not bridge.active:
            _await_active(door, want)
    if (have.hairpin, have.neigh_suppress) != (want.hairpin, want.neigh_suppress):
        door.set_port(have.ifindex, hairpin=want.hairpin, neigh_suppress=want.neigh_suppress)


def ask_port(session: Session, want: BridgePort) -> None:
    """For a link that is no port yet, of a bridge that passes frames already."""
    door, link = session.route(want.place), session.index(want.place, want.link)
    door.set_link(link, master=session.kept_index(want.place, want.bridge), up=True)
    door.set_port(link, hairpin=want.hairpin, neigh_suppress=want.neigh_suppress)


def _await_active(door: RtNetlink, want: BridgePort) -> None:
    """A bridge gets its carrier from its first port, but loses what is sent in the next moment.

    Whoever moves an address to the bridge would lose an ARP request, and with it a second.
    """
    for _ in range(_ACTIVE_TRIES):
        port, bridge = door.link(want.link), door.link(want.bridge)
        if port is None or not port.active or bridge is None or bridge.active:
            return
        time.sleep(_ACTIVE_PAUSE)


def unmake_port(session: Session, want: BridgePort) -> None:
    if not session.has_place(want.place):
        return
    door = session.route(want.place)
    have = door.link(want.link)
    if have is None or have.master == 0:
        return
    if have.master == session.find_index(want.place, want.bridge):
        door.set_link(have.ifindex, master=0)


def see_port(session: Session, want: BridgePort) -> BridgePort | None:
    have = session.route(want.place).link(want.link)
    if have is None or have.master == 0:
        return None
    if have.master != session.find_index(want.place, want.bridge):
        return None
    return replace(want, hairpin=have.hairpin, neigh_suppress=have.neigh_suppress)


def _expect(door: RtNetlink, name: str) -> Link:
    have = door.link(name)
    if have is None:
        raise KernelError(f"there is no link {name}", errno=errno.ENODEV)
    return have


def _correct(door: RtNetlink, have: Link, mac: str | None, mtu: int) -> None:
    """Bring a link to these values, and up, in one request, or in none."""
    other_mac = mac if mac is not None and have.mac != mac.lower() else None
    other_mtu = mtu if have.mtu != mtu else None
    if other_mac or other_mtu or not have.up:
        door.set_link(have.ifindex, up=True, mac=other_mac, mtu=other_mtu)


def _delete(session: Session, place: str, name: str, kind: str) -> None:
    """Delete the link if it is there and of that kind; another's link is not ours to delete."""
    if not session.has_place(place):
        return
    door = session.route(place)
    have = door.link(name)
    if have is not None and have.kind == kind:
        unless_missing(lambda: door.delete_link(have.ifindex))
    session.forget(place, name)
