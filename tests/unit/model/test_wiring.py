from __future__ import annotations

from dataclasses import replace

from podwire.model.wiring import (
    Address,
    Bridge,
    BridgePort,
    Difference,
    Element,
    Neighbour,
    Route,
    Sysctl,
    Table,
    Veth,
    Wiring,
    diff,
)

VETH = Veth("host", "azv1", "pod", "eth0", mtu=1400)
ADDRESS = Address("pod", "eth0", "10.0.0.5/24")
ALL = Wiring.of(
    [
        Bridge("host", "azure0", "02:00:00:00:00:01"),
        VETH,
        BridgePort("host", "azv1", "azure0"),
        ADDRESS,
        Route("pod", "0.0.0.0/0", "eth0", via="10.0.0.1"),
        Neighbour("host", "azure0", "10.0.0.5", "02:00:00:00:00:05"),
        Sysctl("host", "net/ipv4/ip_forward", "1"),
        Table("host", "bridge", "azure-vnet", "chain x { }"),
        Element("host", "bridge", "azure-vnet", "pod_mac", "10.0.0.5", "02:00:00:00:00:05"),
    ]
)


def test_every_object_has_its_own_key() -> None:
    assert len({one.key for one in ALL}) == len(ALL)


def test_equal_wirings_do_not_differ() -> None:
    assert diff(ALL, ALL) == ()
    assert diff(Wiring(), ALL) == ()


def test_order_does_not_matter() -> None:
    assert diff(ALL, Wiring(ALL.objects[::-1])) == ()


def test_each_missing_object_is_named() -> None:
    for one in ALL:
        seen = Wiring.of(other for other in ALL if other is not one)
        assert diff(ALL, seen) == (Difference(one, None),)


def test_other_values_are_named() -> None:
    seen = replace(VETH, mac="02:00:00:00:00:09", mtu=1500)
    assert diff(Wiring.of([VETH]), Wiring.of([seen])) == (Difference(VETH, seen, ("mtu",)),)


def test_none_accepts_any_value_but_a_value_not_none() -> None:
    strict = replace(VETH, peer_mac="02:00:00:00:00:05")
    assert diff(Wiring.of([VETH]), Wiring.of([strict])) == ()
    assert diff(Wiring.of([strict]), Wiring.of([VETH])) == (
        Difference(strict, VETH, ("peer_mac",)),
    )


def test_what_must_be_absent() -> None:
    absent = replace(ADDRESS, absent=True)
    assert diff(Wiring.of([absent]), Wiring()) == ()
    assert diff(Wiring.of([absent]), Wiring.of([ADDRESS])) == (
        Difference(absent, ADDRESS, ("absent",)),
    )


def test_a_link_of_another_kind() -> None:
    bridge = Bridge("host", "azv1", "02:00:00:00:00:01")
    assert diff(Wiring.of([VETH]), Wiring.of([bridge])) == (Difference(VETH, bridge, ("kind",)),)


def test_wirings_add_up_in_order() -> None:
    first, second = Wiring.of([VETH]), Wiring.of([ADDRESS])
    assert list(first + second) == [VETH, ADDRESS]
    assert len(first + second) == 2
