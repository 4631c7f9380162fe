"""Addresses that no machine has: nobody else gets them, now and after a restart."""

from __future__ import annotations

from pathlib import Path

from podwire.lab.holders import AddressWish, hold, reserve
from podwire.lab.nics import public_addresses, reserved_addresses, taken
from podwire.lab.store import Frontends, Store
from podwire.model.vnet import Subnet, VNet
from podwire.vnet.frontend_addresses import FrontendAddresses

NET = VNet("v", "g", ("10.0.0.0/16",), (Subnet("a", "10.0.0.0/24"),))


def of_vnet(store: Store) -> FrontendAddresses:
    """As a Network has it."""
    kept = store.get(Frontends, NET.key) or Frontends()
    return FrontendAddresses(
        lambda: NET,
        lambda: public_addresses(store, but=NET.key),
        kept.claims,
        lambda claims: store.put(NET.key, Frontends(claims)),
        lambda: reserved_addresses(store),
    )


def test_what_is_held_is_taken_and_free_when_it_is_let_go(tmp_path: Path) -> None:
    store = Store(tmp_path / "lab.sqlite")
    wishes = {"one": AddressWish(NET.key, "a"), "two": AddressWish(NET.key, "a", "10.0.0.9")}
    held = hold("nic", wishes, {NET.key: of_vnet(store)})
    assert held == {"one": "10.0.0.4", "two": "10.0.0.9"}
    assert {"10.0.0.4", "10.0.0.9"} <= set(taken(store, NET.key))
    again = {NET.key: of_vnet(store)}
    assert hold("nic", wishes, again) == held, "a restarted daemon"
    assert hold("nic", {"two": wishes["two"]}, again) == {"two": "10.0.0.9"}
    assert "10.0.0.4" not in taken(store, NET.key)
    hold("nic", {}, again)
    assert of_vnet(store).claims() == ()


def test_a_public_address_waits_for_the_service_that_asks_for_it(tmp_path: Path) -> None:
    store = Store(tmp_path / "lab.sqlite")
    services = of_vnet(store)
    first = services.allocate("s0", None)
    held = hold("ip", {"": AddressWish()}, {"": reserve(store)})[""]
    assert first != held, "the Service's is taken"
    assert services.allocate("s1", None) not in (first, held)
    assert services.allocate("s2", None, wanted=held) == held
    hold("ip", {}, {"": reserve(store)})
    assert reserved_addresses(store) == []
