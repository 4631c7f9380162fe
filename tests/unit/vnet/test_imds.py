from __future__ import annotations

import json

import pytest

from podwire.vnet.http import Request
from podwire.vnet.imds import imds

VERSION = {"api-version": "2021-02-01"}


def ask(
    directory,
    path="/metadata/instance",
    query=VERSION,
    headers=(("metadata", "true"),),
    client="10.220.2.4",
    method="GET",
):
    return imds(directory)(Request(method, path, query, dict(headers), client))


def test_the_instance_is_compute_and_network(directory):
    answer = ask(directory)
    assert answer.status == 200
    found = json.loads(answer.body)
    compute = found["compute"]
    assert compute["name"] == "aks-nodepool1-12345678-vmss000000"
    assert compute["vmScaleSetName"] == "aks-nodepool1-12345678-vmss"
    assert compute["resourceGroupName"] == "MC_lab"
    assert compute["location"] == "here"
    assert compute["osType"] == "Linux"
    assert compute["subscriptionId"] == "11111111-2222-3333-4444-555555555555"
    assert len(compute["vmId"]) == 36
    (interface,) = found["network"]["interface"]
    assert interface["macAddress"] == "000D3A8A50DA"
    assert interface["ipv4"]["subnet"] == [{"address": "10.220.2.0", "prefix": "24"}]
    addresses = [one["privateIpAddress"] for one in interface["ipv4"]["ipAddress"]]
    assert addresses == ["10.220.2.4", "10.220.2.5", "10.220.2.6"]


def test_the_resource_id_names_scale_set_and_instance(directory):
    compute = json.loads(ask(directory, client="10.220.2.36").body)["compute"]
    assert compute["resourceId"].endswith(
        "/resourceGroups/MC_lab/providers/Microsoft.Compute"
        "/virtualMachineScaleSets/aks-nodepool1-12345678-vmss/virtualMachines/10"
    )


@pytest.mark.parametrize(
    ("change", "status", "says"),
    [
        ({"headers": ()}, 400, "metadata header"),
        ({"headers": (("metadata", "false"),)}, 400, "metadata header"),
        ({"headers": (("metadata", "true"), ("x-forwarded-for", "1.2.3.4"))}, 400, "proxy"),
        ({"query": {}}, 400, "api-version"),
        ({"query": {"api-version": "latest"}}, 400, "api-version"),
        ({"method": "POST"}, 405, "Only GET"),
        ({"client": "10.220.2.200"}, 404, "10.220.2.200"),
    ],
)
def test_what_is_refused_says_why(directory, change, status, says):
    answer = ask(directory, **change)
    assert answer.status == status
    assert says in json.loads(answer.body)["error"]


@pytest.mark.parametrize(
    "path", ["/", "/latest/api/token", "/latest/meta-data/", "/computeMetadata/v1/", "/metadata"]
)
def test_another_clouds_paths_are_not_found_whatever_the_headers(directory, path):
    assert ask(directory, path=path, headers=(), query={}).status == 404


def test_a_branch_is_json_and_a_leaf_can_be_text(directory):
    branch = ask(directory, path="/metadata/instance/network/interface/0/ipv4/subnet")
    assert json.loads(branch.body) == [{"address": "10.220.2.0", "prefix": "24"}]
    text = {**VERSION, "format": "text"}
    assert ask(directory, path="/metadata/instance/compute/osType", query=text).body == "Linux"
    keys = ask(directory, path="/metadata/instance/network/interface/0", query=text).body
    assert keys.split("\n") == ["ipv4", "ipv6", "macAddress"]


@pytest.mark.parametrize("part", ["compute/nothing", "network/interface/7", "compute/name/x"])
def test_a_part_that_is_not_there_is_not_found(directory, part):
    assert ask(directory, path=f"/metadata/instance/{part}").status == 404
