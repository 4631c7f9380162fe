"""What is wired to what: the node's NIC, one pod's attachment, and the places that wirings name.

Must not know in which mode a pod is wired.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

HOST, POD = "host", "pod"
"""The two places of a node's wirings."""


@dataclass(frozen=True, slots=True)
class Uplink:
    """The node's NIC. addresses: CIDRs, the primary one first, on it or on its bridge already.

    addresses6, gateway6: the same of IPv6, empty when it has none. dual_stack: pods get IPv6
    addresses too. advertised: the kernel itself takes IPv6 routes from router advertisements.
    """

    name: str
    mac: str
    mtu: int
    addresses: tuple[str, ...]
    gateway: str
    addresses6: tuple[str, ...] = ()
    gateway6: str = ""
    dual_stack: bool = False
    advertised: bool = False

    @classmethod
    def of(cls, values: Sequence[Any]) -> Uplink:
        """From what dataclasses.astuple gave and JSON kept."""
        flat: list[Any] = [tuple(one) if isinstance(one, list) else one for one in values]
        return cls(*flat)

    @property
    def cidrs(self) -> tuple[str, ...]:
        """The addresses of both families."""
        return self.addresses + self.addresses6


@dataclass(frozen=True, slots=True)
class PodNetwork:
    """One attachment. cidr: the pod's address with the subnet's prefix length, 10.220.2.11/24.

    host_link: the pod's link on the host; "" for bridge mode's own name of it. cidr6: its IPv6
    address likewise, "" when it has none.
    """

    container_id: str
    network_id: str
    ifname: str
    cidr: str
    gateway: str
    mac: str
    host_link: str = ""
    cidr6: str = ""

    @property
    def ip(self) -> str:
        return self.cidr.partition("/")[0]

    @property
    def ip6(self) -> str:
        return self.cidr6.partition("/")[0]
