"""Requests that nobody would send, made of the endpoint's OpenAPI document. Refused, no bug."""

from __future__ import annotations

import copy
from typing import Any
from urllib.parse import quote

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from podwire.arm.openapi import document
from tests.unit.arm.client import CLUSTER, NET, SUBSCRIPTION, VNET, Client, cluster

NAMES = {
    "subscription": st.just(SUBSCRIPTION),
    "group": st.sampled_from(["NetworkLab", "MC_NetworkLab_azurecni-cluster_eastus", "none"]),
    "name0": st.sampled_from(["aksvnet", "azurecni-cluster", "new"]) | st.text(max_size=8),
    "name1": st.sampled_from(["azurecni", "nodepool1", "0"]) | st.text(max_size=8),
    "name2": st.sampled_from(["default", "x"]),
}
_QUICK = settings(
    max_examples=1,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda some: (
        st.lists(some, max_size=3) | st.dictionaries(st.text(max_size=5), some, max_size=3)
    ),
    max_leaves=6,
)


def sent(client: Client, method: str, path: str, body: Any, headers: dict[str, str]) -> None:
    clean = {
        name: value.encode("latin-1", "replace").decode("latin-1")
        for name, value in headers.items()
        if value.isprintable() and value.isascii()
    }
    answer = client.ask(method, path, body, **clean)
    assert answer.status_code < 500, (method, path, body, answer.text)
    if answer.status_code >= 400 and method != "HEAD":
        assert answer.headers["Content-Type"].startswith("application/json"), (method, path)
        assert answer.json()["error"]["code"]


def test_no_request_of_the_documents_own_shapes_is_a_bug(running: Client) -> None:
    schema = schemathesis.openapi.from_dict(document(running.dispatcher.kinds))
    tried = 0
    for found in schema.get_all_operations():
        operation = found.ok()

        @given(case=operation.as_strategy(), names=st.fixed_dictionaries(NAMES))
        @_QUICK
        def once(case: Any, names: dict[str, str]) -> None:
            path = case.path
            for name, value in names.items():
                path = path.replace(f"{{{name}}}", quote(value, safe="") or "x")
            query = "&".join(f"{k}={quote(str(v))}" for k, v in (case.query or {}).items())
            body = case.body if isinstance(case.body, dict | list | str | int) else None
            sent(running, case.method, f"{path}?{query}", body, dict(case.headers or {}))

        once()
        tried += 1
    assert tried > 60


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "POST", "DELETE"])
def test_no_path_and_no_body_is_a_bug(running: Client, method: str) -> None:
    words = st.sampled_from(
        ["subscriptions", SUBSCRIPTION, "resourceGroups", "providers", "NetworkLab",
         "Microsoft.Network", "Microsoft.ContainerService", "Microsoft.Compute",
         "virtualNetworks", "managedClusters", "azurecni-cluster", "subnets", "agentPools",
         "Microsoft.Authorization", "roleAssignments", "locations", "operations", "resources"]
    )  # fmt: skip

    @given(st.lists(words | st.text(max_size=4), max_size=9), JSON)
    @settings(_QUICK, max_examples=50)
    def once(path: list[str], body: Any) -> None:
        whole = "/".join(quote(one, safe="") for one in path).lstrip("/")
        sent(running, method, f"/{whole}", body, {})

    once()


SUBNET = {"name": "s", "properties": {"addressPrefix": "10.1.0.0/24"}}
REMOTE = {"properties": {"remoteVirtualNetwork": {"id": VNET}}}
ROUTE = {
    "name": "r",
    "properties": {
        "addressPrefix": "10.9.0.0/16",
        "nextHopType": "VirtualAppliance",
        "nextHopIpAddress": "10.220.3.4",
    },
}
RULE = {
    "name": "r",
    "properties": {
        "priority": 100,
        "direction": "Inbound",
        "access": "Deny",
        "protocol": "Tcp",
        "sourceAddressPrefixes": ["10.0.0.0/8"],
        "destinationAddressPrefix": "*",
        "sourcePortRange": "*",
        "destinationPortRanges": ["80-90"],
    },
}
GOOD: dict[str, dict[str, Any]] = {
    CLUSTER: cluster(),
    f"{CLUSTER}/agentPools/new": {"properties": {"count": 1, "upgradeSettings": {"maxSurge": "1"}}},
    f"{NET}/virtualNetworks/new": {
        "location": "eastus",
        "properties": {
            "addressSpace": {"addressPrefixes": ["10.1.0.0/16"]},
            "subnets": [SUBNET],
            "virtualNetworkPeerings": [{"name": "p", **REMOTE}],
        },
    },
    f"{VNET}/subnets/more": {"properties": {"addressPrefixes": ["10.220.9.0/24"]}},
    f"{NET}/routeTables/new": {"location": "eastus", "properties": {"routes": [ROUTE]}},
    f"{NET}/networkSecurityGroups/new": {
        "location": "eastus",
        "properties": {"securityRules": [RULE]},
    },
}


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.split("/")[-2])
def test_no_broken_body_is_a_bug(running: Client, path: str) -> None:
    """A good body with one value replaced by any other."""

    @given(st.data())
    @settings(_QUICK, max_examples=20)
    def once(data: st.DataObject) -> None:
        body = copy.deepcopy(GOOD[path])
        holder, key = data.draw(st.sampled_from(list(_places(body))))
        holder[key] = data.draw(JSON)
        sent(running, "PUT", path, body, {})

    once()


def _places(value: Any) -> Any:
    """Every place in nested JSON, as (what holds it, its key)."""
    keys = (
        value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    )
    for key in keys:
        yield value, key
        yield from _places(value[key])
