"""Which source a configuration chooses, which address a call asks for, and who is in its way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from podwire.cni.addresses import take
from podwire.cni.settings import Settings
from podwire.cni.sources import source_of, wanted
from podwire.ipam.lease import Holder
from podwire.ipam.ledger import Ledger
from podwire.ipam.source import Card, SubnetAddresses
from podwire.ipam.sources import AddressRange, InterfacesFile
from podwire.ipam.wireserver import WireServer
from podwire.model.cni import Request
from podwire.model.cni_error import FAILED, INVALID_CONFIG, INVALID_ENVIRONMENT, CniError

SETTINGS = Settings(wire_server_url="http://127.0.0.1:1/x", interfaces_file="/some/where.json")


def request(ipam: Any = None, args: dict[str, str] | None = None, **config: Any) -> Request:
    return Request("ADD", "c" * 64, args=args or {}, config={"ipam": ipam or {}, **config})


@pytest.mark.parametrize("ipam", [{}, {"type": "azure-vnet-ipam"}, {"environment": "azure"}])
def test_the_wire_server_is_the_source_by_default(ipam: dict[str, Any]) -> None:
    assert source_of(request(ipam), SETTINGS) == WireServer(SETTINGS.wire_server_url)


def test_without_a_call_too() -> None:
    assert isinstance(source_of(None, SETTINGS), WireServer)


@pytest.mark.parametrize("kind", ["mas", "fileIpam"])
def test_the_file_of_the_settings(kind: str) -> None:
    source = source_of(request({"environment": kind}), SETTINGS)
    assert source == InterfacesFile("/some/where.json")


def test_a_range_as_the_configuration_has_it() -> None:
    ipam = {"environment": "range", "subnet": "10.1.0.0/24", "rangeStart": "10.1.0.9"}
    source = source_of(request(ipam), SETTINGS)
    assert isinstance(source, AddressRange)
    assert (source.subnet, source.first, source.last) == ("10.1.0.0/24", "10.1.0.9", "10.1.0.254")


@pytest.mark.parametrize(
    ("ipam", "said"),
    [
        ({"environment": "aws"}, 'ipam.environment is "aws"; it must be azure or mas or'),
        ({"environment": ["range"]}, "ipam.environment is"),
        ({"environment": "range"}, "ipam.subnet is ''"),
        ({"environment": "range", "subnet": 7}, "ipam.subnet is 7; it must be a string"),
        ({"environment": "range", "subnet": "10.1.0.0/24", "gateway": "x"}, "ipam.gateway is 'x'"),
    ],
)
def test_a_wrong_source_is_refused_by_field_and_value(ipam: dict[str, Any], said: str) -> None:
    with pytest.raises(CniError) as refused:
        source_of(request(ipam), SETTINGS)
    assert refused.value.code == INVALID_CONFIG
    assert said in refused.value.msg


@pytest.mark.parametrize(
    ("call", "asked"),
    [
        (request(), ("", "", "")),
        (request(args={"IP": "10.1.0.7"}), ("", "10.1.0.7", "")),
        (request(args={"IP": "10.1.0.7/24"}), ("", "10.1.0.7", "")),
        (request(runtimeConfig={"ips": ["10.1.0.7/24"]}), ("", "10.1.0.7", "")),
        (request(runtimeConfig={"ips": ["fd00::7", "10.1.0.7"]}), ("", "10.1.0.7", "fd00::7")),
        (request(runtimeConfig=None), ("", "", "")),
        (request({"ipAddress": "10.1.0.7"}), ("", "10.1.0.7", "")),
        (request({"subnet": "10.1.0.0/24"}), ("10.1.0.0/24", "", "")),
        # the first that is there wins: runtimeConfig, CNI_ARGS, ipam
        (
            request(
                {"ipAddress": "10.1.0.3"}, {"IP": "10.1.0.2"}, runtimeConfig={"ips": ["10.1.0.1"]}
            ),
            ("", "10.1.0.1", ""),
        ),
        (request({"ipAddress": "10.1.0.3"}, {"IP": "10.1.0.2"}), ("", "10.1.0.2", "")),
        (request(runtimeConfig={"ips": ["fd00::7/64"]}), ("", "", "fd00::7")),
    ],
)
def test_the_address_that_a_call_asks_for(call: Request, asked: tuple[str, str, str]) -> None:
    assert wanted(call) == asked


@pytest.mark.parametrize(
    ("call", "code", "field"),
    [
        (request(args={"IP": "10.1.0.700"}), INVALID_ENVIRONMENT, "IP in CNI_ARGS"),
        (request(runtimeConfig=True), INVALID_CONFIG, "runtimeConfig"),
        (request(runtimeConfig={"ips": ["x"]}), INVALID_CONFIG, "runtimeConfig.ips"),
        (request(runtimeConfig={"ips": [{"a": 1}]}), INVALID_CONFIG, "runtimeConfig.ips"),
        (request(runtimeConfig={"ips": "10.1.0.7"}), INVALID_CONFIG, "runtimeConfig.ips"),
        (request({"ipAddress": "nope"}), INVALID_CONFIG, "ipam.ipAddress"),
        (request({"ipAddress": 7}), INVALID_CONFIG, "ipam.ipAddress"),
        (request({"subnet": 7}), INVALID_CONFIG, "ipam.subnet"),
    ],
)
def test_what_is_no_address_is_refused_by_its_field(call: Request, code: int, field: str) -> None:
    with pytest.raises(CniError) as refused:
        wanted(call)
    assert refused.value.code == code
    assert refused.value.msg.startswith(f"{field} is ")


@pytest.fixture
def ledger(tmp_path: Path) -> Any:
    subnet = SubnetAddresses("10.1.0.0/24", "10.1.0.4", tuple(f"10.1.0.{n}" for n in range(5, 9)))
    with Ledger.open(str(tmp_path)) as opened:
        opened.merge([Card("00:0d:3a:8a:50:da", True, (subnet,))])
        yield opened


ASKING = [
    request(args={"IP": "10.1.0.7"}),
    request(runtimeConfig={"ips": ["10.1.0.7/24"]}),
    request({"ipAddress": "10.1.0.7"}),
]


@pytest.mark.parametrize("call", ASKING, ids=["CNI_ARGS", "runtimeConfig", "ipam"])
def test_the_asked_address_is_given_or_its_holder_named(ledger: Ledger, call: Request) -> None:
    first = Holder("a" * 64, "eth0", pod_namespace="shop", pod_name="cart-0")
    assert take(ledger, first, call, SETTINGS).address == "10.1.0.7"
    with pytest.raises(CniError) as refused:
        take(ledger, Holder("b" * 64, "eth0"), call, SETTINGS)
    assert refused.value.code == FAILED
    assert refused.value.msg == (
        "Failed to allocate pool: Failed to delegate: "
        "Failed to allocate address: Address already in use"
    )
    for word in ("10.1.0.7", "shop/cart-0", "a" * 64, "eth0"):
        assert word in refused.value.details
    assert [one.container_id for one in ledger.leases()] == ["a" * 64]


def test_an_address_that_is_not_the_nodes_is_refused(ledger: Ledger) -> None:
    with pytest.raises(CniError, match="Address not found") as refused:
        take(ledger, Holder("a", "eth0"), request({"ipAddress": "10.9.9.9"}), SETTINGS)
    assert "not of the node's NIC" in refused.value.details
    assert ledger.leases() == []


def test_an_interface_that_has_an_address_gets_no_other(ledger: Ledger) -> None:
    holder = Holder("a" * 64, "eth0")
    ledger.attach(take(ledger, holder, request(), SETTINGS))
    with pytest.raises(CniError) as refused:
        take(ledger, holder, ASKING[0], SETTINGS)
    assert "10.1.0.5 already; DEL it first" in refused.value.details
    assert take(ledger, holder, request({"ipAddress": "10.1.0.5"}), SETTINGS).address == "10.1.0.5"


def test_the_settings_cooling_time_is_obeyed(ledger: Ledger) -> None:
    ledger.attach(take(ledger, Holder("a", "eth0"), request(), SETTINGS))
    ledger.release("a")
    assert take(ledger, Holder("b", "eth0"), request(), SETTINGS).address == "10.1.0.6"
    hasty = Settings(cooling_seconds=0.0)
    assert take(ledger, Holder("c", "eth0"), request(), hasty).address == "10.1.0.5"
