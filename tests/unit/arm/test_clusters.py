"""Managed clusters and their pools, from PUT to what the lab is asked to build, and back."""

from __future__ import annotations

import base64
import io
import zipfile
from typing import Any

import pytest
import yaml

from podwire.model.cluster import ClusterSpec
from podwire.model.errors import PodwireError
from podwire.model.node_pool import Pool, Surge
from tests.unit.arm.client import AKS, AZURECNI, CLUSTER, NODES, RG, VNET, Client, S, cluster

POOLS = f"{CLUSTER}/agentPools"
KEY = "networklab/azurecni-cluster"


def wanted(client: Client) -> ClusterSpec:
    """What the lab was last asked to build."""
    return next(one[1] for one in reversed(client.lab.said) if one[0] == "put_cluster")


def said(client: Client, what: str) -> list[tuple[Any, ...]]:
    return [one[1:] for one in client.lab.said if one[0] == what]


def test_the_documents_cluster_is_asked_for(running: Client) -> None:
    assert wanted(running) == ClusterSpec(
        name="azurecni-cluster",
        resource_group="NetworkLab",
        location="eastus",
        vnet="networklab/aksvnet",
        subnet="azurecni",
        service_cidr="10.200.0.0/16",
        dns_service_ip="10.200.0.10",
        pools=(Pool("nodepool1", 3, 30),),
        dns_prefix="azurecni-c-NetworkLab-111111",
        version="v1.21.14",
    )


def test_azures_defaults_are_shown(running: Client) -> None:
    body = running.ask("GET", CLUSTER).json()
    properties = body["properties"]
    (pool,) = properties["agentPoolProfiles"]
    assert properties["nodeResourceGroup"] == "MC_NetworkLab_azurecni-cluster_eastus"
    assert properties["provisioningState"] == pool["provisioningState"] == "Succeeded"
    assert (pool["vmSize"], pool["maxPods"], pool["count"]) == ("Standard_DS2_v2", 30, 3)
    assert properties["powerState"] == {"code": "Running"}
    assert properties["fqdn"].endswith(".hcp.eastus.azmk8s.io")
    assert body["identity"]["principalId"]


def test_defaults_of_a_kubenet_cluster(document: Client) -> None:
    body = cluster(networkProfile={"networkPlugin": "kubenet"})
    made = document.put(f"{AKS}/k", body)["properties"]
    assert made["networkProfile"]["podCidr"] == "10.244.0.0/16"
    assert made["networkProfile"]["serviceCidr"] == "10.0.0.0/16"
    assert made["agentPoolProfiles"][0]["maxPods"] == 110
    spec = wanted(document)
    assert (spec.network_plugin, spec.pod_cidr) == ("kubenet", "10.244.0.0/16")


def test_a_cluster_without_a_subnet_gets_a_vnet_of_its_own(document: Client) -> None:
    body = cluster()
    del body["properties"]["agentPoolProfiles"][0]["vnetSubnetID"]
    document.put(f"{AKS}/alone", body)
    spec = wanted(document)
    assert spec.vnet == f"mc_networklab_alone_eastus/aks-vnet-{spec.digits}"
    group = f"{S}/resourceGroups/MC_NetworkLab_alone_eastus/providers/Microsoft.Network"
    (vnet,) = document.ask("GET", f"{group}/virtualNetworks").json()["value"]
    assert vnet["properties"]["addressSpace"] == {"addressPrefixes": ["10.224.0.0/12"]}
    document.done(document.ask("DELETE", f"{AKS}/alone"))
    assert list(document.lab.vnets()) == ["networklab/aksvnet"]


