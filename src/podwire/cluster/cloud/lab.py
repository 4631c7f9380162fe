"""What the service controller needs of the lab, and the lab's own answer to that."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from podwire.model.load_balancer import LoadBalancer
from podwire.vnet.frontend_addresses import FrontendAddresses
from podwire.vnet.load_balancer import LoadBalancers


class Cloud(Protocol):
    """Refusals are InvalidInputError, with Azure's code; the kernel's KernelError."""

    def allocate(self, owner: str, subnet: str | None, wanted: str, kept: str) -> str:
        """The owner's frontend address, as `FrontendAddresses.allocate` has it."""
        ...

    def release(self, owner: str) -> None: ...

    def retain(self, owners: Iterable[str]) -> None:
        """Release what any other owner of this cluster has."""
        ...

    async def put(self, lb: LoadBalancer) -> None: ...

    async def remove(self, key: str) -> None: ...

    def address_of(self, node: str) -> str | None:
        """The primary address of the node's NIC; None while it has none."""
        ...

    def tell(self, text: str) -> None:
        """For whoever watches the lab."""
        ...


class VNetCloud:
    """The load balancers and frontend addresses of a VNet, as one cluster's controller sees them.

    cluster: its key, so that clusters of one VNet keep their claims apart. node_address: the
    primary address of a node's NIC by its name.
    """

    def __init__(
        self,
        cluster: str,
        balancers: LoadBalancers,
        addresses: FrontendAddresses,
        node_address: Callable[[str], str | None],
        tell: Callable[[str], None] = print,
    ) -> None:
        self._prefix = f"{cluster}/"
        self._balancers, self._addresses = balancers, addresses
        self._node_address, self._tell = node_address, tell

    def allocate(self, owner: str, subnet: str | None, wanted: str, kept: str) -> str:
        return self._addresses.allocate(self._prefix + owner, subnet, wanted, kept)

    def release(self, owner: str) -> None:
        self._addresses.release(self._prefix + owner)

    def retain(self, owners: Iterable[str]) -> None:
        kept = {self._prefix + one for one in owners}
        for claim in self._addresses.claims():
            if claim.owner.startswith(self._prefix) and claim.owner not in kept:
                self._addresses.release(claim.owner)

    async def put(self, lb: LoadBalancer) -> None:
        await self._balancers.put(lb)

    async def remove(self, key: str) -> None:
        await self._balancers.remove(key)

    def address_of(self, node: str) -> str | None:
        return self._node_address(node)

    def tell(self, text: str) -> None:
        self._tell(text)
