"""Where a pod's address comes from, through the whole plugin: file, range, wire server; which."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ..promises.harness import agree, call, leases, usable
from .node import CONFIG, NIC_MAC, NODE_IP, SUBNET, Node, build, until

RANGE = {"environment": "range", "subnet": SUBNET}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """One node for many small tests; each leaves it bare."""
    with ExitStack() as stack:
        yield build(tmp_path_factory.mktemp("node"), stack)


def config(ipam: dict[str, Any] | None = None, **other: Any) -> dict[str, Any]:
    return {**CONFIG, "ipam": {"type": "azure-vnet-ipam", **(ipam or {})}, **other}


def age_source(node: Node, seconds: float) -> None:
    """As if the source had been heard so long ago."""
    with sqlite3.connect(Path(node.settings.state_dir) / "ledger.sqlite") as db:
        older = f"UPDATE meta SET value = value - {seconds} WHERE key IN ('refreshed', 'asked')"
        db.execute(older)


@pytest.mark.parametrize("environment", ["fileIpam", "mas"])
def test_the_interfaces_file(node: Node, environment: str) -> None:
    path = node.directory / "interfaces.json"
    settings = replace(node.settings, interfaces_file=str(path))
    wanted = config({"environment": environment})
    first, second = node.pod("a" * 64), node.pod("b" * 64)
    missing = call(node, "ADD", first, wanted, settings)
    assert missing.status == 1
    assert str(path) in json.dumps(missing.document)
    assert leases(node) == []
    write_interfaces(path, "10.220.2.20")
    assert call(node, "ADD", first, wanted, settings).address == "10.220.2.20"
    full = call(node, "ADD", second, wanted, settings)
    assert full.document is not None
    assert "No available addresses" in full.document["msg"]
    write_interfaces(path, "10.220.2.20", "10.220.2.22")
    assert call(node, "ADD", second, wanted, settings).address == "10.220.2.22"
    assert node.wire_server.asked == 0
    agree(node, [first, second])
    for pod in (first, second):
        usable(node, pod)
        assert call(node, "DEL", pod, wanted, settings).status == 0
    agree(node, [])


def write_interfaces(path: Path, *addresses: str) -> None:
    """As Azure Stack's agent writes it."""
    listed = [{"Address": NODE_IP, "IsPrimary": True}]
    listed += [{"Address": one, "IsPrimary": False} for one in addresses]
    subnets = [{"Prefix": SUBNET, "IPAddresses": listed}]
    mac = NIC_MAC.replace(":", "").upper()
    document = {"Interfaces": [{"MacAddress": mac, "IsPrimary": True, "IPSubnets": subnets}]}
    path.write_text(json.dumps(document))


def test_a_range_where_there_is_no_wire_server(node: Node) -> None:
    node.wire_server.close()
    try:
        wanted = config({**RANGE, "rangeStart": "10.220.2.3", "rangeEnd": "10.220.2.6"})
        pods = [node.pod(letter * 64) for letter in "abcd"]
        given = [node.call("ADD", pod, config=wanted) for pod in pods]
        assert [one.document["ips"][0]["address"] for one in given[:3]] == [
            f"10.220.2.{last}/24"
            for last in (3, 5, 6)  # .4 is the node's own
        ]
        assert "No available addresses" in given[3].document["msg"]
        for pod in pods[:3]:
            pod.run("ping", "-c1", "-W3", "-q", "10.220.2.1")
            assert node.call("CHECK", pod, config=wanted).status == 0
            assert node.call("DEL", pod, config=wanted).status == 0
        assert leases(node) == []
    finally:
        node.wire_server.start()


ASKED = "10.220.2.17"


