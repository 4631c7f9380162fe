from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from podwire.ipam.source import LARGEST, Card, SubnetAddresses
from podwire.ipam.sources import MOST, AddressRange, InterfacesFile
from podwire.model.errors import InvalidInputError, UnavailableError


def document(**subnet: Any) -> dict[str, Any]:
    given = [{"Address": "10.1.0.4", "IsPrimary": True}, {"Address": "10.1.0.7"}]
    one = {"Prefix": "10.1.0.0/24", "IPAddresses": given, **subnet}
    card = {"MacAddress": "000D3A8A50DA", "IsPrimary": True, "IPSubnets": [one]}
    return {"Interfaces": [card]}


def written(directory: Path, text: str | bytes) -> InterfacesFile:
    path = directory / "interfaces.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return InterfacesFile(str(path))


def test_the_cards_of_a_file(tmp_path: Path) -> None:
    subnet = SubnetAddresses("10.1.0.0/24", "10.1.0.4", ("10.1.0.7",))
    file = written(tmp_path, json.dumps(document()))
    assert file.cards() == (Card("00:0d:3a:8a:50:da", True, (subnet,)),)
    assert file.local


def test_a_file_that_was_written_since_is_another_source(tmp_path: Path) -> None:
    file = written(tmp_path, json.dumps(document()))
    before = file.name
    assert file.name == before
    os.utime(file.path, ns=(1, 1))
    assert file.name != before
    assert file.path in file.name
    os.unlink(file.path)
    assert file.name == f"file {file.path}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        json.dumps({"Interfaces": [7]}),
        json.dumps({"Interfaces": [{"IPSubnets": []}]}),
        json.dumps(document(Prefix="10.1.0.0/33")),
        json.dumps(document(Prefix="10.2.0.0/24")),
        json.dumps(document(IPAddresses=[{"Address": "10.1.0.300"}])),
        json.dumps(document(IPAddresses=[{"IsPrimary": False}])),
        json.dumps(document(IPAddresses=[[]])),
        b"\xff\xfe\x00",
        "[" * 100_000,
        " " * (LARGEST + 1),
    ],
)
def test_a_file_without_sense_is_named(tmp_path: Path, text: str | bytes) -> None:
    with pytest.raises(UnavailableError, match=r"interfaces\.json cannot be understood"):
        written(tmp_path, text).cards()


def test_a_file_without_an_address_for_pods_would_empty_the_pool(tmp_path: Path) -> None:
    only_primary = document(IPAddresses=[{"Address": "10.1.0.4", "IsPrimary": True}])
    with pytest.raises(UnavailableError, match="no secondary address"):
        written(tmp_path, json.dumps(only_primary)).cards()


def test_a_file_that_is_not_there_is_named_with_the_setting(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"none\.json.*ipam\.environment"):
        InterfacesFile(str(tmp_path / "none.json")).cards()


def addresses(source: AddressRange) -> tuple[str, ...]:
    (card,) = source.cards()
    (subnet,) = card.subnets
    return subnet.addresses


def test_a_range_without_network_broadcast_and_gateway() -> None:
    source = AddressRange.new("10.1.0.0/29")
    assert addresses(source) == tuple(f"10.1.0.{host}" for host in range(2, 7))
    (card,) = source.cards()
    assert (card.mac, card.primary) == ("", True)
    assert (card.subnets[0].gateway, card.subnets[0].primary) == ("10.1.0.1", "")


def test_a_range_with_limits_and_a_gateway_in_its_middle() -> None:
    source = AddressRange.new("10.1.0.0/24", "10.1.0.12", "10.1.0.10", "10.1.0.14")
    assert addresses(source) == ("10.1.0.10", "10.1.0.11", "10.1.0.13", "10.1.0.14")
    assert source.cards()[0].subnets[0].gateway == "10.1.0.12"


def test_limits_may_be_the_networks_own_addresses_which_are_never_given() -> None:
    whole = AddressRange.new("10.1.0.0/29", "", "10.1.0.0", "10.1.0.7")
    assert addresses(whole) == addresses(AddressRange.new("10.1.0.0/29"))


def test_the_machines_own_addresses_are_never_given() -> None:
    taken = ("10.1.0.3", "192.168.0.1", "fe80::1")
    source = AddressRange.new("10.1.0.0/29", taken=lambda: taken)
    assert "10.1.0.3" not in addresses(source)
    assert len(addresses(source)) == 4
    assert source.cards()[0].subnets[0].primary == "10.1.0.3"


def test_a_range_of_which_nothing_is_left() -> None:
    source = AddressRange.new("10.1.0.0/30", taken=lambda: ["10.1.0.2"])
    with pytest.raises(UnavailableError, match="no secondary address"):
        source.cards()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("",), "ipam.subnet is ''"),
        (("10.1.0.1/24",), "host bits"),
        (("fd00::/64",), "ipam.subnet is 'fd00::/64'"),
        (("10.1.0.0/31",), "too small"),
        (("10.0.0.0/8",), f"more than {MOST} addresses"),
        (("10.1.0.0/24", "10.2.0.1"), "ipam.gateway 10.2.0.1 is not in"),
        (("10.1.0.0/24", "x"), "ipam.gateway is 'x'"),
        (("10.1.0.0/24", "", "10.2.0.1"), "ipam.rangeStart 10.2.0.1 is not in"),
        (("10.1.0.0/24", "", "", "10.2.0.1"), "ipam.rangeEnd 10.2.0.1 is not in"),
        (("10.1.0.0/24", "", "10.1.0.9", "10.1.0.8"), "below ipam.rangeStart"),
    ],
)
def test_a_wrong_range_is_refused_by_field_and_value(given: Any, said: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        AddressRange.new(*given)
    assert said in str(refused.value)


def test_a_large_subnet_may_be_narrowed() -> None:
    assert len(addresses(AddressRange.new("10.0.0.0/8", "", "10.1.0.0", "10.1.0.9"))) == 10


def test_another_range_is_another_source() -> None:
    names = {
        AddressRange.new(*given).name
        for given in (
            ("10.1.0.0/24",),
            ("10.1.0.0/25",),
            ("10.1.0.0/24", "10.1.0.2"),
            ("10.1.0.0/24", "", "10.1.0.9"),
            ("10.1.0.0/24", "", "", "10.1.0.9"),
        )
    }
    assert len(names) == 5
