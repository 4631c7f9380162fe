"""Elements by nfnetlink, tables by nft, and how a changed table is noticed."""

from __future__ import annotations

import errno
from collections.abc import Iterator

import pytest

from podwire.kernel import nft
from podwire.kernel.netns import NetNamespace
from podwire.kernel.nfnetlink import NfNetlink
from podwire.model.errors import KernelError
from tests.netns.kernel.conftest import run

RULES = """
map macs { type ipv4_addr : ether_addr; }
set ports { type ifname . ipv4_addr; }
set both { type ether_addr . ipv4_addr . ifname; }
map names { type ether_addr : ifname . ipv4_addr; }
set fixed { type ipv4_addr; elements = { 10.0.0.1, 10.0.0.2 }; }
chain one {
    type filter hook prerouting priority 0; policy accept;
    ether daddr set ip daddr map @macs
    ip daddr @fixed accept
}
"""
FAMILY, TABLE = "bridge", "t"


@pytest.fixture
def place() -> Iterator[NetNamespace]:
    with NetNamespace.create() as one:
        yield one


@pytest.fixture
def door(place: NetNamespace) -> Iterator[NfNetlink]:
    with NfNetlink(place) as one:
        nft.load(place, one, FAMILY, TABLE, RULES)
        yield one


@pytest.mark.parametrize(
    ("name", "item", "value"),
    [
        ("macs", "10.0.0.7", "02:00:00:00:00:07"),
        ("ports", "azvb1f7346f51b . 10.0.0.7", None),
        ("both", "02:00:00:00:00:07 . 10.0.0.7 . eth0", None),
    ],
)
def test_elements_as_nft_sees_them(
    place: NetNamespace, door: NfNetlink, name: str, item: str, value: str | None
) -> None:
    door.add_elements(FAMILY, TABLE, name, [(item, value)])
    kind, whole = ("map", f"{item} : {value}") if value else ("set", item)
    shown = run(place, "nft", "list", kind, FAMILY, TABLE, name).replace('"', "")
    assert whole in shown
    assert door.elements(FAMILY, TABLE, name) == {item: value}
    door.delete_elements(FAMILY, TABLE, name, [item])
    assert door.elements(FAMILY, TABLE, name) == {}
    run(place, "nft", "add", "element", FAMILY, TABLE, name, f"{{ {whole} }}")
    assert door.elements(FAMILY, TABLE, name) == {item: value}


def test_many_elements_in_one_transaction(door: NfNetlink) -> None:
    many = [(f"10.1.{at // 250}.{at % 250}", "02:00:00:00:00:07") for at in range(1000)]
    door.add_elements(FAMILY, TABLE, "macs", many)
    assert door.elements(FAMILY, TABLE, "macs") == dict(many)


def test_adding_again_is_fine_and_another_value_is_not(door: NfNetlink) -> None:
    door.add_elements(FAMILY, TABLE, "macs", [("10.0.0.7", "02:00:00:00:00:07")])
    door.add_elements(FAMILY, TABLE, "macs", [("10.0.0.7", "02:00:00:00:00:07")])
    with pytest.raises(KernelError) as caught:
        door.add_elements(FAMILY, TABLE, "macs", [("10.0.0.7", "02:00:00:00:00:08")])
    assert caught.value.errno in (errno.EBUSY, errno.EEXIST)
    door.replace_element(FAMILY, TABLE, "macs", "10.0.0.7", "02:00:00:00:00:08")
    assert door.elements(FAMILY, TABLE, "macs") == {"10.0.0.7": "02:00:00:00:00:08"}


def test_one_element(door: NfNetlink) -> None:
    door.add_elements(FAMILY, TABLE, "macs", [("10.0.0.7", "02:00:00:00:00:07")])
    assert door.element(FAMILY, TABLE, "macs", "10.0.0.7") == bytes.fromhex("020000000007")
    assert door.element(FAMILY, TABLE, "macs", "10.0.0.8") is None
    assert door.element(FAMILY, TABLE, "fixed", "10.0.0.1") == b""
    assert door.element(FAMILY, "none", "macs", "10.0.0.8") is None


