"""Which pods the kernel shows wired, and every object of theirs: what is known without any record.

Must not know who the pods are: a container's id is nowhere in the kernel.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from podwire.kernel import rtvalues as rt
from podwire.kernel.netlink import number
from podwire.kernel.netns import NetNamespace
from podwire.kernel.nfnetlink import NfNetlink
from podwire.kernel.rtnetlink import Link, RtNetlink
from podwire.model.bridge_mode import POD_MACS, PORT_LOOPS, TABLE_FAMILY, TABLE_NAME
from podwire.model.errors import KernelError

_GETLINK = 18
_IFLA_TARGET_NETNSID = 46
_POD_LINKS = "azv"


class WiredPod(NamedTuple):
    """host_link: the pod's link on the host; "" when it is gone and only its address is left.

    bridge: "" for a pod that is routed (transparent mode); ip6: "" for one without.
    """

    ip: str
    mac: str
    host_link: str
    bridge: str = ""
    ip6: str = ""


class PodObjects(NamedTuple):
    """What the kernel has of pods on the host.

    links: their ends by name; ends: MAC of the other end -> name, of the bridge's ports.
    neighbours, elements: address -> MAC, permanent on the bridge, in the MAC NAT's map. loops: the
    links in its set of ports. routed: the pods outside of a bridge. own: the host's addresses.
    neighbours6: MAC -> IPv6 address, permanent on the bridge.
    """

    links: dict[str, Link]
    ends: dict[str, str]
    neighbours: dict[str, str]
    elements: dict[str, str]
    loops: frozenset[str]
    routed: tuple[WiredPod, ...]
    own: frozenset[str]
    neighbours6: Mapping[str, str] = MappingProxyType({})


def wired_pods(namespace: NetNamespace, bridge: str) -> list[WiredPod]:
    """The pods of `bridge`, by its permanent neighbours and the MAC NAT's map, and routed pods.

    Source: rtnetlink(7); IFLA_TARGET_NETNSID tells of a veth's other end without entering its
    namespace. Raises KernelError when the kernel cannot be asked.
    """
    return pods_of(pod_objects(namespace, bridge), bridge)


def pods_of(seen: PodObjects, bridge: str) -> list[WiredPod]:
    """The pods that these objects make; the map wins over a neighbour of another MAC."""
    macs = {**seen.neighbours, **seen.elements}
    bridged = [
        WiredPod(ip, mac, seen.ends.get(mac, ""), bridge, seen.neighbours6.get(mac, ""))
        for ip, mac in macs.items()
    ]
    return bridged + [one for one in seen.routed if one.ip not in macs]


def pod_objects(namespace: NetNamespace, bridge: str) -> PodObjects:
    """All of `bridge` and of routed pods. Raises KernelError."""
    with RtNetlink(namespace) as door:
        links = door.links()
        own = next((one for one in links if one.name == bridge and one.kind == "bridge"), None)
        ends = {} if own is None else _pod_ends(door, own, links)
        known = [] if own is None else door.neighbours(own.ifindex)
        six = {} if own is None else _ipv6(door, own)
        routed = tuple(_routed(door, links))
        addresses = frozenset(one.cidr.partition("/")[0] for one in door.addresses())
    return PodObjects(
        {one.name: one for one in links if one.kind == "veth" and one.name.startswith(_POD_LINKS)},
        ends,
        {one.ip: one.mac for one in known if one.permanent},
        {ip: mac for ip, mac in _elements(namespace, POD_MACS).items() if mac},
        frozenset(one.partition(" . ")[0] for one in _elements(namespace, PORT_LOOPS)),
        routed,
        addresses,
        six,
    )


def _routed(door: RtNetlink, links: list[Link]) -> Iterator[WiredPod]:
    """Each pod's link that is no port of a bridge has its pod as permanent neighbour."""
    for link in links:
        if link.kind == "veth" and not link.master and link.name.startswith(_POD_LINKS):
            for one in door.neighbours(link.ifindex):
                if one.permanent:
                    six = _ipv6(door, link).get(one.mac, "")
                    yield WiredPod(one.ip, one.mac, link.name, ip6=six)


def _ipv6(door: RtNetlink, link: Link) -> dict[str, str]:
    """MAC -> IPv6 address of each permanent neighbour."""
    known = door.neighbours(link.ifindex, socket.AF_INET6)
    return {one.mac: one.ip for one in known if one.permanent}


def _pod_ends(door: RtNetlink, bridge: Link, links: list[Link]) -> dict[str, str]:
    """MAC of the other end -> name, of each veth that is a port of `bridge`."""
    found = {}
    for port in links:
        if port.master != bridge.ifindex or port.kind != "veth" or port.peer_nsid is None:
            continue
        body = rt.IFINFO.pack(0, 0, port.peer, 0, 0)
        try:
            replies = door.request(_GETLINK, body + number(_IFLA_TARGET_NETNSID, port.peer_nsid))
        except KernelError as error:
            if error.errno in (errno.ENODEV, errno.EINVAL):
                continue  # it went away meanwhile
            raise
        found[rt.parse_link(replies[0]).mac] = port.name
    return found


def _elements(namespace: NetNamespace, name: str) -> dict[str, str | None]:
    door = NfNetlink(namespace)
    try:
        return door.elements(TABLE_FAMILY, TABLE_NAME, name)
    except KernelError as error:
        if error.errno == errno.ENOENT:
            return {}
        raise
    finally:
        door.close()
