"""The document, typed: each command of walkthrough and what must hold, on a lab that is up."""

from __future__ import annotations

import re
import tarfile
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from podwire.lens import codec
from tests.e2e.harness import LabHarness, run, wait_for

SUBNET = ip_network("10.220.2.0/24")


def in_shell(lab: LabHarness, line: str) -> str:
    """A line typed into bash after `eval "$(podwire env)"`."""
    return run("/bin/bash", "-c", line, env=lab.shell_env)


def rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()[1:]]


@pytest.fixture(scope="module")
def node(lab: LabHarness) -> str:
    return lab.nodes()[0]


@pytest.fixture(scope="module")
def nginx_pod(lab: LabHarness, node: str) -> dict:
    return next(pod for pod in lab.pods("run=nginx") if pod["spec"]["nodeName"] == node)


def nginx_pid(lab: LabHarness, node: str) -> str:
    ids = lab.on_node(node, "docker ps | grep k8s_nginx_nginx | cut -c1-12").split()
    return lab.on_node(node, f"docker inspect --format '{{{{ .State.Pid }}}}' {ids[0]}").strip()


def test_services_have_addresses_of_the_service_cidr(lab: LabHarness) -> None:
    found = {row[0]: row[2] for row in rows(in_shell(lab, "kubectl get svc"))}
    assert found["kubernetes"] == "10.200.0.1"
    assert ip_address(found["nginx"]) in ip_network("10.200.0.0/16")


def test_pods_have_addresses_of_their_own_nodes_nic(lab: LabHarness) -> None:
    out = in_shell(lab, "kubectl get pods -o wide --sort-by=.spec.nodeName")
    pods = [row for row in rows(out) if row[0].startswith("nginx-")]
    assert [row[2] for row in pods] == ["Running"] * 3
    at = [re.search(r"(10\.220\.2\.\d+)\s+(aks-\S+)", " ".join(row)) for row in pods]
    places = [(match.group(1), match.group(2)) for match in at if match]
    assert [name for _, name in places] == lab.nodes()
    for number, (address, _) in enumerate(places):
        first = 4 + 31 * number
        assert address in {f"10.220.2.{last}" for last in range(first + 1, first + 31)}


def test_nodes_are_named_and_addressed_as_in_aks(lab: LabHarness) -> None:
    found = rows(in_shell(lab, "kubectl get nodes -o wide"))
    names = [row[0] for row in found]
    assert all(re.fullmatch(r"aks-nodepool1-\d{8}-vmss00000[012]", name) for name in names)
    assert [row[1:3] for row in found] == [["Ready", "agent"]] * 3
    assert [row[5] for row in found] == ["10.220.2.4", "10.220.2.35", "10.220.2.66"]


def test_docker_ps_shows_pause_and_nginx(lab: LabHarness, node: str) -> None:
    found = lab.on_node(node, "docker ps | grep nginx").splitlines()
    assert len(found) == 2
    nginx = next(line for line in found if "k8s_nginx_nginx-" in line)
    pause = next(line for line in found if "k8s_POD_nginx-" in line)
    assert '"/docker-entrypoint.…"' in nginx
    assert '"/pause"' in pause
    assert "mcr.microsoft.com/oss/kubernetes/pause:1.3.1" in pause


def test_docker_inspect_gives_a_pid_of_the_node(lab: LabHarness, node: str) -> None:
    pid = nginx_pid(lab, node)
    assert "nginx" in lab.on_node(node, f"cat /proc/{pid}/cmdline | tr '\\0' ' '")


def test_nsenter_shows_eth0_with_the_pods_address(
    lab: LabHarness, node: str, nginx_pod: dict
) -> None:
    out = lab.on_node(node, f"sudo nsenter -t {nginx_pid(lab, node)} -n ip addr")
    found = re.search(r"(\d+): eth0@if(\d+): <BROADCAST,\S*UP,LOWER_UP> mtu 1500", out)
    assert found, out
    assert f"inet {nginx_pod['status']['podIP']}/24 scope global eth0" in out
    assert int(found.group(2)) == int(found.group(1)) + 1
    on_node = lab.on_node(node, "ip addr")
    peer = rf"{found.group(2)}: azv[0-9a-f]{{11}}@if{found.group(1)}: .* master azure0"
    assert re.search(peer, on_node), on_node


