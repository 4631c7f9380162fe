"""The real az, on a lab of its own: the document's commands as printed, then what AKS people do.

The commands are in data/*.sh, as the document and its first chapter print them. The tests build on
one another, in this order, as a reader goes through.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import ssl
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.endpoint import Arm
from tests.e2e.harness import PODWIRE, LabHarness, run, wait_for
from tests.e2e.kubenet import check_nodes

ROOT = Path(__file__).parents[2]
DATA = Path(__file__).with_name("data")
MACHINES = "MC_NetworkLab_azurecni-cluster_eastus"
BARE_WORKLOAD = ROOT / "src/podwire/cluster/manifests/nginx.yaml"


@dataclass
class Shell:
    """The reader's: after `eval "$(podwire env)"`, with az in the PATH."""

    lab: LabHarness
    env: dict[str, str]

    def run(self, script: str, timeout: float = 300) -> str:
        """bash -e; its stdout."""
        return run("/bin/bash", "-ec", script, env=self.env, timeout=timeout)

    def az(self, words: str) -> object:
        out = self.run(f"az {words} -o json")
        return json.loads(out) if out.strip() else None

    def refused(self, script: str) -> tuple[int, str]:
        """Exit status and stderr of what must fail."""
        argv = ["/bin/bash", "-ec", script]
        done = subprocess.run(argv, env=self.env, capture_output=True, text=True, check=False)
        assert done.returncode != 0, done.stdout
        return done.returncode, done.stderr


@dataclass
class Web:
    """A web server in a pod, asked from a node. pod: its address."""

    shell: Shell
    node: str
    pod: str

    def answers(self) -> bool:
        curl = f"curl -s -m 2 -o /dev/null http://{self.pod}/"
        argv = [PODWIRE, "node", "exec", self.node, "--", "/bin/bash", "-c", curl]
        return subprocess.run(argv, env=self.shell.env, check=False).returncode == 0


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    run(str(ROOT / "scripts/az"), "/usr/bin/python3", str(ROOT / ".venv-az"), timeout=1200)
    lab = LabHarness("e2e-az", tmp_path_factory.mktemp("home"))
    try:
        lab.podwire("up", "--empty")
        yield reader(lab)
    finally:
        lab.podwire("down")


def reader(lab: LabHarness) -> Shell:
    env = lab.shell_env
    return Shell(lab, {**env, "PATH": f"{env['PATH']}:{ROOT / '.venv-az/bin'}"})


def text(name: str) -> str:
    return (DATA / f"{name}.sh").read_text()


def test_the_first_chapter_makes_a_vnet_with_three_subnets(shell: Shell) -> None:
    shell.run(text("chapter1"))
    (vnet,) = shell.lab.status()["vnets"]
    assert vnet["subnets"] == {
        "kubenet": "10.220.1.0/24",
        "azurecni": "10.220.2.0/24",
        "services": "10.220.3.0/24",
    }


def test_two_clusters_are_made_at_once(shell: Shell) -> None:
    """Each as its document prints it; the second get-credentials asks nothing."""
    made: dict[str, str] = {}

    def make(name: str) -> None:
        own = Shell(shell.lab, {**shell.env, "KUBECONFIG": f"{shell.lab.home}/{name}.config"})
        made[name] = own.run(text(name) + text(name).splitlines()[-1])

    threads = [threading.Thread(target=make, args=(one,)) for one in ("azurecni", "kubenet")]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert set(made) == {"azurecni", "kubenet"}, "see the errors above"
    nodes = {one["address"] for one in shell.lab.status()["nodes"]}
    assert nodes == {
        *("10.220.2.4", "10.220.2.35", "10.220.2.66"),
        *("10.220.1.4", "10.220.1.5", "10.220.1.6"),
    }


