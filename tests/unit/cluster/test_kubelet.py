"""The kubelet's configuration and flags, old and new."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from podwire.cluster.kubelet import (
    KubeletSecrets,
    KubeletSettings,
    kubelet_config,
    kubelet_flags,
    kubelet_steps,
    node_labels,
)
from podwire.cluster.node_root import File
from podwire.model.errors import InvalidInputError
from tests.unit.cluster import specs

SETTINGS = KubeletSettings(
    "aks-nodepool1-12345678-vmss000000",
    "10.220.2.4",
    "v1.20.2",
    "10.200.0.10",
    labels={"b": "2", "agentpool": "nodepool1"},
)
SECRETS = KubeletSecrets("KUBECONFIG", "CA", "CERTIFICATE", "KEY")
SPEC = replace(specs.SPEC, location="westeurope")


def test_nobody_gets_in_without_a_certificate_or_a_token_that_the_api_server_approves() -> None:
    config = kubelet_config(SETTINGS)
    assert config["authentication"]["anonymous"] == {"enabled": False}
    assert config["authentication"]["webhook"]["enabled"] is True
    assert config["authorization"] == {"mode": "Webhook"}
    assert config["readOnlyPort"] == 0
    assert config["healthzBindAddress"] == "127.0.0.1"


def test_pods_get_the_clusters_dns_and_the_node_its_limit() -> None:
    config = kubelet_config(replace(SETTINGS, max_pods=7))
    assert config["clusterDNS"] == ["10.200.0.10"]
    assert config["clusterDomain"] == "cluster.local"
    assert config["maxPods"] == 7
    assert (config["cgroupDriver"], config["cgroupRoot"]) == ("cgroupfs", "/")


@pytest.mark.parametrize(
    ("version", "said"),
    [("v1.20.2", True), ("1.26.15", True), ("v1.27.0", False), ("1.30.1", False)],
)
def test_the_remote_runtime_is_a_choice_only_for_old_kubelets(version: str, said: bool) -> None:
    flags = kubelet_flags(replace(SETTINGS, version=version))
    assert ("--container-runtime=remote" in flags) is said
    assert "--container-runtime-endpoint=unix:///run/containerd/containerd.sock" in flags


def test_the_node_says_who_it_is() -> None:
    flags = kubelet_flags(SETTINGS)
    assert "--hostname-override=aks-nodepool1-12345678-vmss000000" in flags
    assert "--node-ip=10.220.2.4" in flags
    assert "--node-labels=agentpool=nodepool1,b=2" in flags


@pytest.mark.parametrize("version", ["", "1", "2.0", "v1.x", "latest"])
def test_a_version_that_is_none_is_refused(version: str) -> None:
    with pytest.raises(InvalidInputError, match="version"):
        kubelet_flags(replace(SETTINGS, version=version))


def test_labels_are_such_as_node_restriction_lets_a_kubelet_set() -> None:
    labels = node_labels(SPEC, SPEC.pools[0])
    assert labels["agentpool"] == "nodepool1"
    assert labels["kubernetes.azure.com/cluster"] == "MC_NetworkLab_azurecni-cluster_westeurope"
    assert labels["topology.kubernetes.io/region"] == "westeurope"
    assert labels["node.kubernetes.io/instance-type"]
    assert not any(one.startswith(("kubernetes.io/", "node-role.")) for one in labels)


def test_what_is_secret_only_root_reads() -> None:
    files = {one.path: one for one in kubelet_steps(SETTINGS, Path("/c/kubelet"), SECRETS)
             if isinstance(one, File)}  # fmt: skip
    modes = {one.text: one.mode for one in files.values()}
    assert (modes["KEY"], modes["KUBECONFIG"], modes["CA"]) == (0o600, 0o600, 0o644)
    config = yaml.safe_load(files["/etc/kubernetes/kubelet.yaml"].text)
    assert files[config["tlsPrivateKeyFile"]].text == "KEY"
    assert files[config["tlsCertFile"]].text == "CERTIFICATE"
    assert files[config["authentication"]["x509"]["clientCAFile"]].text == "CA"
    assert "KEY" not in repr(SECRETS).replace("KUBECONFIG", "")


def test_standalone_needs_no_api_server() -> None:
    flags = kubelet_flags(SETTINGS, standalone=True)
    assert not any(one.startswith("--kubeconfig") for one in flags)
    config = kubelet_config(SETTINGS, standalone=True)
    assert config["authorization"] == {"mode": "AlwaysAllow"}
    assert config["authentication"]["anonymous"] == {"enabled": False}