def test_a_node_resource_group_of_ones_own_name(document: Client) -> None:
    body = document.put(CLUSTER, cluster(nodeResourceGroup="Nodes"))
    assert body["properties"]["nodeResourceGroup"] == "Nodes"
    assert wanted(document).node_resource_group == "Nodes"
    group = document.ask("GET", f"{S}/resourceGroups/nodes").json()
    assert (group["name"], group["managedBy"]) == ("Nodes", CLUSTER)
    sets = f"{group['id']}/providers/Microsoft.Compute/virtualMachineScaleSets"
    assert len(document.ask("GET", sets).json()["value"]) == 1
    assert document.ask("GET", NODES).status_code == 404
    body["properties"]["agentPoolProfiles"][0]["count"] = 2
    document.put(CLUSTER, body)
    assert wanted(document).node_group == "Nodes"
    again = document.ask("PUT", f"{AKS}/other", cluster(nodeResourceGroup="NODES"))
    assert again.json()["error"]["code"] == "NodeResourceGroupAlreadyExists"


def test_states_of_a_cluster_on_its_way(document: Client) -> None:
    document.lab.gate.clear()
    first = document.ask("PUT", CLUSTER, cluster())
    assert first.status_code == 201
    assert first.json()["properties"]["provisioningState"] == "Creating"
    busy = document.ask("PUT", CLUSTER, cluster())
    assert (busy.status_code, busy.json()["error"]["code"]) == (409, "OperationNotAllowed")
    document.lab.gate.set()
    assert document.done(first)["status"] == "Succeeded"
    assert document.ask("GET", CLUSTER).json()["properties"]["provisioningState"] == "Succeeded"


def test_a_cluster_that_failed_stays_and_says_so(document: Client) -> None:
    document.lab.failure = PodwireError("etcd did not start")
    status = document.done(document.ask("PUT", CLUSTER, cluster()))
    assert (status["status"], status["error"]["message"]) == ("Failed", "etcd did not start")
    assert document.ask("GET", CLUSTER).json()["properties"]["provisioningState"] == "Failed"
    document.done(document.ask("DELETE", CLUSTER))
    assert document.ask("GET", CLUSTER).status_code == 404


def test_scaling_is_a_put_of_the_whole(running: Client) -> None:
    body = running.ask("GET", CLUSTER).json()
    body["properties"]["agentPoolProfiles"][0]["count"] = 5
    assert running.put(CLUSTER, body)["properties"]["agentPoolProfiles"][0]["count"] == 5
    assert wanted(running).pools == (Pool("nodepool1", 5, 30),)
    assert said(running, "upgrade_pool") == []


def test_a_pool_comes_is_scaled_and_goes(running: Client) -> None:
    batch = f"{POOLS}/batch"
    sent = {"count": 1, "mode": "User", "upgradeSettings": {"maxSurge": "33%"}}
    made = running.put(batch, {"properties": sent})
    assert made["properties"]["vnetSubnetID"] == AZURECNI
    assert wanted(running).pools[1] == Pool("batch", 1, 30, Surge(33, True), mode="User")
    running.put(batch, {"properties": {"count": 2}})
    assert wanted(running).pools[1].count == 2
    names = [one["name"] for one in running.ask("GET", POOLS).json()["value"]]
    assert names == ["nodepool1", "batch"]
    leaving = running.ask("DELETE", batch)
    assert running.ask("GET", batch).status_code in (200, 404)
    assert running.done(leaving)["status"] == "Succeeded"
    assert running.ask("GET", batch).status_code == 404
    assert wanted(running).pools == (Pool("nodepool1", 3, 30),)


def test_a_new_version_replaces_the_nodes(document: Client) -> None:
    document.put(CLUSTER, cluster(kubernetesVersion="1.20.2"))
    body = document.ask("GET", CLUSTER).json()
    body["properties"]["kubernetesVersion"] = "1.21.14"
    body["properties"]["agentPoolProfiles"][0]["orchestratorVersion"] = "1.21.14"
    made = document.put(CLUSTER, body)["properties"]
    assert made["currentKubernetesVersion"] == "1.21.14"
    assert said(document, "upgrade_pool") == [(KEY, "nodepool1", "v1.21.14")]


def test_a_node_image_upgrade_replaces_them_with_the_version_they_have(running: Client) -> None:
    answer = running.ask("POST", f"{POOLS}/nodepool1/upgradeNodeImageVersion")
    state = answer.json()["properties"]["provisioningState"]
    assert (answer.status_code, state) == (202, "UpgradingNodeImageVersion")
    assert running.done(answer)["status"] == "Succeeded"
    assert said(running, "upgrade_pool") == [(KEY, "nodepool1", "v1.21.14")]