@pytest.mark.parametrize(("address", "pods"), [("10.220.2.4", "10.220.2."), ("10.220.1.4", "10.")])
def test_the_service_of_two_clusters_with_one_name_and_address_is_ones_own(
    shell: Shell, address: str, pods: str
) -> None:
    """Of DNS and the API server: the ranges of services are the same in both documents."""
    node = next(one["name"] for one in shell.lab.status()["nodes"] if one["address"] == address)
    for service, protocol in (("kube-system/kube-dns", "udp"), ("default/kubernetes", "tcp")):
        words = (node, f"svc/{service}", "--proto", protocol, "-o", "json")
        assert json.loads(shell.lab.podwire("explain", *words))["verdict"] == "delivered"
        traced = json.loads(shell.lab.podwire("trace", *words))
        assert (traced["state"], traced["differs"]) == ("delivered", [])
        assert traced["backend"].startswith(pods if protocol == "udp" else "172.31.0.")


def test_the_documents_pods_have_addresses_of_their_nodes(shell: Shell) -> None:
    shell.run("az aks get-credentials -g NetworkLab -n azurecni-cluster")
    shell.run(f"kubectl apply -f {shlex.quote(str(BARE_WORKLOAD))}")
    shell.run("kubectl rollout status deployment/nginx --timeout=120s")
    pods = json.loads(shell.run("kubectl get pods -l run=nginx -o json"))["items"]
    nics = {one["name"]: one["address"] for one in shell.lab.status()["nodes"]}
    for pod in pods:
        base = int(nics[pod["spec"]["nodeName"]].rpartition(".")[2])
        assert base < int(pod["status"]["podIP"].rpartition(".")[2]) <= base + 30


@pytest.fixture
def web(shell: Shell) -> Web:
    """A pod of the document's, and a node that it is not on."""
    pods = json.loads(shell.run("kubectl get pods -l run=nginx -o json"))["items"]
    pod = next(one for one in pods if one["status"].get("podIP"))
    nodes = sorted(one["name"] for one in shell.lab.status()["nodes"] if "aks" in one["name"])
    mine = {one["spec"]["nodeName"] for one in pods}
    other = next(one for one in nodes if one in mine and one != pod["spec"]["nodeName"])
    return Web(shell, other, pod["status"]["podIP"])


def test_a_security_group_stops_a_running_clusters_traffic_until_its_rule_goes(
    shell: Shell, web: Web
) -> None:
    assert web.answers()
    shell.run(
        "az network nsg create -g NetworkLab -n closed -o none;"
        "az network nsg rule create -g NetworkLab --nsg-name closed -n no-web --priority 100 "
        "--access Deny --protocol Tcp --direction Inbound --destination-port-ranges 80 -o none;"
        "az network vnet subnet update -g NetworkLab --vnet-name aksvnet -n azurecni "
        "--network-security-group closed -o none"
    )
    assert not web.answers()
    told = shell.az(f"network nic list-effective-nsg -g {MACHINES} -n {web.node}")
    assert isinstance(told, dict)
    rules = [one["name"] for group in told["value"] for one in group["effectiveSecurityRules"]]
    assert rules[0].endswith("no-web")
    arm = Arm(shell.lab.name)
    group = arm.network("NetworkLab", "networkSecurityGroups", "closed")
    arm.done("DELETE", f"{group}/securityRules/no-web")
    assert web.answers()


def test_a_route_that_leads_nowhere_does_so_until_it_goes(shell: Shell, web: Web) -> None:
    arm = Arm(shell.lab.name)
    table = arm.network("NetworkLab", "routeTables", "table")
    hole = {"addressPrefix": f"{web.pod}/32", "nextHopType": "None"}
    routes = [{"name": "hole", "properties": hole}]
    arm.done("PUT", table, {"location": "eastus", "properties": {"routes": routes}})
    subnet = arm.network("NetworkLab", "virtualNetworks", "aksvnet", "subnets", "azurecni")
    body = arm.get(subnet)
    body["properties"]["routeTable"] = {"id": table}
    arm.done("PUT", subnet, body)
    assert not web.answers()
    told = shell.az(f"network nic show-effective-route-table -g {MACHINES} -n {web.node}")
    assert isinstance(told, dict)
    hops = {one["addressPrefix"][0]: one["nextHopType"] for one in told["value"]}
    assert hops[f"{web.pod}/32"] == "None"
    assert hops["10.220.0.0/16"] == "VnetLocal"
    arm.done("DELETE", f"{table}/routes/hole")
    assert web.answers()


