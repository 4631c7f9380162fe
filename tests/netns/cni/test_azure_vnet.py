"""azure-vnet as a runtime runs it: the installed file, in a real node namespace."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from podwire.cni.azure_vnet import AzureVnet
from podwire.ipam.lease import ATTACHED
from podwire.model.cni import Request

from .node import CONFIG, NIC_MAC, NODE_IP, WIRE_SERVER, Node, finish, reach

CONTAINER = "116419acc6958dbaa1f80380eee6762928ead0caec83d0174fc5daa91a110897"
EXHAUSTED = (
    "Failed to allocate pool: Failed to delegate: Failed to allocate address: "
    "No available addresses"
)
# The steps that the walkthrough's document quotes of its log.
ELEVEN = (
    "Processing ADD command with args {{ContainerID:{id} Netns:{netns} IfName:eth0 Args:Ignore",
    "Read network configuration &{{CNIVersion:0.3.0 Name:azure Type:azure-vnet Mode:bridge",
    "Found network azure with subnet 10.220.2.0/24",
    "Calling plugin azure-vnet-ipam ADD",
    "Plugin azure-vnet-ipam returned result:IP:[{{Version:4 Interface:<nil> Address:{{IP:{ip} ",
    "Creating endpoint 116419ac-eth0",
    "Creating veth pair azvb1f7346f51b azvb1f7346f51b2",
    "Adding ARP reply rule for IP address {ip}/24",
    "Adding static arp for IP address {ip}/24 and MAC {mac} in VM",
    "Setting link azvb1f7346f51b2 netns {netns}",
    "Adding IP address {ip}/24 to link eth0",
)


def added(node: Node, identity: str) -> dict:
    answer = node.call("ADD", node.pod(identity))
    assert answer.status == 0, answer
    return answer.document


def address(result: dict) -> str:
    return result["ips"][0]["address"].partition("/")[0]


def test_add_answers_with_the_pods_link_second_and_its_address_there(node: Node) -> None:
    pod = node.pod(CONTAINER)
    result = node.call("ADD", pod).document

    host, inside = result["interfaces"]
    assert host["name"] == "azvb1f7346f51b"
    assert "sandbox" not in host
    assert (inside["name"], inside["sandbox"]) == ("eth0", pod.netns.path)
    assert int(inside["mac"][:2], 16) & 0x03 == 0x02
    assert result["ips"] == [
        {"version": "4", "address": "10.220.2.5/24", "gateway": "10.220.2.1", "interface": 1}
    ]
    assert result["routes"] == [{"dst": "0.0.0.0/0", "gw": "10.220.2.1"}]
    assert result["dns"] == {"nameservers": [WIRE_SERVER]}
    assert f"link/ether {inside['mac']}" in pod.run("ip", "link", "show", "eth0")
    assert "inet 10.220.2.5/24 scope global eth0" in pod.run("ip", "addr", "show", "eth0")


def test_the_node_becomes_what_the_document_shows(node: Node) -> None:
    added(node, CONTAINER)

    assert f"{NODE_IP}/24" in node.run("ip", "-4", "addr", "show", "azure0")
    assert node.run("ip", "-4", "addr", "show", "eth0") == ""
    assert NIC_MAC in node.run("ip", "link", "show", "azure0")
    routes = node.run("ip", "route")
    assert "default via 10.220.2.1 dev azure0" in routes
    assert "eth0" not in routes


def test_a_pod_reaches_the_fabric_the_node_and_its_neighbour(node: Node) -> None:
    first, second = node.pod("a" * 64), node.pod("b" * 64)
    for pod in (first, second):
        assert node.call("ADD", pod).status == 0

    assert reach(first.netns, WIRE_SERVER) == b"HTTP/1.0 200 OK"
    assert reach(node.netns, WIRE_SERVER) == b"HTTP/1.0 200 OK"
    for target in (NODE_IP, "10.220.2.6"):
        first.run("ping", "-c1", "-W3", target)


def test_add_again_answers_the_same_and_changes_nothing(node: Node) -> None:
    pod = node.pod(CONTAINER)
    first = node.call("ADD", pod).document
    links = node.run("ip", "-o", "link")

    assert node.call("ADD", pod).document == first
    assert node.run("ip", "-o", "link") == links
    assert len(node.ledger().leases()) == 1


def test_add_again_repairs_what_somebody_broke(node: Node) -> None:
    pod = node.pod(CONTAINER)
    first = node.call("ADD", pod).document
    node.run("ip", "link", "del", "azvb1f7346f51b")

    again = node.call("ADD", pod).document
    assert again["ips"] == first["ips"]
    assert again["interfaces"][1] == first["interfaces"][1]
    assert reach(pod.netns, WIRE_SERVER) == b"HTTP/1.0 200 OK"


def test_a_bridge_that_was_deleted_is_made_anew(node: Node) -> None:
    added(node, "a" * 64)
    node.run("ip", "link", "del", "azure0")

    pod = node.pod("b" * 64)
    answer = node.call("ADD", pod)
    assert answer.status == 0, answer
    assert "default via 10.220.2.1 dev azure0" in node.run("ip", "route")
    assert reach(pod.netns, WIRE_SERVER) == b"HTTP/1.0 200 OK"


def test_thirty_pods_fit_the_next_is_told_why_and_a_freed_address_is_used(node: Node) -> None:
    pods = [node.pod(f"{number:064x}") for number in range(31)]
    given = [address(node.call("ADD", pod).document) for pod in pods[:30]]
    assert given == [f"10.220.2.{number}" for number in range(5, 35)]

    refused = node.call("ADD", pods[30])
    assert refused.status == 1
    assert refused.document["msg"] == EXHAUSTED
    assert 100 <= refused.document["code"] < 200
    for word in ("10.220.2.0/24", "30 of 30", "30 attached"):
        assert word in refused.document["details"]
    assert len(node.azv_links()) == 30

    assert node.call("DEL", pods[7]).status == 0
    assert address(node.call("ADD", pods[30]).document) == given[7]


def test_pods_that_are_gone_make_room_though_no_del_came(node: Node) -> None:
    node.wire_server.addresses = node.wire_server.addresses[:2]
    for letter in "ab":
        assert node.call("ADD", node.pod(letter * 64)).status == 0
    node.pods[0].netns.close()
    while len(node.azv_links()) > 1:  # the kernel takes a namespace apart in the background
        time.sleep(0.01)

    assert address(added(node, "c" * 64)) == "10.220.2.5"


def test_addresses_added_to_the_card_are_found_when_the_pool_is_empty(node: Node) -> None:
    more = node.wire_server.addresses
    node.wire_server.addresses = more[:1]
    added(node, "a" * 64)
    node.wire_server.addresses = more
    assert address(added(node, "b" * 64)) == "10.220.2.6"


def test_the_wire_server_is_asked_once_and_may_then_be_down(node: Node) -> None:
    added(node, "a" * 64)
    node.wire_server.broken = True
    for letter in "bcd":
        added(node, letter * 64)
    assert node.wire_server.asked == 1


def test_without_any_answer_of_the_wire_server_the_runtime_is_told_to_try_again(node: Node) -> None:
    node.wire_server.broken = True
    answer = node.call("ADD", node.pod(CONTAINER))
    assert (answer.status, answer.document["code"]) == (1, 11)
    assert "answers 503" in answer.document["msg"]
    assert node.azv_links() == []


def test_eight_adds_at_once_on_a_fresh_node(node: Node) -> None:
    pods = [node.pod(f"{number:064x}") for number in range(8)]
    answers = [finish(one) for one in [node.start("ADD", pod) for pod in pods]]

    assert [one.status for one in answers] == [0] * 8, answers
    assert len({address(one.document) for one in answers}) == 8
    assert len(node.wired()) == len(node.azv_links()) == 8
    deleted = [finish(one) for one in [node.start("DEL", pod) for pod in pods]]
    assert [(one.status, one.stdout) for one in deleted] == [(0, "")] * 8
    assert (node.wired(), node.azv_links(), node.ledger().leases()) == ([], [], [])


def test_del_leaves_nothing_and_is_silent(node: Node) -> None:
    pod = node.pod(CONTAINER)
    node.call("ADD", pod)
    for _ in range(2):
        answer = node.call("DEL", pod)
        assert (answer.status, answer.stdout) == (0, "")
    assert (node.wired(), node.azv_links(), node.ledger().leases()) == ([], [], [])
    assert "eth0" not in pod.run("ip", "link")
    assert "azv" not in node.run("nft", "list", "ruleset")


@pytest.mark.parametrize("netns", ["", "/proc/1/fd/999999", "/nowhere"])
def test_del_needs_no_namespace(node: Node, netns: str) -> None:
    pod = node.pod(CONTAINER)
    node.call("ADD", pod)
    assert node.call("DEL", pod, CNI_NETNS=netns).status == 0
    assert (node.wired(), node.azv_links(), node.ledger().leases()) == ([], [], [])


def test_del_of_an_unknown_container_on_an_untouched_node(node: Node) -> None:
    answer = node.call("DEL", node.pod(CONTAINER))
    assert (answer.status, answer.stdout) == (0, "")
    assert node.wire_server.asked == 0


def test_del_works_with_a_configuration_that_add_would_refuse(node: Node) -> None:
    pod = node.pod(CONTAINER)
    node.call("ADD", pod)
    broken = {"cniVersion": "0.3.0", "name": "azure", "mode": "transparent", "ipam": []}
    assert node.call("DEL", pod, config=broken).status == 0
    assert (node.azv_links(), node.ledger().leases()) == ([], [])


def test_check_is_silent_then_tells_every_difference(node: Node) -> None:
    pod = node.pod(CONTAINER)
    node.call("ADD", pod)
    answer = node.call("CHECK", pod)
    assert (answer.status, answer.stdout) == (0, "")

    node.run("ip", "neigh", "del", "10.220.2.5", "dev", "azure0")
    node.run("bridge", "link", "set", "dev", "azvb1f7346f51b", "hairpin", "off")
    pod.run("ip", "route", "del", "default")
    answer = node.call("CHECK", pod)
    assert answer.status == 1
    said = answer.document["msg"]
    assert "neighbour host azure0 10.220.2.5 is missing" in said
    assert "route pod 0.0.0.0/0 eth0 is missing" in said
    assert "hairpin is False, not True" in said


def test_check_of_an_unknown_container_and_of_another_address(node: Node) -> None:
    pod = node.pod(CONTAINER)
    assert node.call("CHECK", pod).document["code"] == 3
    result = node.call("ADD", pod).document
    assert node.call("CHECK", pod, config={**CONFIG, "prevResult": result}).status == 0
    result["ips"][0]["address"] = "10.220.2.9/24"
    answer = node.call("CHECK", pod, config={**CONFIG, "prevResult": result})
    assert "prevResult has 10.220.2.9/24, the ledger 10.220.2.5/24" in answer.document["msg"]


def test_a_namespace_that_is_not_there_costs_no_address(node: Node) -> None:
    pod = node.pod(CONTAINER)
    answer = node.call("ADD", pod, CNI_NETNS="/nowhere")
    assert answer.status == 1
    assert "/nowhere" in answer.document["msg"]
    assert node.call("ADD", pod, CNI_NETNS=node.netns.path).document["code"] == 4
    assert (node.azv_links(), node.ledger().leases()) == ([], [])


def test_a_failure_in_the_middle_is_undone_and_told(node: Node) -> None:
    pod = node.pod(CONTAINER)
    pod.run("ip", "link", "add", "eth0", "type", "bridge")
    answer = node.call("ADD", pod)
    assert (answer.status, answer.document["code"]) == (1, 103)
    assert "eth0" in answer.document["msg"]
    assert (node.wired(), node.azv_links(), node.ledger().leases()) == ([], [], [])
    assert "CNI error. Delete Endpoint" in node.log


@pytest.mark.parametrize("mode", ["transparent-vlan", "tunnel", None])
def test_other_modes_are_refused_by_name(node: Node, mode: str | None) -> None:
    config = {key: value for key, value in {**CONFIG, "mode": mode}.items() if value}
    answer = node.call("ADD", node.pod(CONTAINER), config=config)
    assert answer.document["code"] == 7
    assert f"mode is {mode or 'tunnel'!r}" in answer.document["msg"]
    assert "bridge" in answer.document["msg"]


def test_the_log_has_the_documents_eleven_steps_in_order(node: Node) -> None:
    added(node, "f" * 64)  # the node's own wiring is in another place of the log
    pod = node.pod(CONTAINER)
    result = node.call("ADD", pod).document

    lines = node.log.splitlines()
    wanted = [
        one.format(
            id=CONTAINER,
            netns=pod.netns.path,
            ip=address(result),
            mac=result["interfaces"][1]["mac"],
        )
        for one in ELEVEN
    ]
    start = next(at for at, line in enumerate(lines) if CONTAINER in line)
    found = [
        next(at for at, line in enumerate(lines) if at >= start and one in line) for one in wanted
    ]
    assert found == sorted(set(found))
    form = re.compile(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[\d+\] \S")
    assert all(form.match(line) for line in lines)
    assert re.search(
        r"ADD command completed with .*Pod:default/nginx-\S+ Duration:[\d.]+ms$", lines[-1]
    )


def test_the_log_that_cannot_be_written_fails_nothing(node: Node) -> None:
    (node.directory / "log").rmdir()
    added(node, CONTAINER)
    assert node.log == ""


def test_no_process_is_started_once_the_node_is_wired(node: Node) -> None:
    added(node, "a" * 64)
    pod = node.pod("b" * 64)
    request = Request.parse(node.environment("ADD", pod), json.dumps(CONFIG).encode())

    def add_and_watch() -> None:
        started: list[str] = []
        watched = ("subprocess.Popen", "os.fork", "os.exec", "os.posix_spawn", "os.system")
        sys.addaudithook(lambda event, _: started.append(event) if event in watched else None)
        AzureVnet(node.settings).add(request)
        assert started == []
        subprocess.run(["true"], check=True)
        assert started != []  # the hook does see one

    assert node.fork(add_and_watch) == 0


def test_version_touches_nothing(node: Node) -> None:
    answer = node.call("VERSION", node.pod(CONTAINER), config={"cniVersion": "0.4.0"})
    assert answer.status == 0
    assert answer.document["cniVersion"] == "0.4.0"
    assert "1.0.0" in answer.document["supportedVersions"]
    assert not Path(node.settings.state_dir).exists()
    assert node.log == ""


@pytest.mark.parametrize("damage", ["garbage", "empty", "gone", "middle"])
def test_a_lost_ledger_is_rebuilt_from_the_kernel(node: Node, damage: str) -> None:
    pods = [node.pod(letter * 64) for letter in "abc"]
    given = [address(node.call("ADD", pod).document) for pod in pods]
    _damage(Path(node.settings.state_dir), damage)

    assert address(added(node, "d" * 64)) not in given
    again = node.call("ADD", pods[1])  # its container is known again
    assert address(again.document) == given[1]
    assert node.call("CHECK", pods[1]).status == 0
    for pod in node.pods:
        assert node.call("DEL", pod).status == 0
    assert (node.wired(), node.azv_links(), node.ledger().leases()) == ([], [], [])


def _damage(state: Path, kind: str) -> None:
    ledger = state / "ledger.sqlite"
    for side in ("-wal", "-shm"):
        ledger.with_name(ledger.name + side).unlink(missing_ok=True)
    if kind == "garbage":
        ledger.write_bytes(b"not a database at all" * 500)
    elif kind == "empty":
        ledger.write_bytes(b"")
    elif kind == "gone":
        ledger.unlink()
    else:
        size = ledger.stat().st_size
        with ledger.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * (size - 4096))


def test_a_lost_ledger_and_then_a_del_which_asks_no_source(node: Node) -> None:
    pod = node.pod("a" * 64)
    assert node.call("ADD", pod).status == 0
    shutil.rmtree(node.settings.state_dir)
    assert node.call("DEL", pod).status == 0
    assert node.wired() == []
    assert node.azv_links() == []


def test_an_attachment_of_another_boot_is_forgotten(node: Node) -> None:
    pod = node.pod(CONTAINER)
    node.call("ADD", pod)
    state = Path(node.settings.state_dir) / "ledger.sqlite"
    with sqlite3.connect(state) as db:
        db.execute("UPDATE meta SET value = '1 another-boot' WHERE key = 'generation'")
    # What the kernel shows in use stays in use; the container's own ADD finds its address again.
    assert address(added(node, "b" * 64)) == "10.220.2.6"
    assert address(node.call("ADD", pod).document) == "10.220.2.5"
    assert [one.state for one in node.ledger().leases()] == [ATTACHED] * 2
