"""Leases with an address of each family."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from podwire.ipam.lease import ATTACHED, Holder, Lease, Survivor
from podwire.ipam.ledger import Ledger
from podwire.ipam.source import Card, SubnetAddresses
from podwire.model.cni_error import FAILED, NO_ADDRESS, CniError

MAC, OTHER_MAC = "00:0d:3a:8a:50:da", "00:0d:3a:00:00:02"
FOUR, SIX = "10.220.2.0/24", "2001:db8:2::/64"


def card(four: tuple[int, ...], six: tuple[int, ...], mac: str = MAC, primary: bool = True) -> Card:
    second = SubnetAddresses(SIX, "2001:db8:2::4", tuple(f"2001:db8:2::{one:x}" for one in six))
    first = SubnetAddresses(FOUR, "10.220.2.4", tuple(f"10.220.2.{one}" for one in four))
    return Card(mac, primary, (second, first))


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Iterator[Ledger]:
    with Ledger.open(str(tmp_path), clock=clock) as opened:
        opened.merge([card((5, 6, 7), (9, 10, 0x100))])
        yield opened


def taken(ledger: Ledger, name: str, **given: str) -> Lease:
    return ledger.allocate(Holder(name, "eth0"), state=ATTACHED, **given)


def code(ledger: Ledger, name: str, **given: str) -> tuple[int, str]:
    with pytest.raises(CniError) as refused:
        taken(ledger, name, **given)
    return refused.value.code, f"{refused.value.msg}; {refused.value.details}"


def test_the_lowest_free_one_of_each_family(ledger: Ledger) -> None:
    lease = taken(ledger, "a")
    assert (lease.cidr, lease.gateway) == ("10.220.2.5/24", "10.220.2.1")
    assert (lease.cidr6, lease.gateway6) == ("2001:db8:2::9/64", "2001:db8:2::1")
    assert not lease.unknown
    assert taken(ledger, "a") == lease
    assert [taken(ledger, name).address6 for name in "bc"] == ["2001:db8:2::a", "2001:db8:2::100"]


def test_a_card_without_ipv6_and_one_that_lists_none_for_pods(tmp_path: Path) -> None:
    with Ledger.open(str(tmp_path)) as ledger:
        ledger.merge([card((5,), ())])
        lease = taken(ledger, "a")
        assert (lease.address6, lease.subnet6, lease.gateway6, lease.cidr6) == ("", "", "", "")
        assert ledger.pool().subnet6 == ""


def test_of_the_same_card(tmp_path: Path) -> None:
    with Ledger.open(str(tmp_path)) as ledger:
        ledger.merge(
            [
                Card(MAC, True, card((5,), ()).subnets[1:]),
                card((), (9,), OTHER_MAC, primary=False),
            ]
        )
        assert ledger.pool().subnet6 == ""
        assert taken(ledger, "a").address6 == ""


def test_who_wants_only_ipv4(ledger: Ledger) -> None:
    assert ledger.allocate(Holder("a", "eth0"), both=False).address6 == ""


def test_ipv6_alone_runs_out(ledger: Ledger) -> None:
    ledger.merge([card((5, 6, 7), (9,))])
    first = taken(ledger, "a")
    assert not ledger.has_free()
    assert ledger.wants_refresh()
    found, words = code(ledger, "b")
    assert found == NO_ADDRESS
    assert "IPv6" in words
    assert SIX in words
    assert [one.container_id for one in ledger.leases()] == ["a"], "its IPv4 address is free still"
    ledger.release("a")
    assert taken(ledger, "b").address6 == first.address6


def test_ipv4_alone_runs_out(ledger: Ledger) -> None:
    ledger.merge([card((5,), (9, 10))])
    taken(ledger, "a")
    found, words = code(ledger, "b")
    assert (found, "IPv6" in words) == (NO_ADDRESS, False)


def test_both_cool_after_use(ledger: Ledger, clock: Clock) -> None:
    lease = taken(ledger, "a")
    ledger.release("a")
    clock.now += 5
    other = ledger.allocate(Holder("b", "eth0"), cooling_seconds=30)
    assert (other.address[-1], other.address6[-1]) == ("6", "a")
    clock.now += 30
    again = ledger.allocate(Holder("c", "eth0"), cooling_seconds=30)
    assert (again.address, again.address6) == (lease.address, lease.address6)


def test_one_that_is_asked_for(ledger: Ledger) -> None:
    assert taken(ledger, "a", address6="2001:db8:2::100").address6 == "2001:db8:2::100"
    assert code(ledger, "b", address6="2001:db8:2::100")[0] == FAILED
    assert "(container a, eth0) holds it" in code(ledger, "b", address6="2001:db8:2::100")[1]
    assert "not of the node's NIC" in code(ledger, "b", address6="2001:db8:2::77")[1]
    assert "holds 2001:db8:2::100 already" in code(ledger, "a", address6="2001:db8:2::9")[1]


def test_who_asks_for_the_ipv6_subnet_alone_gets_no_held_one(ledger: Ledger) -> None:
    assert taken(ledger, "a").address6 == "2001:db8:2::9"
    lease = taken(ledger, "b", subnet=SIX)
    assert (lease.address, lease.address6) == ("2001:db8:2::a", "")
    assert taken(ledger, "c").address6 == "2001:db8:2::100"
    assert "c" in code(ledger, "d", subnet=SIX, address="2001:db8:2::100")[1]


def test_a_held_one_that_is_listed_no_more_stays_its_pods(ledger: Ledger) -> None:
    lease = taken(ledger, "a")
    ledger.merge([card((5, 6), (10,))])
    assert ledger.leases() == [lease]
    held = next(one for one in ledger.addresses() if one.address == lease.address6)
    assert (held.listed, held.held) == (False, True)
    ledger.release("a")
    assert lease.address6 not in [one.address for one in ledger.addresses()]


def test_the_state_of_each_address_and_pool(ledger: Ledger) -> None:
    lease = taken(ledger, "a")
    held = {one.address for one in ledger.addresses() if one.held}
    assert held == {lease.address, lease.address6}
    assert [(one.subnet, one.held, one.free) for one in ledger.pools()] == [
        (FOUR, 1, 2),
        (SIX, 1, 2),
    ]


def test_a_survivor_has_both_again(tmp_path: Path) -> None:
    survivor = Survivor("10.220.2.6", "02:00:00:00:00:01", "azv1", "azure0", "2001:db8:2::9")
    with Ledger.open(str(tmp_path), survivors=lambda: [survivor]) as ledger:
        assert ledger.leases()[0].unknown
        ledger.merge([card((5, 6, 7), (9, 10))])
        (lease,) = ledger.leases()
        assert not lease.unknown
        assert (lease.cidr6, lease.gateway6) == ("2001:db8:2::9/64", "2001:db8:2::1")
        assert taken(ledger, "b").address6 == "2001:db8:2::a"


def test_a_node_stays_dual_stack_while_a_pod_is(ledger: Ledger) -> None:
    taken(ledger, "a")
    ledger.merge([card((5, 6, 7), ())])
    assert ledger.pool().dual_stack
    assert taken(ledger, "b").address6 == ""
    ledger.release("a")
    assert not ledger.pool().dual_stack


def test_the_file_itself_lets_no_address_be_held_twice(tmp_path: Path, ledger: Ledger) -> None:
    taken(ledger, "a")
    other = taken(ledger, "b")
    with (
        sqlite3.connect(tmp_path / "ledger.sqlite") as db,
        pytest.raises(sqlite3.IntegrityError),
    ):
        db.execute("UPDATE lease SET address6 = '2001:db8:2::9' WHERE id = ?", (other.id,))


NAMES = st.sampled_from("abcdef")


class DualMachine(RuleBasedStateMachine):
    """Four addresses of each family, of which the source lists some, and six containers."""

    HOSTS = (5, 6, 7, 8)

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.mkdtemp()
        self.ledger = Ledger.open(self.directory)
        self.held: dict[str, tuple[str, str]] = {}
        self.refresh(set(self.HOSTS), set(self.HOSTS))

    def teardown(self) -> None:
        self.ledger.close()
        shutil.rmtree(self.directory)

    @rule(four=st.sets(st.sampled_from(HOSTS), min_size=1), six=st.sets(st.sampled_from(HOSTS)))
    def refresh(self, four: set[int], six: set[int]) -> None:
        self.ledger.merge([card(tuple(four), tuple(six))])
        self.four, self.six = four, six

    def free(self, family: int, listed: set[int], prefix: str) -> list[str]:
        used = {one[family] for one in self.held.values()}
        return [f"{prefix}{one}" for one in sorted(listed) if f"{prefix}{one}" not in used]

    @rule(name=NAMES)
    def add(self, name: str) -> None:
        four = self.free(0, self.four, "10.220.2.")
        six = self.free(1, self.six, "2001:db8:2::")
        if name not in self.held and (not four or (self.six and not six)):
            assert code(self.ledger, name)[0] == NO_ADDRESS
            return
        lease = taken(self.ledger, name)
        wanted = (four[0], six[0] if six else "") if name not in self.held else self.held[name]
        assert (lease.address, lease.address6) == wanted
        self.held[name] = wanted

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        freed = self.ledger.release(name)
        held = self.held.pop(name, None)
        assert [(one.address, one.address6) for one in freed] == ([held] if held else [])

    @invariant()
    def the_ledger_is_the_model(self) -> None:
        leases = self.ledger.leases()
        assert {one.container_id: (one.address, one.address6) for one in leases} == self.held
        given = [one.address6 for one in leases if one.address6]
        assert len(set(given)) == len(given)
        assert self.ledger.pool().subnet6 == (SIX if self.six else "")
        pools = [one.free for one in self.ledger.pools()]
        six = self.free(1, self.six, "2001:db8:2::")
        assert pools == [len(self.free(0, self.four, "10.220.2.")), len(six)]


TestDualMachine = DualMachine.TestCase
TestDualMachine.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)
