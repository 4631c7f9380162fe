from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from podwire.ipam.lease import ATTACHED, PENDING, RELEASING, Holder, Lease, Survivor
from podwire.ipam.ledger import Ledger
from podwire.ipam.source import Card, SubnetAddresses
from podwire.model.cni_error import FAILED, NO_ADDRESS, TRY_AGAIN, CniError
from podwire.model.errors import UnavailableError

MAC, SUBNET = "00:0d:3a:8a:50:da", "10.220.2.0/24"


def card(*hosts: int, mac: str = MAC, subnet: str = SUBNET, primary: bool = True) -> Card:
    base = subnet.rpartition(".")[0]
    addresses = tuple(f"{base}.{host}" for host in hosts)
    return Card(mac, primary, (SubnetAddresses(subnet, f"{base}.4", addresses),))


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
        opened.merge([card(5, 6, 7)])
        yield opened


def holder(name: str, **other: str) -> Holder:
    return Holder(name, "eth0", **other)


def attached(ledger: Ledger, name: str, **other: str) -> Lease:
    lease = ledger.allocate(holder(name, **other))
    ledger.attach(lease)
    return lease


def test_the_lowest_free_address_with_its_subnet_and_gateway(ledger: Ledger) -> None:
    lease = ledger.allocate(holder("a", pod_namespace="default", pod_name="nginx"))
    assert (lease.cidr, lease.gateway, lease.state) == ("10.220.2.5/24", "10.220.2.1", PENDING)
    assert (lease.pod_namespace, lease.pod_name) == ("default", "nginx")
    assert (lease.owner_pid, lease.abandoned) == (os.getpid(), False)


def test_ten_comes_after_nine(tmp_path: Path) -> None:
    with Ledger.open(str(tmp_path)) as ledger:
        ledger.merge([card(10, 9, 100)])
        given = [ledger.allocate(holder(name)).address for name in "abc"]
    assert given == ["10.220.2.9", "10.220.2.10", "10.220.2.100"]


def test_the_same_container_gets_the_same_address_and_another_interface_another(
    ledger: Ledger,
) -> None:
    first = attached(ledger, "a")
    assert ledger.allocate(holder("a")).address == first.address
    assert ledger.allocate(Holder("a", "eth1")).address != first.address


def test_a_container_that_another_call_works_on_is_to_be_tried_again(ledger: Ledger) -> None:
    ledger.allocate(holder("a"))
    with pytest.raises(CniError) as refused:
        ledger.allocate(holder("a"))
    assert refused.value.code == TRY_AGAIN


def test_exhaustion_names_the_subnet_and_counts(ledger: Ledger) -> None:
    for name in "abc":
        attached(ledger, name)
    with pytest.raises(CniError) as refused:
        ledger.allocate(holder("d"))
    assert refused.value.code == NO_ADDRESS
    assert refused.value.msg == "Failed to allocate address: No available addresses"
    for word in (SUBNET, "3 of 3", "3 attached", os.uname().nodename):
        assert word in refused.value.details


def test_a_wanted_address(ledger: Ledger) -> None:
    assert ledger.allocate(holder("a"), address="10.220.2.7").address == "10.220.2.7"
    for address, text in (("10.220.2.7", "already in use"), ("10.9.9.9", "not found")):
        with pytest.raises(CniError, match=text) as refused:
            ledger.allocate(holder("b"), address=address)
        assert refused.value.code == FAILED


def test_only_the_wanted_card_and_the_primary_one_first(ledger: Ledger) -> None:
    other = card(9, mac="00:22:48:00:00:01", subnet="10.220.3.0/24", primary=False)
    ledger.merge([other, card(6, 7)])
    assert ledger.pool().mac == MAC
    assert ledger.allocate(holder("a")).address == "10.220.2.6"
    assert ledger.allocate(holder("b"), mac="00:22:48:00:00:01").address == "10.220.3.9"
    assert ledger.allocate(holder("c"), subnet=SUBNET).address == "10.220.2.7"
    with pytest.raises(CniError):
        ledger.allocate(holder("d"), mac=MAC)


def test_a_cooling_address_comes_last_and_the_longest_cooled_first(
    ledger: Ledger, clock: Clock
) -> None:
    for name in "abc":
        attached(ledger, name)
    for name in "ba":
        ledger.release(name)
        clock.now += 1
    assert ledger.allocate(holder("d"), cooling_seconds=30).address == "10.220.2.6"
    ledger.release("c")
    clock.now += 1000
    assert ledger.allocate(holder("e"), cooling_seconds=30).address == "10.220.2.5"
    assert ledger.allocate(holder("f"), cooling_seconds=30).address == "10.220.2.7"