def test_a_pool_that_goes_takes_the_keys_of_its_scale_set_along(running: Client) -> None:
    pool = {"properties": {"count": 1, "mode": "User"}}
    running.put(f"{POOLS}/two", pool)
    name = next(one for one in _scale_sets(running) if "-two-" in one)
    secret = f"{NODES}/providers/Microsoft.Compute/virtualMachineScaleSets/{name}/extensions"
    running.store.put_secret(secret, '{"extensions": [], "applied": true}')
    assert running.done(running.ask("DELETE", f"{POOLS}/two"))["status"] == "Succeeded"
    assert running.store.secret(secret) is None


def _scale_sets(client: Client) -> list[str]:
    path = f"{NODES}/providers/Microsoft.Compute/virtualMachineScaleSets"
    return [one["name"] for one in client.ask("GET", path).json()["value"]]


def test_stop_and_start(running: Client) -> None:
    running.done(running.ask("POST", f"{CLUSTER}/stop"))
    body = running.ask("GET", CLUSTER).json()["properties"]
    assert body["powerState"] == {"code": "Stopped"}
    assert body["agentPoolProfiles"][0]["powerState"] == {"code": "Stopped"}
    read = running.ask("GET", CLUSTER).json()
    for path, sent in ((CLUSTER, read), (f"{CLUSTER}/agentPools/more", {"properties": {}})):
        refused = running.ask("PUT", path, sent)
        assert refused.status_code == 400
        assert "is stopped" in refused.json()["error"]["message"]
    running.done(running.ask("POST", f"{CLUSTER}/start"))
    assert running.ask("GET", CLUSTER).json()["properties"]["powerState"] == {"code": "Running"}
    assert running.done(running.ask("PUT", CLUSTER, read))["status"] == "Succeeded"


@pytest.mark.parametrize(
    ("word", "user"),
    [("User", "clusterUser_NetworkLab_azurecni-cluster"),
     ("Admin", "clusterAdmin_NetworkLab_azurecni-cluster")],
)  # fmt: skip
def test_credentials_are_always_the_same(running: Client, word: str, user: str) -> None:
    answers = [running.ask("POST", f"{CLUSTER}/listCluster{word}Credential") for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    (found,) = answers[0].json()["kubeconfigs"]
    config = yaml.safe_load(base64.b64decode(found["value"]))
    assert [one["name"] for one in config["users"]] == [user]
    assert config["contexts"][0]["context"]["user"] == user


def test_a_command_runs_with_its_files(running: Client) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("a/b.yaml", "kind: Pod")
    context = base64.encodebytes(content.getvalue()).decode()
    sent = {"command": "kubectl apply -f a/b.yaml", "context": context, "clusterToken": ""}
    answer = running.ask("POST", f"{CLUSTER}/runCommand", sent)
    assert answer.status_code == 202
    where = answer.headers["Location"].removeprefix("https://localhost:8443")
    result = running.ask("GET", where)
    assert result.status_code == 200
    told = result.json()["properties"]
    assert (told["exitCode"], told["logs"]) == (3, "no such pod\n")
    assert told["provisioningState"] == "Succeeded"
    files = {"a/b.yaml": b"kind: Pod"}
    assert said(running, "run_in_cluster") == [(KEY, "kubectl apply -f a/b.yaml", files)]


@pytest.mark.parametrize("context", ["!", base64.b64encode(b"no zip").decode()])
def test_a_context_that_is_no_zip_is_refused(running: Client, context: str) -> None:
    answer = running.ask("POST", f"{CLUSTER}/runCommand", {"command": "x", "context": context})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "InvalidParameter")


