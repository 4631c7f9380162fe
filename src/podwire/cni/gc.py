"""GC: removing what containers hold that the runtime does not know any more.

Source: CNI specification 1.1.0, section 2 (GC). Must not know how a lease is removed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from podwire.ipam.lease import ATTACHED, Lease
from podwire.ipam.ledger import Ledger
from podwire.model.bridge_mode import pod_mac
from podwire.model.cni_error import FAILED, INVALID_CONFIG, CniError
from podwire.model.errors import PodwireError

KEY = "cni.dev/valid-attachments"


def valid_attachments(config: Mapping[str, Any]) -> set[tuple[str, str]]:
    """(container id, interface name) of each attachment to keep.

    Raises CniError 7, also when the list is missing: taken for empty, it would end every pod.
    """
    listed = config.get(KEY)
    if not isinstance(listed, list):
        raise _bad(KEY, listed, 'a list of {"containerID", "ifname"}')
    found = set()
    for at, one in enumerate(listed):
        names = (one.get("containerID"), one.get("ifname")) if isinstance(one, dict) else ()
        if len(names) != 2 or not all(isinstance(name, str) and name for name in names):
            raise _bad(f"{KEY}[{at}]", one, 'an object with "containerID" and "ifname"')
        found.add((str(names[0]), str(names[1])))
    return found


def stale(ledger: Ledger, config: Mapping[str, Any], *, wired: bool) -> list[Lease]:
    """The attached leases of the configuration's network that are not listed.

    wired: azure-vnet's own leases; False: those whose network another plugin made. A lease that
    the kernel alone told of is of any network; its pod's MAC tells whether it is listed.
    """
    keep, name = valid_attachments(config), config.get("name")
    if not isinstance(name, str) or not name:
        raise _bad("name", name, "the network's name")
    macs = {pod_mac(name, container, ifname) for container, ifname in keep}
    return [
        one
        for one in ledger.leases()
        if one.state == ATTACHED
        and bool(one.host_link or one.mac) == wired
        and one.network in (name, "")
        and (one.container_id, one.ifname) not in keep
        and not (wired and one.mac in macs)
    ]


def remove_all(leases: list[Lease], remove: Callable[[Lease], object]) -> None:
    """As many as can be. Raises CniError 100 with each that cannot."""
    failed = []
    for lease in leases:
        try:
            remove(lease)
        except PodwireError as error:
            failed.append(f"{lease.address} of {lease.container_id}: {error}")
    if failed:
        raise CniError(FAILED, f"cannot remove yet: {'; '.join(failed)}; call GC again")


def _bad(path: str, value: object, wanted: str) -> CniError:
    return CniError(
        INVALID_CONFIG, f"network configuration: {path} is {value!r}; it must be {wanted}"
    )