def test_a_freed_address_is_spared_for_its_time_alone(ledger: Ledger, clock: Clock) -> None:
    attached(ledger, "a")
    ledger.release("a")
    clock.now += 29
    assert ledger.allocate(holder("b"), cooling_seconds=30).address == "10.220.2.6"
    clock.now += 2
    assert ledger.allocate(holder("c"), cooling_seconds=30).address == "10.220.2.5"


def test_an_address_that_is_asked_for_need_not_cool(ledger: Ledger) -> None:
    attached(ledger, "a")
    ledger.release("a")
    again = ledger.allocate(holder("b"), address="10.220.2.5", cooling_seconds=30)
    assert again.address == "10.220.2.5"


def test_a_source_that_shrinks_and_grows_while_addresses_cool(ledger: Ledger, clock: Clock) -> None:
    for name in "abc":
        attached(ledger, name)
    for name in "bac":
        ledger.release(name)
        clock.now += 1
    ledger.merge([card(5, 7)])
    states = {one.address: one.freed for one in ledger.addresses()}
    assert states == {"10.220.2.5": 2, "10.220.2.7": 1}
    assert ledger.allocate(holder("d"), cooling_seconds=30).address == "10.220.2.5"
    ledger.merge([card(5, 6, 7)])  # what it lists anew has nobody's old flows that we know of
    assert ledger.allocate(holder("e"), cooling_seconds=30).address == "10.220.2.6"
    assert ledger.allocate(holder("f"), cooling_seconds=30).address == "10.220.2.7"


def test_without_cooling_a_freed_address_is_the_next(ledger: Ledger) -> None:
    attached(ledger, "a")
    attached(ledger, "b")
    ledger.release("a")
    assert ledger.allocate(holder("c")).address == "10.220.2.5"


def test_release_needs_only_the_container_id(ledger: Ledger) -> None:
    attached(ledger, "a")
    ledger.attach(ledger.allocate(Holder("a", "eth1")))
    assert [one.ifname for one in ledger.release("a", "eth1")] == ["eth1"]
    assert len(ledger.release("a")) == 1
    assert ledger.release("a") == []
    assert ledger.leases() == []


def test_an_address_that_the_source_drops_is_kept_while_held(ledger: Ledger) -> None:
    attached(ledger, "a")
    ledger.merge([card(6)])
    assert [one.address for one in ledger.leases()] == ["10.220.2.5"]
    assert [(one.total, one.held) for one in ledger.pools()] == [(1, 0)]
    ledger.release("a")
    assert ledger.allocate(holder("b")).address == "10.220.2.6"
    with pytest.raises(CniError):
        ledger.allocate(holder("c"))


def test_when_the_source_is_to_be_asked(tmp_path: Path, clock: Clock) -> None:
    with Ledger.open(str(tmp_path), clock=clock) as ledger:
        assert ledger.wants_refresh()  # never heard
        ledger.merge([card(*range(5, 11))])
        assert not ledger.wants_refresh()
        clock.now += 60
        assert not ledger.wants_refresh()  # old, but enough is free
        for name in "abc":
            attached(ledger, name)
        assert ledger.wants_refresh()  # old and low
        ledger.merge([card(*range(5, 11))])
        assert not ledger.wants_refresh()  # low, but fresh
        for name in "def":
            attached(ledger, name)
        assert ledger.wants_refresh()  # empty


def test_one_of_two_processes_claims_an_abandoned_lease(tmp_path: Path, ledger: Ledger) -> None:
    lease = abandoned_lease(tmp_path, "a")
    (found,) = ledger.abandoned()
    assert found == lease
    with Ledger.open(str(tmp_path)) as other:
        mine, theirs = ledger.begin_release(found), other.begin_release(found)
    assert mine is not None
    assert (mine.state, theirs) == (RELEASING, None)
    ledger.free(mine)
    assert ledger.leases() == []


def test_a_lease_that_a_living_process_works_on_is_not_claimed(
    tmp_path: Path, ledger: Ledger
) -> None:
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(go[1])  # so that the parent's end ends the wait, too
            with Ledger.open(str(tmp_path)) as own:
                own.allocate(holder("a"))
            os.write(ready[1], b"x")
            os.read(go[0], 1)
        finally:
            os._exit(0)
    os.close(ready[1])
    try:
        assert os.read(ready[0], 1) == b"x"
        (lease,) = ledger.leases()
        assert (ledger.abandoned(), ledger.begin_release(lease)) == ([], None)
    finally:
        os.close(go[1])
        os.waitpid(child, 0)
    assert ledger.abandoned() == [lease]