def test_refusals(door: NfNetlink) -> None:
    for where in (("none", "macs"), (TABLE, "none")):
        with pytest.raises(KernelError) as caught:
            door.add_elements(FAMILY, *where, [("10.0.0.7", "02:00:00:00:00:07")])
        assert caught.value.errno == errno.ENOENT
    with pytest.raises(KernelError) as caught:
        door.delete_elements(FAMILY, TABLE, "macs", ["10.0.0.9"])
    assert caught.value.errno == errno.ENOENT
    with pytest.raises(KernelError, match="is no IP address"):
        door.add_elements(FAMILY, TABLE, "macs", [("10.0.0.700", "02:00:00:00:00:07")])
    assert door.elements(FAMILY, TABLE, "fixed") == {"10.0.0.1": None, "10.0.0.2": None}


def test_an_untouched_table_is_recognised(place: NetNamespace, door: NfNetlink) -> None:
    assert nft.is_loaded(door, FAMILY, TABLE, RULES)
    door.add_elements(FAMILY, TABLE, "macs", [("10.0.0.7", "02:00:00:00:00:07")])
    assert nft.is_loaded(door, FAMILY, TABLE, RULES)
    assert not nft.is_loaded(door, FAMILY, TABLE, RULES + "\n")
    assert not nft.is_loaded(door, FAMILY, "none", RULES)
    assert not nft.is_loaded(door, "inet", TABLE, RULES)


@pytest.mark.parametrize(
    "change",
    [
        "add rule bridge t one drop",
        "flush chain bridge t one",
        "delete table bridge t",
        "flush chain bridge t one; delete chain bridge t one",
    ],
)
def test_a_touched_table_is_noticed_and_replaced(
    place: NetNamespace, door: NfNetlink, change: str
) -> None:
    fresh = _bare(run(place, "nft", "list", "ruleset"))
    run(place, "nft", change)
    assert not nft.is_loaded(door, FAMILY, TABLE, RULES)
    nft.load(place, door, FAMILY, TABLE, RULES)
    assert nft.is_loaded(door, FAMILY, TABLE, RULES)
    assert _bare(run(place, "nft", "list", "ruleset")) == fresh


def _bare(listed: str) -> list[str]:
    return [line for line in listed.splitlines() if "sealed-" not in line]


def test_open_sets_keep_their_elements_and_closed_ones_follow_the_rules(
    place: NetNamespace, door: NfNetlink
) -> None:
    door.add_elements(FAMILY, TABLE, "macs", [("10.0.0.7", "02:00:00:00:00:07")])
    door.add_elements(FAMILY, TABLE, "ports", [("azv1 . 10.0.0.7", None)])
    nft.load(place, door, FAMILY, TABLE, RULES.replace("10.0.0.1, ", ""))
    assert door.elements(FAMILY, TABLE, "macs") == {"10.0.0.7": "02:00:00:00:00:07"}
    assert door.elements(FAMILY, TABLE, "ports") == {"azv1 . 10.0.0.7": None}
    assert door.elements(FAMILY, TABLE, "fixed") == {"10.0.0.2": None}


def test_a_set_of_another_type_starts_empty(place: NetNamespace, door: NfNetlink) -> None:
    door.add_elements(FAMILY, TABLE, "ports", [("azv1 . 10.0.0.7", None)])
    changed = RULES.replace("ifname . ipv4_addr; }\nset both", "ipv4_addr; }\nset both")
    assert changed != RULES
    nft.load(place, door, FAMILY, TABLE, changed)
    assert door.elements(FAMILY, TABLE, "ports") == {}


def test_bad_rules_change_nothing(place: NetNamespace, door: NfNetlink) -> None:
    with pytest.raises(KernelError, match=r"nft refused table bridge t: .*syntax error"):
        nft.load(place, door, FAMILY, TABLE, "chain x { nonsense }")
    assert nft.is_loaded(door, FAMILY, TABLE, RULES)


def test_missing_nft_is_named(
    place: NetNamespace, door: NfNetlink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(KernelError, match=r"cannot run nft .*install nftables"):
        nft.load(place, door, FAMILY, TABLE, RULES)
