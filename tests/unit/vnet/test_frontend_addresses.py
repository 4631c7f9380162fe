"""Frontend addresses: Azure's choices and refusals, and that nobody ever loses its address."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from podwire.model.errors import InvalidInputError
from podwire.model.load_balancer import PUBLIC_RANGE
from podwire.model.vnet import Subnet, VNet
from podwire.vnet.frontend_addresses import FrontendAddresses

NODES, APPS = Subnet("nodes", "10.220.2.0/24"), Subnet("apps", "10.220.3.0/29")
VNET = VNet("aksvnet", "NetworkLab", ("10.220.0.0/16",), (NODES, APPS))
NICS = ("10.220.2.4", "10.220.2.5", "10.220.2.7")


def addresses(claims=(), save=lambda claims: None):
    return FrontendAddresses(lambda: VNET, lambda: NICS, claims, save)


def test_the_lowest_free_address_of_the_subnet_or_of_the_public_range():
    have = addresses()
    assert have.allocate("one", "nodes") == "10.220.2.6"
    assert have.allocate("two", "nodes") == "10.220.2.8"
    assert have.allocate("three", None) == "198.18.0.4"
    assert have.allocate("one", "nodes") == "10.220.2.6"
    have.release("one")
    assert have.allocate("four", "nodes") == "10.220.2.6"


def test_the_address_that_is_wanted_takes_the_place_of_the_one_that_was_there():
    have = addresses()
    have.allocate("one", "nodes")
    assert have.allocate("one", "nodes", "10.220.2.100") == "10.220.2.100"
    assert have.allocate("one", "nodes") == "10.220.2.100"
    assert have.allocate("two", "nodes") == "10.220.2.6"
    assert have.allocate("one", None) == "198.18.0.4"


@pytest.mark.parametrize(
    ("wanted", "code", "text"),
    [
        (
            "10.220.3.4",
            "PrivateIPAddressNotInSubnet",
            "does not belong to the range of subnet prefix 10.220.2.0/24.",
        ),
        ("10.220.2.3", "PrivateIPAddressInReservedRange", "falls within reserved IP range"),
        ("10.220.2.255", "PrivateIPAddressInReservedRange", "falls within reserved IP range"),
        ("10.220.2.5", "PrivateIPAddressIsAllocated", "already allocated to resource"),
        ("10.220.2.50", "PrivateIPAddressIsAllocated", "already allocated to resource other."),
        ("10.220.2", "InvalidIPAddress", "not an IPv4 address"),
    ],
)
def test_an_address_that_cannot_be_is_refused_and_the_old_one_stays(wanted, code, text):
    have = addresses()
    have.allocate("other", "nodes", "10.220.2.50")
    old = have.allocate("one", "nodes")
    with pytest.raises(InvalidInputError, match=text) as caught:
        have.allocate("one", "nodes", wanted)
    assert caught.value.code == code
    assert have.allocate("one", "nodes") == old


def test_refusals_of_a_subnet_that_is_not_there_or_full_and_of_a_foreign_public_address():
    have = addresses()
    with pytest.raises(InvalidInputError, match=r"failed to get subnet: aksvnet/nope; .*it has:"):
        have.allocate("one", "nope")
    for number in range(3):
        have.allocate(f"app{number}", "apps")
    with pytest.raises(InvalidInputError, match="does not have enough capacity for 1") as caught:
        have.allocate("one", "apps")
    assert caught.value.code == "SubnetIsFull"
    with pytest.raises(InvalidInputError, match=r"user supplied IP Address .* not found"):
        have.allocate("one", None, "20.1.2.3")


def test_an_address_that_only_its_owner_remembers_is_kept_if_it_can_be():
    have = addresses()
    assert have.allocate("one", "nodes", kept="10.220.2.77") == "10.220.2.77"
    assert have.allocate("two", "nodes", kept="10.220.2.77") == "10.220.2.6"
    assert have.allocate("three", "nodes", kept="10.220.3.4") == "10.220.2.8"


class Life(RuleBasedStateMachine):
    """Services come, change their mind and go, while the daemon is started anew: with its rows,
    or with nothing but what the Services' status shows."""

    def __init__(self):
        super().__init__()
        self.saved = ()
        self.shown = {}
        self.asked = {}
        self.start()

    def start(self):
        self.have = addresses(self.saved, self.save)

    def save(self, claims):
        self.saved = claims

    owners = st.sampled_from("abcdef")

    @rule(
        owner=owners,
        subnet=st.sampled_from(["nodes", "apps", None]),
        wanted=st.sampled_from(["", "", "10.220.2.9", "10.220.3.5", "10.220.2.4", "198.18.0.9"]),
    )
    def ask(self, owner, subnet, wanted):
        before = self.shown.get(owner)
        try:
            got = self.have.allocate(owner, subnet, wanted, before or "")
        except InvalidInputError:
            return
        if before and self.asked[owner] == subnet and wanted in ("", before):
            assert got == before, "nothing else was asked for"
        assert wanted in ("", got)
        self.shown[owner], self.asked[owner] = got, subnet

    @rule(owner=owners)
    def go(self, owner):
        self.have.release(owner)
        self.shown.pop(owner, None)

    @rule()
    def restart(self):
        self.start()

    @rule()
    def restart_with_nothing_and_adopt(self):
        self.saved = ()
        self.start()
        for owner, address in self.shown.items():
            assert self.have.allocate(owner, self.asked[owner], "", address) == address

    @invariant()
    def each_has_its_own_in_its_subnet(self):
        assert {one.owner: one.address for one in self.have.claims()} == self.shown
        assert len(set(self.shown.values()) | set(NICS)) == len(self.shown) + len(NICS)
        prefixes = {"nodes": NODES.prefix, "apps": APPS.prefix, None: PUBLIC_RANGE}
        for owner, address in self.shown.items():
            assert IPv4Address(address) in IPv4Network(prefixes[self.asked[owner]])


TestLife = Life.TestCase