def test_attach_of_a_lost_lease_fails(ledger: Ledger) -> None:
    lease = ledger.allocate(holder("a"))
    claimed = ledger.begin_release(lease)
    assert claimed is not None
    with pytest.raises(CniError) as refused:
        ledger.attach(lease)
    assert refused.value.code == TRY_AGAIN


def test_a_ledger_that_could_not_be_filled_keeps_nobody_out(tmp_path: Path) -> None:
    def failing() -> list[Survivor]:
        raise LookupError("who lives?")

    with Ledger.open(str(tmp_path), survivors=failing, wait=0.2) as first:
        with pytest.raises(LookupError):
            first.merge([card(5)])
        with Ledger.open(str(tmp_path), wait=0.2) as other:
            other.merge([card(5)])
            assert attached(other, "a").address == "10.220.2.5"


def test_a_reading_ledger_makes_nothing(tmp_path: Path) -> None:
    with (
        Ledger.open(str(tmp_path / "none"), create=False) as ledger,
        pytest.raises(UnavailableError),
    ):
        ledger.leases()
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("size", [0, 10, 4096, 5000, 100_000])
def test_a_damaged_file_is_moved_aside_and_made_from_the_survivors(
    tmp_path: Path, size: int
) -> None:
    with Ledger.open(str(tmp_path)) as ledger:
        ledger.merge([card(5, 6, 7)])
        attached(ledger, "a")
    file = tmp_path / "ledger.sqlite"
    file.write_bytes((b"\xee" * size)[:size])

    survivor = Survivor("10.220.2.6", "02:00:00:00:00:01", "azv1", "azure0")
    with Ledger.open(str(tmp_path), survivors=lambda: [survivor]) as ledger:
        ledger.merge([card(5, 6, 7)])
        (lease,) = ledger.leases()
        assert (lease.address, lease.host_link, lease.container_id) == ("10.220.2.6", "azv1", "")
        assert (lease.subnet, lease.gateway) == (SUBNET, "10.220.2.1")
        assert ledger.allocate(holder("a", mac="02:00:00:00:00:01")).address == "10.220.2.6"
        assert [ledger.allocate(holder(name)).address[-1] for name in "bc"] == ["5", "7"]
    assert (tmp_path / "ledger.sqlite.damaged").exists() == (size > 0)


def test_a_ledger_replaced_under_an_open_one_is_noticed(tmp_path: Path, ledger: Ledger) -> None:
    attached(ledger, "a")
    for file in tmp_path.glob("ledger.sqlite*"):
        file.unlink()
    with Ledger.open(str(tmp_path)) as other:
        other.merge([card(5, 6, 7)])
        attached(other, "b")
        assert ledger.allocate(holder("c")).address == "10.220.2.6"
        assert {one.container_id for one in other.leases()} == {"b", "c"}