def test_the_balancer_of_a_service_is_shown(shell: Shell) -> None:
    service = (
        '{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "inside", "annotations": '
        '{"service.beta.kubernetes.io/azure-load-balancer-internal": "true"}}, "spec": '
        '{"type": "LoadBalancer", "selector": {"run": "nginx"}, "ports": [{"port": 80}]}}'
    )
    shell.run(f"kubectl apply -f - <<< {shlex.quote(service)}")
    get = "kubectl get service inside -o jsonpath={.status.loadBalancer.ingress[0].ip}"
    address = wait_for("the Service's address", lambda: shell.run(get))
    listed = shell.az(f"network lb list -g {MACHINES}")
    assert isinstance(listed, list)
    assert [one["name"] for one in listed] == ["kubernetes-internal"]
    shown = shell.az(f"network lb show -g {MACHINES} -n kubernetes-internal")
    assert isinstance(shown, dict)
    (front,) = shown["frontendIPConfigurations"]
    assert front["privateIPAddress"] == address
    assert [one["frontendPort"] for one in shown["loadBalancingRules"]] == [80]
    shell.run("kubectl delete service inside --wait=false")


def test_the_key_opens_the_nodes_after_update_instances(shell: Shell) -> None:
    key = Path(shell.env["HOME"]) / ".ssh/id_rsa"
    key.parent.mkdir(exist_ok=True)
    run("ssh-keygen", "-q", "-t", "rsa", "-N", "", "-f", str(key))
    extension, update = text("access").split("az vmss update-instances")
    said = shell.run(extension)
    assert "ssh_key" not in said, "protected settings are never told"
    node = shell.run("kubectl get nodes -o name").split("/")[1].split()[0]
    keys = f"{PODWIRE} node exec {node} -- test -e /home/azureuser/.ssh/authorized_keys"
    shell.refused(keys)
    names = "\n".join(line for line in extension.splitlines() if "=$(" in line or "RG=" in line)
    shell.run(f"{names}\naz vmss update-instances{update}")
    shell.run(keys)


def test_kubenet_is_a_bridge_a_range_a_node_and_a_route_table(shell: Shell) -> None:
    shell.run("az aks get-credentials -g NetworkLab -n kubenet-cluster")
    shell.run(f"kubectl apply -f {shlex.quote(str(BARE_WORKLOAD))}")
    shell.run("kubectl rollout status deployment/nginx --timeout=120s")
    lab = KubenetHarness(shell.lab.name, shell.lab.home)
    check_nodes(lab, "10.100.0.0/16")
    group = "MC_NetworkLab_kubenet-cluster_eastus"
    tables = shell.az(f"network route-table list -g {group}")
    assert isinstance(tables, list)
    hops = {one["nextHopIpAddress"] for one in tables[0]["routes"]}
    assert hops == {"10.220.1.4", "10.220.1.5", "10.220.1.6"}


class KubenetHarness(LabHarness):
    """The same lab, with the nodes of the kubenet cluster alone."""

    def nodes(self) -> list[str]:
        return [one["metadata"]["name"] for one in self.get("nodes")["items"]]


def test_pools_scale_and_are_upgraded(shell: Shell) -> None:
    shell.run(
        "az aks scale -g NetworkLab -n azurecni-cluster -c 4; "
        "az aks nodepool add -g NetworkLab --cluster-name azurecni-cluster -n two -c 1 --mode User;"
        "az aks nodepool upgrade -g NetworkLab --cluster-name azurecni-cluster -n two "
        "--node-image-only; "
        "az aks nodepool delete -g NetworkLab --cluster-name azurecni-cluster -n two"
    )
    pools = shell.az("aks nodepool list -g NetworkLab --cluster-name azurecni-cluster")
    assert isinstance(pools, list)
    assert [(one["name"], one["count"]) for one in pools] == [("nodepool1", 4)]
    said = shell.run(
        "az aks command invoke -g NetworkLab -n azurecni-cluster -c 'kubectl get nodes'"
    )
    assert said.count(" Ready ") == 4


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        (
            "aks create -g NetworkLab -n big --network-plugin azure --vnet-subnet-id $SUBNET -c 10",
            1,
            "(InsufficientSubnetSize) Pre-allocated IPs 310 exceeds IPs available 251",
        ),
        (
            "network vnet subnet delete -g NetworkLab --vnet-name aksvnet -n azurecni",
            1,
            "(InUseSubnetCannotBeDeleted)",
        ),
        ("aks show -g NetworkLab -n none", 3, "(ResourceNotFound)"),
        ("group show -n Nowhere", 3, "(ResourceGroupNotFound)"),
    ],
)
def test_refusals_read_as_azures(shell: Shell, words: str, status: int, code: str) -> None:
    subnet = (
        "SUBNET=$(az network vnet show -g NetworkLab -n aksvnet -o tsv "
        "--query \"subnets[?name=='azurecni'].id\"); "
    )
    got, said = shell.refused(f"{subnet}az {words}")
    assert got == status
    assert code in said