def test_the_nodes_address_is_on_azure0(lab: LabHarness, node: str) -> None:
    links = lab.on_node(node, "ip -o link")
    addresses = lab.on_node(node, "ip -4 -o addr")
    assert re.search(r"eth0@\S+ .* master azure0", links)
    assert not re.search(r"\beth0\b", addresses)
    assert re.search(r"azure0\s+inet 10\.220\.2\.4/24 scope global azure0", addresses)
    macs = {
        name: lab.on_node(node, f"cat /sys/class/net/{name}/address").strip()
        for name in ("eth0", "azure0")
    }
    assert macs["eth0"] == macs["azure0"]


def test_brctl_shows_azure0_with_eth0_and_the_veths(lab: LabHarness, node: str) -> None:
    mac = lab.on_node(node, "cat /sys/class/net/eth0/address").strip().replace(":", "")
    head, first, *others = lab.on_node(node, "brctl show").splitlines()
    assert head.split() == ["bridge", "name", "bridge", "id", "STP", "enabled", "interfaces"]
    name, bridge_id, stp, *ports = first.split()
    assert (name, bridge_id, stp) == ("azure0", f"8000.{mac}", "no")
    ports += [line.strip() for line in others]
    assert "eth0" in ports
    veths = [port for port in ports if port != "eth0"]
    assert veths
    assert all(re.fullmatch(r"azv[0-9a-f]{11}", port) for port in veths)


def test_route_knows_azure0_alone(lab: LabHarness, node: str) -> None:
    table = [line.split() for line in lab.on_node(node, "route -n").splitlines()[2:]]
    assert ["0.0.0.0", "10.220.2.1", "0.0.0.0", "UG", "0", "0", "0", "azure0"] in table
    assert ["10.220.2.0", "0.0.0.0", "255.255.255.0", "U", "0", "0", "0", "azure0"] in table
    assert not [row for row in table if row[-1] == "eth0"]


def test_the_log_tells_the_eleven_steps_of_a_new_pod(lab: LabHarness, node: str) -> None:
    old = {pod["metadata"]["name"] for pod in lab.pods("run=nginx")}
    lab.kubectl("delete", "deployment", "nginx")
    wait_for("old pods gone", lambda: not lab.get("pods", "-l", "run=nginx")["items"])
    lab.kubectl("apply", "-f", "nginx.yaml")
    lab.rolled_out("deployment/nginx")
    pod = next(one for one in lab.pods("run=nginx") if one["spec"]["nodeName"] == node)
    assert pod["metadata"]["name"] not in old
    log = lab.on_node(node, "tail -n 400 /var/log/azure-vnet.log")
    _assert_in_order(log, pod["metadata"]["name"], pod["status"]["podIP"])


def _assert_in_order(log: str, pod: str, address: str) -> None:
    lines = log.splitlines()
    start = next(
        number
        for number, line in enumerate(lines)
        if "Processing ADD command with args" in line and f"K8S_POD_NAME={pod}" in line
    )
    process = re.search(r"\[(\d+)\]", lines[start])
    assert process
    call = [line for line in lines[start:] if f"[{process.group(1)}]" in line]
    container = re.search(r"ContainerID:([0-9a-f]{64})", call[0])
    assert container
    expected = [
        "Processing ADD command with args {ContainerID:",
        "Read network configuration",
        f"Found network azure with subnet {SUBNET}",
        "Calling plugin azure-vnet-ipam ADD",
        f"azure-vnet-ipam returned result:IP:[{{Version:4 Interface:<nil> Address:{{IP:{address}",
        f"Creating endpoint {container.group(1)[:8]}-eth0",
        "Creating veth pair azv",
        f"Adding ARP reply rule for IP address {address}/24",
        f"Adding static arp for IP address {address}/24 and MAC ",
        "netns /",
        f"Adding IP address {address}/24 to link eth0",
    ]
    at = 0
    for phrase in expected:
        at = next((n for n in range(at, len(call)) if phrase in call[n]), -1)
        assert at >= 0, f"{phrase!r} is missing or out of order in:\n" + "\n".join(call)


