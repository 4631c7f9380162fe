"""The objects that a cluster starts with, read back as the API server reads them."""

from __future__ import annotations

from typing import Any

import yaml

from podwire.cluster.images.recipes import Materials, recipes
from podwire.cluster.ip_masq import config_map
from podwire.cluster.manifests import (
    CLUSTER_DNS_IMAGE,
    cluster_dns_manifest,
    ip_masq_agent_manifest,
    nginx_manifest,
)


def by_kind(text: str) -> dict[str, Any]:
    return {one["kind"]: one for one in yaml.safe_load_all(text)}


def test_cluster_dns_is_reached_at_the_clusters_address() -> None:
    found = by_kind(cluster_dns_manifest("10.200.0.10", "cluster.local"))
    assert found["Service"]["spec"]["clusterIP"] == "10.200.0.10"
    assert found["Service"]["metadata"]["name"] == "kube-dns"
    assert found["Service"]["metadata"]["namespace"] == "kube-system"
    pod = found["Deployment"]["spec"]["template"]
    assert found["Service"]["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    container = pod["spec"]["containers"][0]
    assert container["args"] == ["--domain", "cluster.local", "--address", "10.200.0.10"]
    assert pod["spec"]["dnsPolicy"] == "Default"


def test_cluster_dns_may_read_what_it_watches_and_nothing_else() -> None:
    found = by_kind(cluster_dns_manifest("10.200.0.10"))
    (rule,) = found["ClusterRole"]["rules"]
    assert set(rule["resources"]) == {"services", "endpoints", "namespaces"}
    assert set(rule["verbs"]) == {"list", "watch"}
    account = found["ServiceAccount"]["metadata"]
    subject = found["ClusterRoleBinding"]["subjects"][0]
    assert (subject["name"], subject["namespace"]) == (account["name"], account["namespace"])
    name = found["Deployment"]["spec"]["template"]["spec"]["serviceAccountName"]
    assert name == account["name"]


def test_the_images_are_ones_that_are_built(tmp_path: Any) -> None:
    made = Materials(tmp_path, tmp_path, "python3", {}, "1")
    built = {name for recipe in recipes(made) for name in recipe.names}
    pod = by_kind(ip_masq_agent_manifest())["DaemonSet"]["spec"]["template"]["spec"]
    assert {CLUSTER_DNS_IMAGE, pod["containers"][0]["image"]} <= built


def test_the_agent_is_on_every_node_and_may_change_its_firewall_alone() -> None:
    found = by_kind(ip_masq_agent_manifest())
    pod = found["DaemonSet"]["spec"]["template"]["spec"]
    assert pod["hostNetwork"]
    assert pod["tolerations"] == [{"operator": "Exists"}]
    (container,) = pod["containers"]
    assert container["securityContext"]["capabilities"] == {"drop": ["all"], "add": ["NET_ADMIN"]}
    (volume,) = pod["volumes"]
    assert volume["configMap"] == {
        "name": config_map(())["metadata"]["name"],
        "optional": True,
    }
    rules = found["Role"]["rules"]
    assert [(one["resources"], one["verbs"]) for one in rules] == [
        (["configmaps"], ["get"]),
        (["events"], ["create"]),
    ]


def test_nginx_runs_once_per_node_behind_its_service() -> None:
    found = by_kind(nginx_manifest())
    service, deployment = found["Service"]["spec"], found["Deployment"]["spec"]
    assert service["selector"] == {"run": "nginx"}
    assert [(one["port"], one["targetPort"]) for one in service["ports"]] == [(80, 80)]
    assert deployment["replicas"] == 3
    pod = deployment["template"]
    assert pod["metadata"]["labels"] == deployment["selector"]["matchLabels"] == {"run": "nginx"}
    (container,) = pod["spec"]["containers"]
    assert (container["name"], container["image"]) == ("nginx", "nginx")
    affinity = pod["spec"]["affinity"]["podAntiAffinity"]
    (rule,) = affinity["requiredDuringSchedulingIgnoredDuringExecution"]
    assert rule["topologyKey"] == "kubernetes.io/hostname"
    assert rule["labelSelector"]["matchLabels"] == {"run": "nginx"}
