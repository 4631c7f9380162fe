"""Which pods the kernel shows wired to a bridge: what is known when every record of them is lost.

Must not know who the pods are: a container's id is nowhere in the kernel.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import NamedTuple

from podwire.kernel import rtvalues as rt
from podwire.kernel.netlink import number
from podwire.kernel.netns import NetNamespace
from podwire.kernel.nfnetlink import NfNetlink
from podwire.kernel.rtnetlink import Link, RtNetlink
from podwire.model.bridge_mode import POD_MACS, TABLE_FAMILY, TABLE_NAME
from podwire.model.errors import KernelError

_GETLINK = 18
_IFLA_TARGET_NETNSID = 46
_POD_LINKS = "azv"


class WiredPod(NamedTuple):
    """host_link: the pod's link on the host; "" when it is gone and only its address is left.

    bridge: "" for a pod that is routed (transparent mode).
    """

    ip: str
    mac: str
    host_link: str
    bridge: str = ""


def wired_pods(namespace: NetNamespace, bridge: str) -> list[WiredPod]:
    """The pods of `bridge`, by its permanent neighbours and the MAC NAT's map, and routed pods.

    Source: rtnetlink(7); IFLA_TARGET_NETNSID tells of a veth's other end without entering its
    namespace. Raises KernelError when the kernel cannot be asked.
    """
    with RtNetlink(namespace) as door:
        own = door.link(bridge)
        ports = {} if own is None else _pod_ends(door, own)
        known = [] if own is None else door.neighbours(own.ifindex)
        routed = list(_routed(door))
    macs = {one.ip: one.mac for one in known if one.permanent}
    macs.update(_mapped(namespace))
    bridged = [WiredPod(ip, mac, ports.get(mac, ""), bridge) for ip, mac in macs.items()]
    return bridged + [one for one in routed if one.ip not in macs]


def _routed(door: RtNetlink) -> Iterator[WiredPod]:
    """Each pod's link that is no port of a bridge has its pod as permanent neighbour."""
    for link in door.links():
        if link.kind == "veth" and not link.master and link.name.startswith(_POD_LINKS):
            for one in door.neighbours(link.ifindex):
                if one.permanent:
                    yield WiredPod(one.ip, one.mac, link.name)


def _pod_ends(door: RtNetlink, bridge: Link) -> dict[str, str]:
    """MAC of the other end -> name, of each veth that is a port of `bridge`."""
    found = {}
    for port in door.links():
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


def _mapped(namespace: NetNamespace) -> dict[str, str]:
    door = NfNetlink(namespace)
    try:
        elements = door.elements(TABLE_FAMILY, TABLE_NAME, POD_MACS)
    except KernelError as error:
        if error.errno == errno.ENOENT:
            return {}
        raise
    finally:
        door.close()
    return {ip: mac for ip, mac in elements.items() if mac}
