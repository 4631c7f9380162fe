from __future__ import annotations

from dataclasses import replace

import pytest

from podwire.cni.holdings import COOLING, FREE, count, document, holdings
from podwire.ipam.lease import ATTACHED, OWN_IPAM, AddressState, Lease

NOW = 1000.0


def state(last: int, *, freed: float | None = None, listed: bool = True) -> AddressState:
    return AddressState(f"10.1.0.{last}", "10.1.0.0/24", "", listed, freed, False)


def lease(address: str) -> Lease:
    return Lease(
        *(1, address, "10.1.0.0/24", "10.1.0.1", ATTACHED, "c", "eth0", "", "ns", "web", "azure"),
        *("azv1", "02:00:00:00:00:01", "azure0", OWN_IPAM, 0, 0, NOW - 60),
    )


@pytest.mark.parametrize(
    ("freed", "wanted", "seconds"),
    [(None, FREE, None), (30.0, FREE, None), (29.5, COOLING, 0.5), (0.0, COOLING, 30.0)],
)
def test_a_freed_address_cools_for_its_time(
    freed: float | None, wanted: str, seconds: float | None
) -> None:
    (one,) = holdings([state(5, freed=freed)], [], now=NOW, cooling=30.0)
    assert (one.state, one.seconds) == (wanted, seconds)


def test_a_held_address_is_its_leases_whatever_else() -> None:
    found = holdings(
        [state(5, freed=1.0), state(6, listed=False), state(7)],
        [lease("10.1.0.5"), lease("10.1.0.6"), lease("10.9.0.1"), lease("")],
        now=NOW,
        cooling=30.0,
    )
    assert [(one.address, one.state, one.listed, one.seconds) for one in found] == [
        ("", ATTACHED, None, 60.0),
        ("10.1.0.5", ATTACHED, True, 60.0),
        ("10.1.0.6", ATTACHED, False, 60.0),
        ("10.1.0.7", FREE, True, None),
        ("10.9.0.1", ATTACHED, None, 60.0),
    ]
    assert count(found) == {ATTACHED: 4, FREE: 1}
    told = list(document(found))
    assert told[1]["pod_name"] == "web"
    assert told[3]["pod_name"] is None


def test_addresses_are_in_numeric_order() -> None:
    found = holdings([state(10), state(9)], [], now=NOW, cooling=0.0)
    assert [one.address for one in found] == ["10.1.0.9", "10.1.0.10"]


def test_a_lease_of_both_families_holds_two() -> None:
    both = replace(lease("10.1.0.5"), address6="2001:db8::5", subnet6="2001:db8::/64")
    listed = AddressState("2001:db8::5", "2001:db8::/64", "", True, None, True)
    known = holdings([state(5), listed], [both], now=NOW, cooling=30.0)
    assert [(one.address, one.subnet, one.lease) for one in known] == [
        ("10.1.0.5", "10.1.0.0/24", both),
        ("2001:db8::5", "2001:db8::/64", both),
    ]
    unknown = holdings([], [both], now=NOW, cooling=30.0)
    assert [(one.address, one.listed) for one in unknown] == [
        ("10.1.0.5", None),
        ("2001:db8::5", None),
    ]