def test_the_sdks_do_the_same(shell: Shell) -> None:
    python = ROOT / ".venv-az/bin/python"
    told = json.loads(shell.run(f"{python} {DATA / 'sdk.py'} azurecni-cluster"))
    assert told["network"] == {
        "state": "Succeeded",
        "names": ["aksvnet", "sdk"],
        "refusal": "NetcfgSubnetRangeOutsideVnet",
    }
    clusters = told["clusters"]
    assert (clusters["state"], clusters["pool"]) == ("Succeeded", "nodepool1")
    assert clusters["credentials"] == ["clusterUser"]
    assert "azurecni-cluster" in clusters["all"]


def test_who_has_no_token_and_who_comes_from_a_page_is_refused(shell: Shell) -> None:
    clouds = (Path(shell.env["AZURE_CONFIG_DIR"]) / "clouds.config").read_text()
    base = next(
        line.partition("=")[2].strip()
        for line in clouds.splitlines()
        if line.startswith("endpoint_resource_manager")
    )
    trust = ssl.create_default_context(cafile=shell.env["REQUESTS_CA_BUNDLE"])
    for headers in ({}, {"Authorization": "Bearer x"}, {"Origin": "https://example.org"}):
        url = f"{base.rstrip('/')}/subscriptions?api-version=2022-12-01"
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(urllib.request.Request(url, headers=headers), context=trust)
        assert refused.value.code in (401, 403)


def test_a_killed_daemon_goes_on_with_what_it_was_asked(shell: Shell) -> None:
    """SIGKILL in the middle of a creation; the next daemon finishes it."""
    az = (
        "az aks create -g NetworkLab -n third --network-plugin azure -c 1 --vnet-subnet-id $(az "
        "network vnet show -g NetworkLab -n aksvnet -o tsv "
        "--query \"subnets[?name=='services'].id\") --max-pods 30 --node-resource-group Machines"
    )
    shell.run(f"{az} --no-wait")
    pid = int(Path(f"/run/podwire/{shell.lab.name}/lock").read_text())
    os.kill(pid, signal.SIGKILL)
    wait_for("the daemon is gone", lambda: not Path(f"/proc/{pid}").exists())
    shell.lab.podwire("up", "--empty")

    arm = Arm(shell.lab.name)
    listed = f"{arm.subscription}/providers/Microsoft.ContainerService/managedClusters"

    def states() -> list[str]:
        return [one["properties"]["provisioningState"] for one in arm.get(listed)["value"]]

    wait_for("all three clusters", lambda: states() == ["Succeeded"] * 3, 180)
    found = shell.az("aks list")
    assert isinstance(found, list)
    assert [one["provisioningState"] for one in found] == ["Succeeded"] * 3
    sets = shell.az("vmss list -g Machines")
    assert isinstance(sets, list)
    assert [one["sku"]["capacity"] for one in sets] == [1]


def test_a_group_takes_all_of_it_along(shell: Shell) -> None:
    shell.run("az group delete -n NetworkLab --yes")
    assert shell.az("group list") == []
    status = shell.lab.status()
    assert (status["clusters"], status["vnets"], status["nodes"]) == ([], [], [])
    assert status["components"] == []
