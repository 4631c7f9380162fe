"""Which address each load balancer frontend has, and whatever else has one and is no machine:
claims that outlive the daemon.

An owner's claim stays its own until it is released, or another address is asked for and given; so
nobody else gets it meanwhile. Pure, but for `save`. Source: facts of Azure's internal load balancer
(address in the named subnet, lowest free, or the requested one), Azure's error codes and texts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address

from podwire.model.errors import InvalidInputError
from podwire.model.load_balancer import PUBLIC_RANGE
from podwire.model.vnet import RESERVED_FIRST, Subnet, VNet, subnet_is_full

_PUBLIC = Subnet("public", PUBLIC_RANGE)


@dataclass(frozen=True, slots=True)
class Claim:
    """owner: whoever has the address, unique in the VNet. subnet: a name, None: it is public."""

    owner: str
    subnet: str | None
    address: str


class FrontendAddresses:
    """Those of one VNet.

    vnet: the VNet as it is now. taken: every address that something else has, as NICs, and in the
    public range the claims of other VNets. claims: what `save`, which is called with all claims
    after each change, was given last. reserved: addresses that only who asks for them gets.
    """

    def __init__(
        self,
        vnet: Callable[[], VNet],
        taken: Callable[[], Iterable[str]],
        claims: Iterable[Claim] = (),
        save: Callable[[tuple[Claim, ...]], None] = lambda claims: None,
        reserved: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self._vnet, self._taken, self._save, self._reserved = vnet, taken, save, reserved
        self._claims = {one.owner: one for one in claims}

    def claims(self) -> tuple[Claim, ...]:
        return tuple(self._claims.values())

    def allocate(self, owner: str, subnet: str | None, wanted: str = "", kept: str = "") -> str:
        """The owner's address; the same as before if nothing else is wanted.

        subnet: its name, None for a public address. wanted: this address and no other. kept: the
        address that the owner had when nobody remembers its claim; it is tried first. Raises
        InvalidInputError with Azure's code when there is none to give; a claim stays as it was.
        """
        space = _PUBLIC if subnet is None else self._subnet(subnet)
        have = self._claims.get(owner)
        if have and have.subnet == subnet and wanted in ("", have.address):
            return have.address
        taken = self._others(owner)
        if wanted:
            address = _checked(owner, space, wanted, taken)
        elif kept and _is_free(space, kept, taken):
            address = kept
        else:
            address = _lowest(space, (*taken, *self._reserved()))
        self._claims[owner] = Claim(owner, subnet, address)
        self._save(self.claims())
        return address

    def release(self, owner: str) -> None:
        """The address is free again; unknown owner: nothing."""
        if self._claims.pop(owner, None) is not None:
            self._save(self.claims())

    def _subnet(self, name: str) -> Subnet:
        vnet = self._vnet()
        try:
            return vnet.subnet(name)
        except InvalidInputError as error:
            text = f"failed to get subnet: {vnet.name}/{name}; {error}"
            raise InvalidInputError(text, target="subnet") from error

    def _others(self, owner: str) -> dict[str, str]:
        """Who has each address that `owner` cannot have."""
        mine = {one.address for one in self._claims.values() if one.owner == owner}
        others = dict.fromkeys(self._taken(), "another resource")
        others.update((one.address, one.owner) for one in self._claims.values())
        return {address: who for address, who in others.items() if address not in mine}


def _lowest(space: Subnet, taken: Iterable[str]) -> str:
    free = next(iter(space.free(taken)), None)
    if free is None:
        raise subnet_is_full(space, 1)
    return str(free)


def _is_free(space: Subnet, text: str, taken: Iterable[str]) -> bool:
    address = IPv4Address(text)
    return address in space.network and not _is_reserved(space, address) and text not in taken


def _is_reserved(space: Subnet, address: IPv4Address) -> bool:
    offset = int(address) - int(space.network.network_address)
    return offset < RESERVED_FIRST or address == space.network.broadcast_address


def _checked(owner: str, space: Subnet, text: str, taken: dict[str, str]) -> str:
    """Raises InvalidInputError in Azure's words."""
    try:
        address = IPv4Address(text)
    except AddressValueError as error:
        raise _refusal("InvalidIPAddress", f"{text!r} is not an IPv4 address: {error}") from error
    if address not in space.network:
        raise _outside(space, text)
    if _is_reserved(space, address):
        raise _refusal(
            "PrivateIPAddressInReservedRange",
            f"Private static IP address {text} falls within reserved IP range of subnet prefix "
            f"{space.prefix}.",
        )
    if text in taken:
        raise _refusal(
            "PrivateIPAddressIsAllocated",
            f"IP configuration {owner} is using the private IP address {text} which is already "
            f"allocated to resource {taken[text]}.",
        )
    return text


def _outside(space: Subnet, text: str) -> InvalidInputError:
    if space is _PUBLIC:
        return _refusal(
            "PublicIPAddressNotFound",
            f"user supplied IP Address {text} was not found; the lab's public addresses are those "
            f"of {PUBLIC_RANGE}",
        )
    return _refusal(
        "PrivateIPAddressNotInSubnet",
        f"Private static IP address {text} does not belong to the range of subnet prefix "
        f"{space.prefix}.",
    )


def _refusal(code: str, text: str) -> InvalidInputError:
    return InvalidInputError(text, code=code, target="privateIPAddress")
