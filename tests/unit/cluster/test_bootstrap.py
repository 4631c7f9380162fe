import asyncio
from dataclasses import replace

import pytest

from podwire.cluster import bootstrap
from podwire.cluster.bootstrap import label_node, node_labels, node_ready, object_path
from podwire.cluster.pki import KUBELET_CLIENT_USER, cluster_leaves
from podwire.model.errors import ApiError, InvalidInputError, UnavailableError
from tests.unit.cluster.specs import API_ADDRESS, SPEC

CORE = {
    "resources": [
        {"name": "services", "kind": "Service", "namespaced": True},
        {"name": "services/status", "kind": "Service", "namespaced": True},
        {"name": "namespaces", "kind": "Namespace", "namespaced": False},
    ]
}


@pytest.mark.parametrize(
    ("kind", "metadata", "path"),
    [
        (
            "Service",
            {"name": "dns", "namespace": "kube-system"},
            "/namespaces/kube-system/services/dns",
        ),
        ("Service", {"name": "nginx"}, "/namespaces/default/services/nginx"),
        ("Namespace", {"name": "x", "namespace": "ignored"}, "/namespaces/x"),
    ],
)
def test_path_in_the_core_group(kind, metadata, path):
    one = {"apiVersion": "v1", "kind": kind, "metadata": metadata}
    assert object_path(one, CORE) == f"/api/v1{path}"


def test_path_in_a_named_group():
    resources = {"resources": [{"name": "deployments", "kind": "Deployment", "namespaced": True}]}
    one = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "nginx"}}
    assert object_path(one, resources) == "/apis/apps/v1/namespaces/default/deployments/nginx"


def test_kind_that_the_api_does_not_know_is_named():
    with pytest.raises(InvalidInputError, match="'Pond' in 'v1'"):
        object_path({"apiVersion": "v1", "kind": "Pond", "metadata": {"name": "x"}}, CORE)


def test_labels_are_those_of_aks():
    labels = node_labels(SPEC, SPEC.pools[0])
    assert labels["kubernetes.io/role"] == "agent"
    assert labels["agentpool"] == "nodepool1"
    assert labels["kubernetes.azure.com/cluster"] == "MC_NetworkLab_azurecni-cluster_eastus"
    assert labels["topology.kubernetes.io/region"] == "eastus"


def test_label_values_are_valid_also_for_long_names():
    long = replace(SPEC, resource_group="NetworkLab", name="a" * 49 + "-b")
    value = node_labels(long, SPEC.pools[0])["kubernetes.azure.com/cluster"]
    assert len(value) <= 63
    assert value[-1].isalnum()


def test_binding_is_for_the_certificate_that_the_api_server_holds():
    holder = next(
        one for one in cluster_leaves(SPEC, API_ADDRESS) if one.name == "apiserver-kubelet-client"
    )
    assert holder.common_name == KUBELET_CLIENT_USER
    assert bootstrap.KUBELET_ADMIN["subjects"][0]["name"] == KUBELET_CLIENT_USER


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({}, (False, "its kubelet has not reported yet")),
        ({"conditions": [{"type": "Ready", "status": "True", "message": "ok"}]}, (True, "ok")),
        (
            {
                "conditions": [
                    {"type": "PIDPressure", "status": "True", "message": "full"},
                    {"type": "Ready", "status": "Unknown", "message": "no cni"},
                ]
            },
            (False, "no cni"),
        ),
    ],
)
def test_ready(status, expected):
    assert node_ready({"status": status}) == expected


class Api:
    """An API that plays given outcomes for every call of merge."""

    def __init__(self, *outcomes):
        self.outcomes = list(outcomes)

    async def merge(self, path, body):
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        self.done = (path, body)


def refuse(status):
    return ApiError("no", status=status)


def test_label_waits_for_the_node_and_bears_an_api_server_that_restarts():
    api = Api(refuse(404), UnavailableError("away"), refuse(503), {})
    asyncio.run(label_node(api, "n1", {"a": "b"}))
    assert api.done == ("/api/v1/nodes/n1", {"metadata": {"labels": {"a": "b"}}})


def test_label_gives_up_on_a_refusal_at_once():
    with pytest.raises(ApiError):
        asyncio.run(label_node(Api(refuse(422)), "n1", {}))


def test_label_says_which_node_never_came():
    with pytest.raises(UnavailableError, match="node n1 did not register"):
        asyncio.run(label_node(Api(refuse(404)), "n1", {}, timeout=0.1))