def test_another_boots_leases_are_forgotten(
    tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    attached(ledger, "a")
    monkeypatch.setattr("podwire.ipam.generation._boot_id", lambda: "another")
    with Ledger.open(str(tmp_path)) as later:
        assert later.leases() == []
        assert later.wants_refresh()


def test_a_node_made_again_in_the_same_boot_starts_anew_but_anybody_may_read(
    tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    attached(ledger, "a")
    monkeypatch.setattr("podwire.ipam.generation._namespace_cookie", lambda: "another")
    with Ledger.open(str(tmp_path), create=False) as reader:
        assert [one.container_id for one in reader.leases()] == ["a"]
    with Ledger.open(str(tmp_path)) as anew:
        assert anew.leases() == []


def test_a_lock_that_is_held_too_long_says_try_again(tmp_path: Path, ledger: Ledger) -> None:
    busy = sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None)
    busy.execute("BEGIN IMMEDIATE")
    with Ledger.open(str(tmp_path), wait=0.05) as impatient, pytest.raises(CniError) as refused:
        impatient.allocate(holder("a"))
    assert refused.value.code == TRY_AGAIN
    busy.close()


def test_many_processes_never_share_an_address(tmp_path: Path) -> None:
    with Ledger.open(str(tmp_path)) as ledger:
        ledger.merge([card(*range(5, 205))])
    children = []
    for number in range(8):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                with Ledger.open(str(tmp_path)) as own:
                    for step in range(20):
                        attached(own, f"{number}-{step}")
                        if step % 3 == 0:
                            own.release(f"{number}-{step}")
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 8
    with Ledger.open(str(tmp_path)) as ledger:
        leases = ledger.leases()
    assert len({one.address for one in leases}) == len(leases) == 8 * 13


def abandoned_lease(directory: Path, name: str) -> Lease:
    """A lease whose owner died before it attached."""
    child = os.fork()
    if child == 0:
        try:
            with Ledger.open(str(directory)) as own:
                own.allocate(holder(name))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    with Ledger.open(str(directory)) as ledger:
        found = ledger.find(name, "eth0")
    assert found is not None
    return found


NAMES = st.sampled_from([f"c{number}" for number in range(6)])


class LedgerMachine(RuleBasedStateMachine):
    """A pool of four addresses and six containers against a plain model of who holds what."""

    HOSTS = (5, 6, 7, 8)

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.held: dict[str, str] = {}
        self.dead: set[str] = set()
        self.listed = set(self.HOSTS)
        self.reopen()
        self.ledger.merge([card(*self.HOSTS)])

    def reopen(self) -> None:
        self.ledger = Ledger.open(str(self.directory))

    def teardown(self) -> None:
        self.ledger.close()
        shutil.rmtree(self.directory)

    @property
    def free(self) -> set[str]:
        return {f"10.220.2.{host}" for host in self.listed} - set(self.held.values())

    @rule(name=NAMES)
    def add(self, name: str) -> None:
        if name in self.dead:
            return
        if not self.free and name not in self.held:
            with pytest.raises(CniError) as refused:
                self.ledger.allocate(holder(name))
            assert refused.value.code == NO_ADDRESS
            return
        lease = self.ledger.allocate(holder(name))
        if name in self.held:
            assert (lease.address, lease.state) == (self.held[name], ATTACHED)
            return
        assert lease.address == min(self.free, key=lambda one: int(one.rpartition(".")[2]))
        self.held[name] = lease.address
        self.ledger.attach(lease)

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        freed = self.ledger.release(name)
        held = self.held.pop(name, None)
        assert [one.address for one in freed] == ([held] if held else [])
        self.dead.discard(name)

    @rule(name=NAMES)
    @precondition(lambda self: self.free)
    def add_and_die(self, name: str) -> None:
        if name in self.held:
            return
        self.held[name] = abandoned_lease(self.directory, name).address
        self.dead.add(name)

    @rule()
    def recover(self) -> None:
        found = self.ledger.abandoned()
        assert {one.container_id for one in found} == self.dead
        for lease in found:
            claimed = self.ledger.begin_release(lease)
            assert claimed is not None
            self.ledger.free(claimed)
            del self.held[lease.container_id]
        self.dead.clear()

    @rule(hosts=st.sets(st.sampled_from(HOSTS), min_size=1))
    def refresh(self, hosts: set[int]) -> None:
        self.ledger.merge([card(*hosts)])
        self.listed = hosts

    @rule()
    def close_and_open(self) -> None:
        self.ledger.close()
        self.reopen()

    @invariant()
    def the_ledger_is_the_model(self) -> None:
        leases = self.ledger.leases()
        assert {one.container_id: one.address for one in leases} == self.held
        assert len({one.address for one in leases}) == len(leases)
        assert sum(one.free for one in self.ledger.pools()) == len(self.free)
        assert self.ledger.has_free() == bool(self.free)


TestLedgerMachine = LedgerMachine.TestCase
TestLedgerMachine.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def test_a_lease_that_was_freed_is_not_the_next_one_with_its_id_and_address(
    ledger: Ledger,
) -> None:
    seen = attached(ledger, "a")
    freed = ledger.begin_release(attached_again(ledger, seen))
    assert freed is not None
    ledger.free(freed)
    other = attached(ledger, "b")
    assert (other.id, other.address) == (seen.id, seen.address)
    assert ledger.begin_release(attached_again(ledger, seen)) is None
    assert [one.container_id for one in ledger.leases()] == ["b"]


def attached_again(ledger: Ledger, lease: Lease) -> Lease:
    """As a call saw it that then hung."""
    return replace(lease, state=ATTACHED, owner_pid=0, owner_start=0)


def test_a_call_that_nobody_waits_for_takes_nothing(ledger: Ledger) -> None:
    for take in (ledger.allocate, ledger.reserve):
        with pytest.raises(CniError, match="given up") as caught:
            take(holder("a"), waiting=lambda: False)
        assert caught.value.code == TRY_AGAIN
    assert ledger.leases() == []
    lease = attached(ledger, "a")
    assert ledger.begin_release(attached_again(ledger, lease), lambda: False) is None
    assert [one.state for one in ledger.leases()] == [ATTACHED]


def test_a_lease_is_found_surely(ledger: Ledger) -> None:
    lease = attached(ledger, "a", mac="02:00:00:00:00:01")
    assert ledger.find_surely("a", "eth0") == ledger.find("a", "eth0")
    assert ledger.find_surely("a", "eth1") is None
    assert lease.container_id == "a"