@pytest.mark.parametrize(
    ("ipam", "runtime", "args"),
    [
        ({}, {}, f";IP={ASKED}"),
        ({}, {"ips": [f"{ASKED}/24"]}, ""),
        ({"ipAddress": ASKED}, {}, ""),
        ({"ipAddress": "10.220.2.18"}, {"ips": [ASKED]}, ";IP=10.220.2.19"),
    ],
    ids=["CNI_ARGS", "runtimeConfig", "ipam.ipAddress", "all three"],
)
@pytest.mark.parametrize("plugin", ["azure-vnet", "azure-vnet-ipam"])
def test_an_address_that_is_asked_for(
    shared: Node, plugin: str, ipam: dict[str, Any], runtime: dict[str, Any], args: str
) -> None:
    wanted = config(ipam, **({"runtimeConfig": runtime} if runtime else {}))
    first, second = shared.pod("a" * 64), shared.pod("b" * 64)
    for _ in range(2):  # once more: the same
        words = {"CNI_ARGS": shared.environment("ADD", first)["CNI_ARGS"] + args}
        answer = shared.call("ADD", first, plugin, config=wanted, **words)
        assert answer.status == 0, answer
        assert answer.document["ips"][0]["address"] == f"{ASKED}/24"
    taken = shared.call("ADD", second, plugin, config=wanted, **words)
    assert taken.status == 1
    assert "Address already in use" in taken.document["msg"]
    assert "a" * 64 in json.dumps(taken.document)
    assert [one.address for one in leases(shared)] == [ASKED]
    assert shared.call("DEL", first, plugin, config=wanted).status == 0
    assert leases(shared) == []


@pytest.mark.parametrize("asked", ["10.220.2.200", "10.220.2.4", "x", "fd00::1/129"])
def test_an_address_that_cannot_be_given(shared: Node, asked: str) -> None:
    answer = shared.call("ADD", shared.pod("a" * 64), config=config({"ipAddress": asked}))
    assert answer.status == 1
    assert asked.partition("/")[0] in json.dumps(answer.document)
    assert (leases(shared), shared.azv_links()) == ([], [])


def test_a_released_address_cools_while_others_are_free(node: Node) -> None:
    """Of four, the one that was freed first comes last but one that was freed later."""
    node.wire_server.addresses = node.wire_server.addresses[:4]
    settings = replace(node.settings, cooling_seconds=1000.0)
    given = []
    for number in range(6):
        pod = node.pod(f"{number:064x}")
        given.append(call(node, "ADD", pod, settings=settings).address)
        assert call(node, "DEL", pod, settings=settings).status == 0
    assert given == [f"10.220.2.{last}" for last in (5, 6, 7, 8, 5, 6)]
    pod = node.pod("f" * 64)
    assert call(node, "ADD", pod).address == "10.220.2.5"  # without cooling, the lowest


def test_a_low_pool_is_refreshed_beside_the_call_however_slow_the_server(node: Node) -> None:
    server, more = node.wire_server, list(node.wire_server.addresses)
    server.addresses = more[:3]
    assert call(node, "ADD", node.pod("a" * 64)).status == 0
    server.addresses = more
    age_source(node, 60)
    server.gate.clear()
    # The server answers only after this ADD has.
    answer = node.call("ADD", node.pod("b" * 64))
    assert answer.document["ips"][0]["address"] == "10.220.2.6/24"
    with node.ledger() as ledger:
        assert ledger.pools()[0].total == 3
        server.gate.set()
        until(lambda: ledger.pools()[0].total == len(more))
    assert server.asked == 2
    agree(node, node.pods)


def test_a_low_pool_is_served_from_the_cache_when_the_server_fails(node: Node) -> None:
    node.wire_server.addresses = node.wire_server.addresses[:3]
    for number in range(3):
        assert call(node, "ADD", node.pod(f"{number:064x}")).status == 0
        age_source(node, 60)
        node.wire_server.broken = True
    until(lambda: node.wire_server.asked > 1)
    agree(node, node.pods)
    node.wire_server.broken = False
    for pod in node.pods:
        usable(node, pod)
