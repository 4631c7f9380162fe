"""Leaks on a real node: each is named with its cause, ended, and nothing else is touched."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import threading
from pathlib import Path

import pytest

from podwire.cni import pods
from podwire.ipam.source import parse_interfaces

from ..promises.harness import agree, leases, neighbours, usable
from .node import CONFIG, Node
from .operator import RUNTIME_SILENT, added, end, found, ipam, kinds, mended, process_in
from .test_killed_calls import dying_realise, dying_unwire, killed

FIRST, SECOND, THIRD = "a" * 64, "b" * 64, "c" * 64
STRAY = "10.220.2.30"
STRAY_MAC = "02:00:00:00:00:99"


def sql(node: Node, statement: str) -> None:
    with sqlite3.connect(Path(node.settings.state_dir) / "ledger.sqlite") as db:
        db.execute(statement)


def test_a_node_without_leaks(node: Node) -> None:
    assert found(node) == []  # no pod was ever wired
    first = added(node, FIRST)
    second = added(node, SECOND)
    assert node.call("DEL", second).status == 0
    assert found(node) == []
    assert mended(node) == []
    agree(node, [first])


def test_a_pod_that_is_gone_without_del(node: Node) -> None:
    first, second = added(node, FIRST), added(node, SECOND)
    end(node, first)
    (finding,) = found(node)
    assert (finding["kind"], finding["address"]) == ("gone", "10.220.2.5")
    assert "never sent DEL" in finding["cause"]
    assert finding["remedy"] == "podwire ipam gc"
    text = ipam(node, "check").output
    assert "10.220.2.5  gone  default/nginx-7cf567cc7-bgc82  container aaaaaaaaaaaa/eth0" in text
    before = leases(node)
    assert "would free 10.220.2.5" in ipam(node, "gc", "--dry-run").output
    assert leases(node) == before
    assert mended(node) == [("free", "10.220.2.5")]
    assert found(node) == []
    agree(node, [second])
    assert "gc: free 10.220.2.5: its pod's link" in node.log
    assert node.call("DEL", first, CNI_NETNS="").status == 0


@pytest.mark.parametrize("verb", ["ADD", "DEL"])
def test_a_call_that_was_killed_in_the_middle(node: Node, verb: str) -> None:
    other = added(node, SECOND)
    doomed = node.pod(FIRST) if verb == "ADD" else added(node, FIRST)
    name, harm = ("realise", dying_realise) if verb == "ADD" else ("unwire", dying_unwire)
    killed(node, doomed, verb, lambda patch: patch.setattr(pods, name, harm(5)))
    (finding,) = found(node)
    assert (finding["kind"], finding["address"]) == ("dead-call", "10.220.2.6")
    assert f"worked on its {verb}, was killed" in finding["cause"]
    assert mended(node) == [("free", "10.220.2.6")]
    assert found(node) == []
    agree(node, [other])


def test_a_gc_that_is_killed_is_ended_by_the_next(node: Node) -> None:
    stays = added(node, SECOND)
    end(node, added(node, FIRST))

    def dying() -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pods, "unwire", dying_unwire(2))
            ipam(node, "gc")

    assert os.WIFSIGNALED(node.fork(dying))
    assert kinds(node) == [("dead-call", "10.220.2.6", "free")]
    assert mended(node) == [("free", "10.220.2.6")]
    assert found(node) == []
    agree(node, [stays])


def test_what_no_lease_tells_of(node: Node) -> None:
    first = added(node, FIRST)
    other = node.pod(SECOND)
    node.run(*f"ip neigh add {STRAY} lladdr {STRAY_MAC} nud permanent dev azure0".split())
    node.run(*f"ip neigh add 10.220.2.1 lladdr {STRAY_MAC} nud permanent dev azure0".split())
    node.run("nft", f"add element bridge azure-vnet pod_mac {{ 10.220.2.31 : {STRAY_MAC} }}")
    node.run("nft", 'add element bridge azure-vnet loop { "azvgone" . "azvgone" }')
    node.run(*f"ip link add azvstray type veth peer name e netns {other.netns.path}".split())
    node.run(*["ip", "link", "set", "azvstray", "master", "azure0", "up"])
    leaks = [
        ("stray-address", STRAY, "remove"),
        ("stray-address", "10.220.2.31", "remove"),
        ("stray-link", "azvstray", "remove"),
        ("stray-element", "azvgone", "remove"),
    ]
    assert kinds(node) == leaks
    with process_in(other):  # somebody may need that link
        left = [*leaks[:2], ("stray-link", "azvstray", ""), leaks[3]]
        assert kinds(node) == left
        assert mended(node) == [(action, what) for _, what, action in left]
        assert "azvstray" in node.azv_links()
    assert mended(node) == [("remove", "azvstray")]
    assert found(node) == []
    assert neighbours(node).pop("10.220.2.1") == STRAY_MAC  # not ours
    node.run(*["ip", "neigh", "del", "10.220.2.1", "dev", "azure0"])
    agree(node, [first])
    usable(node, first)


def test_a_wired_pod_that_the_ledger_lost_is_adopted_and_lives(node: Node) -> None:
    first, second = added(node, FIRST), added(node, SECOND)
    sql(node, f"DELETE FROM lease WHERE container_id = '{FIRST}'")
    assert kinds(node) == [("stray-pod", "10.220.2.5", "adopt")]
    assert mended(node) == [("adopt", "10.220.2.5")]
    assert found(node) == []
    usable(node, first)
    added(node, THIRD)
    assert [one.address for one in leases(node)] == ["10.220.2.5", "10.220.2.6", "10.220.2.7"]
    assert node.call("DEL", first).status == 0
    agree(node, [second, node.pods[-1]])


def test_a_lost_ledger_is_nobodys_leak(node: Node) -> None:
    first = added(node, FIRST)
    shutil.rmtree(node.settings.state_dir)
    assert kinds(node) == [("lost-ledger", "", "")]
    assert mended(node) == [("", "")]
    usable(node, first)
    assert not Path(node.settings.state_dir).exists()
    assert node.call("DEL", first).status == 0
    agree(node, [])


def test_one_address_twice(node: Node) -> None:
    first, second = added(node, FIRST), added(node, SECOND)
    node.run(*f"ip neigh replace 10.220.2.5 lladdr {STRAY_MAC} nud permanent dev azure0".split())
    first.run(*["ip", "addr", "add", "10.220.2.6/24", "dev", "eth0"])
    listed = found(node)
    assert [(one["kind"], one["address"], one["gc"]) for one in listed] == [
        ("double", "10.220.2.5", ""),
        ("double", "10.220.2.6", ""),
    ]
    assert f"neighbour entry leads to {STRAY_MAC}, nobody" in listed[0]["cause"]
    assert "the pod of 10.220.2.5" in listed[1]["cause"]
    assert mended(node) == [("", "10.220.2.5"), ("", "10.220.2.6")]
    assert len(leases(node)) == len([first, second])


def test_a_pod_that_is_not_wired_whole(node: Node) -> None:
    added(node, FIRST)
    node.run("nft", "flush map bridge azure-vnet pod_mac")
    (finding,) = found(node)
    assert (finding["kind"], finding["gc"]) == ("not-wired", "")
    assert "10.220.2.5" in finding["cause"]


def test_an_address_that_the_source_lists_no_more(node: Node) -> None:
    first = added(node, FIRST)
    node.wire_server.addresses.remove("10.220.2.5")
    with node.ledger() as ledger:
        ledger.merge(parse_interfaces(node.wire_server.document()), "the wire server")
    (finding,) = found(node)
    assert (finding["kind"], finding["gc"]) == ("unlisted", "")
    assert "kubectl delete pod -n default" in finding["remedy"]
    assert ipam(node, "show").stdout.splitlines()[1].split()[-1] == "unlisted"
    assert mended(node) == [("", "10.220.2.5")]
    usable(node, first)


def test_a_container_that_the_runtime_does_not_know(node: Node) -> None:
    first, second = added(node, FIRST), added(node, SECOND)
    asked = (f"--runtime=echo {SECOND}", "--grace=0")
    assert found(node, f"--runtime=echo {SECOND}") == []  # too young to tell
    with process_in(second):
        with process_in(first):
            assert kinds(node, *asked) == [("unknown-container", "10.220.2.5", "")]
            assert mended(node, *asked) == [("", "10.220.2.5")]
            usable(node, first)
        assert kinds(node, *asked) == [("unknown-container", "10.220.2.5", "free")]
        assert kinds(node, f"--runtime=echo {FIRST[:12]} {SECOND[:12]}", "--grace=0") == []
        assert mended(node, *asked) == [("free", "10.220.2.5")]
        assert found(node, *asked) == []
    agree(node, [second])


def test_our_ipam_under_another_plugin(node: Node) -> None:
    """No link tells whether its pod lives: the path of its namespace does."""
    pod = node.pod(FIRST)
    path = node.directory / "netns"
    path.touch()
    subprocess.run(["mount", "--bind", pod.netns.path, str(path)], check=True)
    try:
        answer = node.call("ADD", pod, "azure-vnet-ipam", CNI_NETNS=str(path))
        assert answer.status == 0, answer
        assert found(node) == []
    finally:
        subprocess.run(["umount", str(path)], check=True)
        path.unlink()
    assert kinds(node) == [("gone", "10.220.2.5", "free")]
    assert mended(node) == [("free", "10.220.2.5")]
    assert leases(node) == []


def test_transparent_mode(node: Node) -> None:
    config = {**CONFIG, "mode": "transparent"}
    first = added(node, FIRST, config=config)
    second = node.pod(SECOND)
    second.name = "other"
    assert node.call("ADD", second, config=config).status == 0
    assert found(node) == []
    document = json.loads(ipam(node, "show", "-o", "azure").stdout)
    card = document["Network"]["ExternalInterfaces"]["eth0"]
    assert (card["BridgeName"], card["IPAddresses"], card["IPv4Gateway"]) == ("", None, "0.0.0.0")
    assert card["Networks"]["azure"]["Mode"] == "transparent"
    (link,) = (one.host_link for one in leases(node) if one.container_id == SECOND)
    node.run(*f"ip neigh add 10.220.2.5 lladdr {STRAY_MAC} nud permanent dev {link}".split())
    assert kinds(node) == [("double", "10.220.2.5", "")]
    node.run(*f"ip neigh del 10.220.2.5 dev {link}".split())
    end(node, first)
    assert mended(node) == [("free", "10.220.2.5")]
    assert found(node) == []


def test_calls_under_way_are_no_leaks(node: Node) -> None:
    """Checked and collected while pods come and go; what lives is never touched."""
    stays = added(node, THIRD)
    stop = threading.Event()
    failures: list[object] = []

    def churn() -> None:
        pod = next(one for one in node.pods if one.id == FIRST)
        while not stop.is_set():
            for verb in ("ADD", "DEL"):
                answer = node.call(verb, pod)
                if answer.status:
                    failures.append(answer)

    node.pod(FIRST)
    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for _ in range(15):
            assert found(node, RUNTIME_SILENT) == []
            assert mended(node, RUNTIME_SILENT) == []
    finally:
        stop.set()
        thread.join()
    assert failures == []
    agree(node, [stays])