def test_the_status_of_everything_in_json(lab: LabHarness) -> None:
    now = lab.status()
    assert now["state"] == "running"
    assert [one["address"] for one in now["nodes"]] == ["10.220.2.4", "10.220.2.35", "10.220.2.66"]
    assert all(one["addresses"]["total"] == 30 for one in now["nodes"])
    names = {one["name"] for one in now["components"]}
    plane = {"etcd", "kube-apiserver", "kube-scheduler", "kube-controller-manager"}
    assert {f"networklab.azurecni-cluster/{one}" for one in plane} <= names
    assert all(one["pid"] for one in now["components"])


def test_a_command_on_a_node_runs_in_the_nodes_cgroup(lab: LabHarness, node: str) -> None:
    for line in lab.on_node(node, "cat /proc/self/cgroup").splitlines():
        assert line.rsplit(":", 1)[1] == "/" or "podwire" not in line
    assert lab.on_node(node, "hostname").strip() == node


def test_crictl_and_ctr_answer_on_the_node(lab: LabHarness, node: str, nginx_pod: dict) -> None:
    name = nginx_pod["metadata"]["name"]
    assert "nginx" in lab.on_node(node, "crictl ps")
    pods = lab.on_node(node, "crictl pods")
    assert name in pods or "nginx-" in pods
    assert "docker.io/library/nginx" in lab.on_node(node, "ctr -n k8s.io images ls -q")
    container = lab.on_node(node, "crictl ps -q --name nginx").split()[0]
    assert (
        lab.on_node(node, f"crictl exec {container} cat /etc/hostname").strip().startswith("nginx-")
    )
    assert '"pid"' in lab.on_node(node, f"crictl inspect {container}")


def test_a_snapshot_has_a_space_for_every_pod_and_a_node_for_every_nic(
    lab: LabHarness, tmp_path: Path
) -> None:
    lab.podwire("snapshot", "-o", str(tmp_path / "now.json"))
    seen = codec.load(tmp_path / "now.json")
    (cluster,) = seen.clusters
    assert (cluster.asked, cluster.why_not) == (True, "")
    theirs = {
        f"{one['metadata']['namespace']}/{one['metadata']['name']}"
        for one in lab.get("pods", "-A")["items"]
    }
    assert {one.key for one in cluster.pods} == theirs
    wired = [one for one in cluster.pods if not one.host_network and one.phase == "Running"]
    for pod in wired:
        space = seen.space(pod.space)
        assert space is not None, f"{pod.key} has no space"
        assert pod.address in [one.cidr.partition("/")[0] for one in space.addresses]
        node = seen.node(pod.node)
        assert node is not None
        assert space.id in node.pods
    nodes = lab.nodes()
    assert [one.name for one in seen.nodes] == nodes
    plugged = [one for each in seen.vnets for one in each.nics]
    assert sorted(one.node for one in plugged if one.node) == sorted(nodes)
    others = {one.nic.name.partition(" ")[0] for one in plugged if not one.node}
    assert others == {"platform", "control-plane"}
    assert [dict(one.unread) for one in seen.spaces if one.unread] == []


def test_a_support_bundle_has_logs_and_snapshot_and_no_key_of_the_cluster(
    lab: LabHarness, tmp_path: Path
) -> None:
    path = tmp_path / "bundle.tar.gz"
    lab.podwire("support-bundle", "--out", str(path))
    assert [one.name for one in codec.load(path).nodes] == lab.nodes()
    with tarfile.open(path) as tar:
        read = {one.name: tar.extractfile(one) for one in tar}
        texts = {name.partition("/")[2]: file.read() for name, file in read.items() if file}
    for node in lab.nodes():
        assert b"ADD command completed" in texts[f"logs/lab/{node}/azure-vnet.log"]
        assert b"10.220.2." in texts[f"reports/nodes/{node}/ipam.txt"]
    assert all(name.encode() in texts["MANIFEST"] for name in texts if name != "MANIFEST")
    kubeconfig = Path(lab.env["KUBECONFIG"]).read_text()
    keys = re.findall(r"(?:client-key-data|token): (\S+)", kubeconfig)
    assert keys
    assert not [name for name, text in texts.items() for key in keys if key.encode() in text]
