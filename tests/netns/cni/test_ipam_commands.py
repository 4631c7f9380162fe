"""`podwire ipam` on a real node: who holds what, release by hand, and what is refused."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from podwire.kernel.netns import NetNamespace

from ..promises.harness import agree, usable
from .node import Node
from .operator import added, end, ipam, refused

FIRST, SECOND = "a" * 64, "b" * 64


def test_show_tells_who_holds_what(node: Node) -> None:
    assert "no pod was wired yet" in refused(node, "show")
    added(node, FIRST)
    assert node.call("DEL", added(node, SECOND)).status == 0
    lines = ipam(node, "show").stdout.splitlines()
    assert " ".join(lines[0].split()) == (
        "ADDRESS STATE POD CONTAINER IFNAME SINCE HOST LINK SOURCE"
    )
    (link,) = node.azv_links()
    row = lines[1].split()
    assert row[:5] == ["10.220.2.5", "attached", "default/nginx-7cf567cc7-bgc82", "a" * 12, "eth0"]
    assert row[6:] == [link, "10.220.2.0/24"]
    assert lines[2].split()[:2] == ["10.220.2.6", "cooling"]
    assert lines[3].split()[:2] == ["10.220.2.7", "free"]
    assert "30 addresses: 1 attached, 1 cooling, 28 free" in lines
    assert lines[-1].startswith("source: wire server http://168.63.129.16/")
    document = json.loads(ipam(node, "show", "-o", "json").stdout)
    assert document["states"] == {"attached": 1, "cooling": 1, "free": 28}
    assert document["addresses"][0]["container_id"] == FIRST
    assert 0 < document["addresses"][1]["cooling_seconds"] <= 30
    assert document["pools"][0]["total"] == 30
    warm = json.loads(ipam(node, "show", "-o", "json", "--cooling=0").stdout)
    assert warm["states"] == {"attached": 1, "free": 29}


def test_azures_state_documents_for_its_readers(node: Node, tmp_path: Path) -> None:
    added(node, FIRST)
    path = tmp_path / "azure-vnet.json"
    path.write_text(ipam(node, "show", "-o", "azure").stdout)

    def jq(question: str) -> str:
        command = ["jq", "-r", question, str(path)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    (link,) = node.azv_links()
    card = ".Network.ExternalInterfaces.eth0"
    assert jq(f"{card}.BridgeName") == "azure0"
    assert jq(f"{card}.IPAddresses[0] | .IP + .Mask") == "10.220.2.4////AA=="
    assert jq(f"{card}.Networks.azure.Mode") == "bridge"
    pod = f'{card}.Networks.azure.Endpoints["aaaaaaaa-eth0"]'
    assert jq(f"{pod}.HostIfName") == link
    assert jq(f"{pod}.IPAddresses[0].IP") == "10.220.2.5"
    assert jq(f"{pod}.PODName") == "nginx-7cf567cc7-bgc82"
    pool = '.IPAM.AddressSpaces.local.Pools["10.220.2.0/24"]'
    assert jq(f"{pool}.IfName") == "eth0"
    assert jq(f"[{pool}.Addresses[] | select(.InUse)] | length") == "1"
    assert jq(f"{pool}.Addresses | length") == "30"


@pytest.mark.parametrize("command", ["show", "check", "gc", "release"])
def test_a_damaged_ledger_is_told_and_left_to_the_plugins(node: Node, command: str) -> None:
    first = added(node, FIRST)
    for side in ("-wal", "-shm"):
        (Path(node.settings.state_dir) / f"ledger.sqlite{side}").unlink(missing_ok=True)
    ledger = Path(node.settings.state_dir) / "ledger.sqlite"
    ledger.write_bytes(b"not a database at all" * 500)
    if command == "check":
        done = ipam(node, command)
        assert (done.exit_code, str(ledger) in done.output) == (2, True)
    else:
        words = ("--force", "10.220.2.5") if command == "release" else ()
        assert str(ledger) in refused(node, command, *words)
    assert ledger.read_bytes().startswith(b"not a database")
    usable(node, first)


def test_release_by_hand(node: Node) -> None:
    first, second = added(node, FIRST), added(node, SECOND)
    said = refused(node, "release", "10.220.2.5")
    assert "in use by default/nginx-7cf567cc7-bgc82" in said
    assert "--force" in said
    agree(node, [first, second])
    done = ipam(node, "release", "--force", "10.220.2.5")
    assert (done.exit_code, "released 10.220.2.5" in done.output) == (0, True)
    agree(node, [second])
    end(node, second)
    assert ipam(node, "release", "bbbb/eth0").exit_code == 0
    agree(node, [])
    assert "free already" in refused(node, "release", "10.220.2.5")


@pytest.mark.parametrize(
    ("which", "said"),
    [
        ("10.9.9.9", "address 10.9.9.9 is not in the ledger"),
        ("feed", "container feed is not in the ledger"),
        (f"{FIRST}/eth1", "is not in the ledger"),
        ("", "is not in the ledger"),
        ("10.220.2.300", "is not in the ledger"),
    ],
)
def test_release_of_what_is_not_there(node: Node, which: str, said: str) -> None:
    first = added(node, FIRST)
    assert said in refused(node, "release", "--force", which)
    agree(node, [first])


def test_from_another_namespace_nothing_is_judged(node: Node) -> None:
    first = added(node, FIRST)
    real = node.netns
    with NetNamespace.create() as elsewhere:
        node.netns = elsewhere
        done = ipam(node, "check")
        assert (done.exit_code, "another network namespace" in done.output) == (2, True)
        assert "another network namespace" in refused(node, "release", "--force", "10.220.2.5")
        assert "attached" in ipam(node, "show").output
        node.netns = real
    agree(node, [first])


def test_a_runtime_that_cannot_be_asked(node: Node) -> None:
    first = added(node, FIRST)
    for command, said in (
        ("false", "ended with 1"),
        ("/no/such/program", "cannot be asked"),
        ("echo short", "no container id"),
        ('"', "no command"),
    ):
        done = ipam(node, "check", f"--runtime={command}", "--grace=0")
        assert (done.exit_code, said in done.output) == (2, True), done.output
    agree(node, [first])
