"""The way out of a VNet, only where somebody asks for it: source NAT onto the machine's network.

Inside the fabric all that leaves is given one address (nft masquerade) and goes into a tap. At the
other end slirp4netns, a user's program in the machine's network namespace, makes ordinary sockets
of it: no link, route, rule or sysctl of the machine's changes. TCP and UDP pass; nothing comes in
that was not asked for. The machine's own loopback is not reached.
"""

from __future__ import annotations

from pathlib import Path

from podwire.kernel.process import Program
from podwire.model.wiring import Address, Element, Neighbour, Table, Wiring
from podwire.vnet.fabric import Fabric
from podwire.vnet.segments import FABRIC, FAMILIES, TABLE, TRUSTED
from podwire.vnet.steering import OUTSIDE, OUTSIDE_GATEWAY

PACKAGE = "slirp4netns"
"""Debian's package and the program in it."""
_NETWORK = "192.0.2.0/24"
"""Documentation addresses, between the fabric and slirp4netns alone."""
_ADDRESS = "192.0.2.100/32"
_GATEWAY_MAC = "52:55:c0:00:02:02"
"""libslirp's: 52:55 and the gateway's address."""
_RULES = f"""
chain leaving {{
    type nat hook postrouting priority srcnat; policy accept;
    oifname {OUTSIDE} masquerade
}}
"""


def outbound_program(
    fabric: Fabric, log: Path, *, owner: str = "", program: str = PACKAGE, netns: str | None = None
) -> Program:
    """What the supervisor runs, in the machine's namespace or in `netns`, after `open_outbound`.

    It ends when the fabric's namespace does; stop it before `Fabric.close`, which it would delay.
    """
    argv = (
        program,
        "--netns-type=path",
        f"--cidr={_NETWORK}",
        "--mtu=1500",
        "--disable-host-loopback",
        "--disable-dns",
        "--enable-sandbox",
        fabric.namespace.path,
        OUTSIDE,
    )
    return Program("outbound", argv, log, node=owner, netns=netns)


def open_outbound(fabric: Fabric) -> None:
    """What no private range has leaves the VNet from now on; so do a user's routes to Internet.

    Until the program runs it is dropped. Done already: nothing. Raises KernelError.
    """
    fabric.open_outside(outside_wiring())


def close_outbound(fabric: Fabric) -> None:
    """Nothing leaves the VNet any more; a second time: nothing. Raises KernelError."""
    fabric.close_outside(outside_wiring())


def outside_wiring() -> Wiring:
    """What the tap is and has, besides the routes to it."""
    return Wiring(
        (
            Table(FABRIC, "ip", OUTSIDE, _RULES),
            Address(FABRIC, OUTSIDE, _ADDRESS),
            Neighbour(FABRIC, OUTSIDE, OUTSIDE_GATEWAY, _GATEWAY_MAC),
            *(Element(FABRIC, family, TABLE, TRUSTED, OUTSIDE) for family in FAMILIES),
        )
    )