@pytest.mark.parametrize(
    ("properties", "target"),
    [
        ({"networkProfile": {"networkPlugin": "azure", "networkPluginMode": "overlay"}},
         "networkProfile.networkPluginMode"),
        ({"networkProfile": {"networkPlugin": "azure", "networkDataplane": "cilium"}},
         "networkProfile.networkDataplane"),
        ({"apiServerAccessProfile": {"enablePrivateCluster": True}},
         "apiServerAccessProfile.enablePrivateCluster"),
        ({"addonProfiles": {"omsagent": {"enabled": True}}}, "addonProfiles.omsagent"),
        ({"aadProfile": {"managed": True}}, "aadProfile"),
    ],
)  # fmt: skip
def test_what_the_lab_has_not_is_refused_by_name(
    document: Client, properties: dict[str, Any], target: str
) -> None:
    answer = document.ask("PUT", CLUSTER, cluster(**properties))
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "FeatureNotSupported")
    assert error["target"] == target


def test_rules_are_asked_before_anything_is_stored(document: Client) -> None:
    body = cluster()
    body["properties"]["agentPoolProfiles"][0]["count"] = 10
    answer = document.ask("PUT", CLUSTER, body)
    assert answer.json()["error"]["code"] == "InsufficientSubnetSize"
    assert document.ask("GET", CLUSTER).status_code == 404
    assert said(document, "put_cluster") == []


def test_a_subnet_in_use_cannot_go(running: Client) -> None:
    answer = running.ask("DELETE", AZURECNI)
    assert answer.json()["error"]["code"] == "InUseSubnetCannotBeDeleted"
    assert running.ask("DELETE", VNET).status_code == 400


def test_a_group_takes_everything_with_it_clusters_first(running: Client) -> None:
    running.lab.said.clear()
    answer = running.ask("DELETE", RG)
    assert running.ask("PUT", VNET, {"location": "eastus"}).json()["error"]["code"] in (
        "ResourceGroupBeingDeleted",
        "ResourceGroupNotFound",
    )
    assert running.done(answer)["status"] == "Succeeded"
    assert [one[0] for one in running.lab.said] == ["delete_cluster", "delete_vnet"]
    assert running.ask("GET", f"{S}/resourcegroups").json() == {"value": []}
    assert running.store.everything() == []


def test_a_group_can_be_deleted_while_things_are_done_in_it_and_twice(document: Client) -> None:
    document.lab.gate.clear()
    created = document.ask("PUT", CLUSTER, cluster())
    first, second = document.ask("DELETE", RG), document.ask("DELETE", RG)
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.headers["Location"] == second.headers["Location"]
    late = document.ask("PUT", f"{AKS}/late", cluster())
    assert late.json()["error"]["code"] == "ResourceGroupBeingDeleted"
    document.run(_open(document))
    assert document.done(created)["status"] == "Succeeded"
    assert document.done(first)["status"] == "Succeeded"
    assert document.lab.clusters() == {}
    assert document.ask("GET", CLUSTER).json()["error"]["code"] == "ResourceGroupNotFound"


async def _open(client: Client) -> None:
    client.lab.gate.set()


def test_a_node_group_is_not_ones_own(running: Client) -> None:
    answer = running.ask("DELETE", NODES)
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "DenyAssignmentAuthorizationFailed"


def test_versions_are_listed_by_minor(document: Client) -> None:
    path = f"{S}/providers/Microsoft.ContainerService/locations/eastus/kubernetesVersions"
    values = document.ask("GET", path).json()["values"]
    assert [one["version"] for one in values] == ["1.20", "1.21"]
    assert values[0]["patchVersions"] == {"1.20.2": {"upgrades": ["1.21.14"]}}


def test_what_it_can_be_upgraded_to(document: Client) -> None:
    document.put(CLUSTER, cluster(kubernetesVersion="1.20.2"))
    told = document.ask("GET", f"{CLUSTER}/upgradeProfiles/default").json()["properties"]
    upgrades = [one["kubernetesVersion"] for one in told["controlPlaneProfile"]["upgrades"]]
    assert upgrades == ["1.21.14"]
    pool = document.ask("GET", f"{POOLS}/nodepool1/upgradeProfiles/default").json()
    assert pool["properties"]["kubernetesVersion"] == "1.20.2"
    available = document.ask("GET", f"{CLUSTER}/availableAgentPoolVersions").json()
    assert len(available["properties"]["agentPoolVersions"]) == 2
