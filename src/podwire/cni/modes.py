"""The modes that pods can be wired in, as one table, and which one a node is in.

A lease tells its pod's mode by its bridge: one that is named, or none for a pod that is routed.
The node's mode is a note in the ledger, and when that was lost, what the kernel shows. All pods of
a node are in one mode: a configuration that says another is refused with the command that moves
the node.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from podwire.ipam.lease import Lease
from podwire.ipam.ledger import Ledger
from podwire.kernel.netns import NetNamespace
from podwire.kernel.rtnetlink import RtNetlink
from podwire.model import bridge_mode, transparent_mode
from podwire.model.bridge_mode import PodNetwork, Uplink, host_veth_name
from podwire.model.cni import Request
from podwire.model.cni_error import INVALID_CONFIG, TRY_AGAIN, CniError
from podwire.model.wiring import Wiring

BRIDGE, TRANSPARENT = "bridge", "transparent"
DEFAULT_BRIDGE = "azure0"
MOVING = "moving to "
"""Before the new mode's name, the note of a node that a migration works on, or died on."""
_NOTE = "mode"
_POD_LINKS = "azv"


@dataclass(frozen=True, slots=True)
class Mode:
    """client: what azure-vnet.log calls the code of this mode; link: a pod's link on the host."""

    name: str
    client: str
    bridged: bool
    node_wiring: Callable[[Uplink, str, tuple[str, ...]], Wiring]
    pod_wiring: Callable[[Uplink, str, PodNetwork], Wiring]
    link: Callable[[str, Request], str]

    def bridge(self, wanted: str) -> str:
        """What a lease of this mode has as its bridge."""
        return wanted if self.bridged else ""


def container_link(network: str, request: Request) -> str:
    """Nobody else's name: it follows from the container's id."""
    return host_veth_name(network, request.container_id, request.ifname)


def _pod_link(network: str, request: Request) -> str:
    if request.pod_namespace and request.pod_name:
        return transparent_mode.pod_veth_name(request.pod_namespace, request.pod_name)
    return container_link(network, request)


MODES = {
    BRIDGE: Mode(
        *(BRIDGE, "Bridge client", True),
        bridge_mode.node_wiring,
        bridge_mode.pod_wiring,
        container_link,
    ),
    TRANSPARENT: Mode(
        *(TRANSPARENT, "Transparent client", False),
        transparent_mode.node_wiring,
        transparent_mode.pod_wiring,
        _pod_link,
    ),
}


def supported(name: str) -> Mode:
    """Raises CniError 7."""
    if name not in MODES:
        raise CniError(
            INVALID_CONFIG,
            f"network configuration: mode is {name!r}; this version wires pods in bridge and "
            "transparent mode: set mode to one of them",
        )
    return MODES[name]


def of_lease(lease: Lease) -> Mode:
    return MODES[BRIDGE if lease.bridge else TRANSPARENT]


def node_mode(ledger: Ledger, host: NetNamespace, bridge: str) -> str:
    """The node's mode, MOVING + mode in the middle of a migration, "" when it is not wired."""
    return noted_mode(ledger) or shown_mode(host, bridge or DEFAULT_BRIDGE)


def noted_mode(ledger: Ledger) -> str:
    """What the ledger alone says, "" when it has no note."""
    return ledger.recall(_NOTE)


def set_node_mode(ledger: Ledger, mode: str) -> None:
    ledger.remember(_NOTE, mode)


def agree(mode: str, ledger: Ledger, host: NetNamespace, bridge: str) -> bool:
    """Raises CniError 11 when the node is wired in another mode than a configuration wants.

    Whether the ledger has a note of it; else every call must look at the whole kernel.
    """
    noted = ledger.recall(_NOTE)
    have = noted or shown_mode(host, bridge or DEFAULT_BRIDGE)
    if have.startswith(MOVING):
        target = have.removeprefix(MOVING)
        raise CniError(
            TRY_AGAIN,
            f"the node is being moved to {target} mode; if nothing does so any more, "
            f"`podwire cni migrate --to {target}` finishes it",
        )
    if have and have != mode:
        raise CniError(
            TRY_AGAIN,
            f"network configuration: mode is {mode!r}, but the node is wired in {have} mode; "
            f"move it with `podwire cni migrate --to {mode}`, or set mode to {have}",
        )
    return bool(noted)


def shown_mode(host: NetNamespace, bridge: str) -> str:
    """The mode that the kernel shows: a card in the bridge, or pods outside of any."""
    with RtNetlink(host) as door:
        links = door.links()
    own = next((one.ifindex for one in links if one.name == bridge and one.kind == "bridge"), -1)
    if any(one.master == own and not one.name.startswith(_POD_LINKS) for one in links):
        return BRIDGE
    pods = (one for one in links if one.kind == "veth" and one.name.startswith(_POD_LINKS))
    return TRANSPARENT if any(not one.master for one in pods) else ""
