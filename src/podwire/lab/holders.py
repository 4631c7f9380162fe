"""Addresses of a VNet, and public ones, that are held by no machine of the lab's: a user's own NICs
and public IPs. Nobody else gets them; nothing is plugged in there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NoReturn

from podwire.lab.nics import RESERVED, public_addresses
from podwire.lab.store import Frontends, Store
from podwire.vnet.frontend_addresses import Claim, FrontendAddresses


@dataclass(frozen=True, slots=True)
class AddressWish:
    """vnet: its key, subnet: a name in it; both "" for a public address. address: "" for any."""

    vnet: str = ""
    subnet: str = ""
    address: str = ""


def reserve(store: Store) -> FrontendAddresses:
    """The public addresses that resources hold, whoever uses them."""

    def no_vnet() -> NoReturn:
        raise AssertionError("public addresses are of no VNet")

    def save(claims: tuple[Claim, ...]) -> None:
        store.put(RESERVED, Frontends(claims))

    kept = store.get(Frontends, RESERVED) or Frontends()
    return FrontendAddresses(no_vnet, lambda: public_addresses(store), kept.claims, save)


def hold(
    holder: str, wishes: Mapping[str, AddressWish], spaces: Mapping[str, FrontendAddresses]
) -> dict[str, str]:
    """What a holder has from now on, by its own names for them; no wishes: nothing any more.

    spaces: by VNet, "" the public addresses. Raises InvalidInputError with Azure's code, as
    `FrontendAddresses.allocate`; what it held and wishes for stays.
    """
    for vnet, addresses in spaces.items():
        for owner in _owners(holder, addresses.claims()):
            wish = wishes.get(owner.removeprefix(f"{holder}#"))
            if wish is None or wish.vnet != vnet:
                addresses.release(owner)
    return {
        name: spaces[one.vnet].allocate(f"{holder}#{name}", one.subnet or None, one.address)
        for name, one in wishes.items()
    }


def _owners(holder: str, claims: Iterable[Claim]) -> list[str]:
    return [one.owner for one in claims if one.owner.startswith(f"{holder}#")]
