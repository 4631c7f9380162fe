"""`podwire cni` as its users run it: real plugins, real namespaces, processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from podwire.cni.attachment import Attachment
from podwire.cni.networklist import NetworkList
from podwire.cni.runtime import Runtime

from .node import CONFIG, Answer, Node, reach

EXAMPLE = Path(__file__).parents[3] / "docs/examples/island"
CHAIN = [
    {"type": "azure-vnet", "mode": "bridge", "bridge": "azure0", "ipam": CONFIG["ipam"]},
    {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True},
    {"type": "bandwidth", "egressRate": 8_000_000, "egressBurst": 80_000},
    {"type": "tuning", "sysctl": {"net.ipv4.conf.IFNAME.arp_notify": "1"}, "mtu": 1400},
]


@pytest.fixture
def chained(node: Node, reference_plugins: Path) -> Node:
    for name in ("portmap", "bandwidth", "tuning", "static", "host-local", "ptp", "macvlan"):
        (node.bin / name).symlink_to(reference_plugins / name)
    return node


def podwire(node: Node, *words: str, conf: dict[str, Any] | None = None) -> Answer:
    given = ["--bin-dir", str(node.bin), "--cache-dir", str(node.directory / "cache")]
    if conf is not None:
        (node.directory / "net.conflist").write_text(json.dumps(conf))
        given += ["--conf", str(node.directory / "net.conflist")]
    argv = [sys.executable, "-m", "podwire.cli.main", "cni", words[0], *given, *words[1:]]
    enter = ["nsenter", f"--net={node.netns.path}", *argv]
    env = {"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    done = subprocess.run(enter, capture_output=True, text=True, env=env, check=False)
    return Answer(done.returncode, done.stdout, done.stderr)


def conflist(version: str, plugins: list[dict[str, Any]]) -> dict[str, Any]:
    return {"cniVersion": version, "name": "azure", "plugins": plugins}


@pytest.mark.parametrize("version", ["0.3.0", "0.4.0", "1.0.0"])
def test_the_reference_plugins_chained_behind_ours(chained: Node, version: str) -> None:
    conf, pod = conflist(version, CHAIN), chained.pod("a" * 64)
    where = ("--netns", pod.netns.path, "--container-id", pod.id)
    added = podwire(
        chained, "add", *where, "--pod", "default/web", "--port", "8080:80", "-o", "json", conf=conf
    )
    assert added.status == 0, added
    assert added.document["ips"][0]["address"] == "10.220.2.5/24"
    assert chained.ledger().leases()[0].pod_name == "web"
    assert "10.220.2.5:80" in chained.run("iptables-save", "-t", "nat")
    host_link = chained.azv_links()[0]
    assert "tbf" in chained.run("tc", "qdisc", "show")
    assert "mtu 1400" in pod.run("ip", "link", "show", "eth0")
    assert pod.run("cat", "/proc/sys/net/ipv4/conf/eth0/arp_notify").strip() == "1"
    assert host_link in added.stdout

    if version != "0.3.0":
        # tuning changed the MTU behind azure-vnet's back, and CHECK names it
        refused = podwire(chained, "check", *where, conf=conf)
        assert (refused.status, "mtu" in refused.stderr, "104" in refused.stderr) == (1, True, True)
    else:
        refused = podwire(chained, "check", *where, conf=conf)
        assert "cniVersion is 0.3.0, which has no CHECK; set it to 0.4.0" in refused.stderr
        alone = podwire(chained, "check", *where, "--plugin", "azure-vnet", conf=conf)
        assert (alone.status, "mtu" in alone.stderr) == (1, True)
        assert "has no plugin 'x'" in podwire(chained, "status", "--plugin=x", conf=conf).stderr
        assert podwire(chained, "status", "--plugin=azure-vnet", conf=conf).status == 0
    again = podwire(chained, "add", *where, conf=conf)
    assert (again.status, "delete it first" in again.stderr) == (1, True)

    for _ in range(2):
        assert podwire(chained, "del", *where, conf=conf) == Answer(0, "", "")
    assert (chained.wired(), chained.azv_links(), chained.ledger().leases()) == ([], [], [])
    assert "10.220.2.5:80" not in chained.run("iptables-save", "-t", "nat")
    assert "tbf" not in chained.run("tc", "qdisc", "show")


def test_check_of_a_chain(chained: Node) -> None:
    """Without portmap: its own CHECK asks for an IPv6 chain that it made for no IPv4 pod."""
    tuning = {"type": "tuning", "sysctl": {"net.ipv4.conf.eth0.arp_notify": "1"}}
    conf, pod = conflist("1.0.0", [CHAIN[0], CHAIN[2], tuning]), chained.pod("a" * 64)
    where = ("--netns", pod.netns.path)
    assert podwire(chained, "add", *where, conf=conf).status == 0
    assert podwire(chained, "check", *where, conf=conf) == Answer(0, "", "")
    assert podwire(chained, "del", *where, conf=conf).status == 0


def test_a_failing_plugin_undoes_the_ones_before_it(chained: Node) -> None:
    broken = {"type": "tuning", "sysctl": {"net.no.such": "1"}}
    conf, pod = conflist("1.0.0", [CHAIN[0], broken]), chained.pod("a" * 64)
    refused = podwire(chained, "add", "--netns", pod.netns.path, conf=conf)
    assert (refused.status, refused.stdout) == (1, "")
    assert "tuning: " in refused.stderr
    assert (chained.wired(), chained.azv_links(), chained.ledger().leases()) == ([], [], [])


def test_without_any_configuration(node: Node) -> None:
    pod = node.pod("a" * 64)
    assert podwire(node, "status").stdout == "network azure: ready\n"
    added = podwire(node, "add", "--netns", pod.netns.path, "-o", "json")
    links = added.document["interfaces"]
    assert [one["mtu"] for one in links] == [1500, 1500]
    assert (added.document["cniVersion"], links[1]["sandbox"]) == ("1.1.0", pod.netns.path)
    assert podwire(node, "check", "--netns", pod.netns.path).status == 0
    versions = podwire(node, "version", "-o", "json").document["plugins"]["azure-vnet"]
    assert (versions[0], versions[-1]) == ("0.1.0", "1.1.0")
    assert podwire(node, "del", "--netns", pod.netns.path).status == 0
    assert node.ledger().leases() == []


def test_gc_removes_what_is_not_listed(node: Node) -> None:
    pods = [node.pod(letter * 64) for letter in "abc"]
    for pod in pods:
        assert node.call("ADD", pod).status == 0
    assert podwire(node, "gc").status == 2
    assert len(node.wired()) == 3
    kept = podwire(node, "gc", "--keep", pods[1].id)
    assert kept.status == 0, kept
    assert [one.container_id for one in node.ledger().leases()] == [pods[1].id]
    assert len(node.wired()) == len(node.azv_links()) == 1
    assert reach(pods[1].netns, "168.63.129.16") == b"HTTP/1.0 200 OK"


def test_gc_of_our_ipam_under_another_plugin(chained: Node) -> None:
    conf = {"cniVersion": "0.4.0", "name": "p", "type": "ptp", "ipam": {"type": "azure-vnet-ipam"}}
    pods = [chained.pod(letter * 64) for letter in "ab"]
    for pod in pods:
        answer = chained.call("ADD", pod, "ptp", conf)
        assert answer.status == 0, answer
    config = {**conf, "cniVersion": "1.1.0"}
    listed = {"cni.dev/valid-attachments": [{"containerID": pods[1].id, "ifname": "eth0"}]}
    # another network's collection is none of this one's business
    other = chained.call("GC", pods[0], "azure-vnet-ipam", {**config, **listed, "name": "q"})
    assert (other.status, len(chained.ledger().leases())) == (0, 2)
    done = chained.call("GC", pods[0], "azure-vnet-ipam", {**config, **listed})
    assert (done.status, done.stdout) == (0, "")
    assert [one.container_id for one in chained.ledger().leases()] == [pods[1].id]


@pytest.mark.parametrize("listed", [None, {}, [{}], ["x"], [{"containerID": "", "ifname": "e"}]])
def test_gc_without_a_readable_list_removes_nothing(node: Node, listed: object) -> None:
    pod = node.pod("a" * 64)
    assert node.call("ADD", pod).status == 0
    config = {**CONFIG, "cniVersion": "1.1.0", "cni.dev/valid-attachments": listed}
    answer = node.call("GC", pod, config=config)
    assert (answer.status, answer.document["code"]) == (1, 7)
    assert "cni.dev/valid-attachments" in answer.document["msg"]
    assert len(node.wired()) == 1


def test_status(node: Node) -> None:
    config, pod = {**CONFIG, "cniVersion": "1.1.0"}, node.pod("a" * 64)
    node.wire_server.broken = True
    unknown = node.call("STATUS", pod, config=config)
    assert (unknown.status, unknown.document["code"]) == (1, 50)
    assert "503" in unknown.document["msg"]
    node.wire_server.broken = False
    assert node.call("STATUS", pod, config=config).stdout == ""
    assert node.azv_links() == []
    node.wire_server.broken = True  # the cached pool serves
    assert node.call("STATUS", pod, config=config).status == 0

    foreign = {**config, "ipam": {"type": "azure-cns"}}
    assert node.call("STATUS", pod, config=foreign).document["code"] == 50
    assert node.call("ADD", pod).status == 0
    node.run("ip", "link", "delete", "eth0")
    limited = node.call("STATUS", pod, config=config)
    assert (limited.status, limited.document["code"]) == (1, 51)


@pytest.mark.parametrize(
    ("plugin", "more"), [("ptp", {}), ("macvlan", {"master": "eth0", "mode": "bridge"})]
)
def test_our_ipam_under_other_network_plugins(
    chained: Node, plugin: str, more: dict[str, Any]
) -> None:
    ipam = {"type": "azure-vnet-ipam"}
    conf = conflist("1.0.0", [{"type": plugin, "ipam": ipam, **more}])
    pod = chained.pod("a" * 64)
    added = podwire(chained, "add", "--netns", pod.netns.path, conf=conf)
    assert added.status == 0, added
    assert "inet 10.220.2.5/" in pod.run("ip", "addr", "show", "eth0")
    assert podwire(chained, "check", "--netns", pod.netns.path, conf=conf).status == 0
    assert podwire(chained, "del", "--netns", pod.netns.path, conf=conf).status == 0
    assert chained.ledger().leases() == []


def test_static_gives_our_pod_its_address(chained: Node) -> None:
    ipam = {"type": "static", "addresses": [{"address": "10.220.2.77/24", "gateway": "10.220.2.1"}]}
    conf, pod = conflist("1.0.0", [{**CHAIN[0], "ipam": ipam}]), chained.pod("a" * 64)
    added = podwire(chained, "add", "--netns", pod.netns.path, "-o", "json", conf=conf)
    assert added.document["ips"][0]["address"] == "10.220.2.77/24"
    assert reach(pod.netns, "168.63.129.16") == b"HTTP/1.0 200 OK"
    assert podwire(chained, "del", "--netns", pod.netns.path, conf=conf).status == 0


def test_the_guides_example_plugin(node: Node) -> None:
    """By plain exec, and under the flow that libcni has."""
    program = node.bin / "island"
    program.write_text(f"#!{sys.executable}\n{EXAMPLE.read_text().partition(chr(10))[2]}")
    program.chmod(0o755)
    pod = node.pod("a" * 64)
    config = {"cniVersion": "1.0.0", "name": "n", "type": "island", "address": "10.9.8.7/24"}
    path = {"PYTHONPATH": ":".join(sys.path)}
    added = node.call("ADD", pod, "island", config, **path)
    assert added.document == {
        "cniVersion": "1.0.0",
        "interfaces": [{"name": "eth0", "sandbox": pod.netns.path}],
        "ips": [{"address": "10.9.8.7/24", "interface": 0}],
        "routes": [],
        "dns": {},
    }
    assert node.call("CHECK", pod, "island", config, **path).stdout == ""
    assert node.call("STATUS", pod, "island", config, **path).status == 0
    for _ in range(2):
        assert node.call("DEL", pod, "island", config, **path) == Answer(0, "", "")
    assert node.call("CHECK", pod, "island", config, **path).document["code"] == 100
    wrong = node.call("ADD", pod, "island", {**config, "address": 7}, **path)
    assert (wrong.status, wrong.document["code"]) == (1, 7)
    refused = node.call("ADD", pod, "island", {**config, "address": "1.2.3/x"}, **path)
    assert (refused.status, refused.document["code"]) == (1, 100)
    assert "eth0" not in pod.run("ip", "link")

    where = ("--netns", pod.netns.path)
    listed = conflist("1.0.0", [config])
    assert "10.9.8.7/24" in podwire(node, "add", *where, conf=listed).stdout
    assert podwire(node, "check", *where, conf=listed).status == 0
    assert podwire(node, "del", *where, conf=listed).status == 0


def test_what_the_runtime_was_told_at_add_is_known_at_del(node: Node, tmp_path: Path) -> None:
    """Each plugin's environment and stdin, seen by one that writes them down."""
    spy = node.bin / "spy"
    spy.write_text(
        '#!/bin/sh\nset -e\nin=$(cat)\necho "$CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME '
        f'$CNI_ARGS $in" >> {tmp_path}/seen\n[ $CNI_COMMAND != ADD ] || '
        'echo \'{"cniVersion":"1.0.0","ips":[{"address":"10.0.0.9/24"}]}\'\n'
    )
    spy.chmod(0o755)
    both = [{"type": "spy", "capabilities": {"portMappings": True}}, {"type": "spy", "second": 1}]
    network = NetworkList.parse(conflist("1.0.0", both), "test")
    runtime = Runtime(network, bin_dirs=str(node.bin), cache_dir=str(tmp_path / "cache"))
    ports = {"portMappings": [{"hostPort": 1}]}
    full = Attachment("c1", "/n", "net1", "A=1", ports)
    runtime.add(full)
    assert runtime.attachments() == [full]
    runtime.delete(Attachment("c1", "", "net1"))
    assert runtime.attachments() == []
    seen = [line.split(" ", 4) for line in (tmp_path / "seen").read_text().splitlines()]
    configs = [json.loads(one[4]) for one in seen]
    assert [one[0] for one in seen] == ["ADD", "ADD", "DEL", "DEL"]
    assert {tuple(one[1:4]) for one in seen} == {("c1", "net1", "A=1")}
    assert ["second" in one for one in configs] == [False, True, True, False]
    assert [one.get("runtimeConfig") for one in configs] == [ports, None, None, ports]
    assert ["prevResult" in one for one in configs] == [False, True, True, True]
    assert not any("capabilities" in one for one in configs)
