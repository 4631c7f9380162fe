"""Each request of the table gets its exact answer, and its nearest valid neighbour gets none."""

from __future__ import annotations

from pathlib import Path

import pytest

from podwire.arm.errors import ArmError
from podwire.arm.rules import check_delete, check_put, check_upgrade
from podwire.model.errors import InvalidInputError
from tests.unit.arm.rules.refusals import Case, ask, cases, page
from tests.unit.arm.rules.small_world import AKS, NET, TEMPLATES, SmallWorld

CASES = cases()
DOCS = Path(__file__).parents[4] / "docs" / "azure-errors.md"
each = pytest.mark.parametrize("case", CASES, ids=[f"{one.section}: {one.title}" for one in CASES])


@each
def test_the_request_is_refused_as_azure_does(case: Case) -> None:
    refused = ask(case.raw)
    assert refused is not None
    assert (refused.status, refused.code, refused.message, refused.target) == case.expected
    assert refused.details == case.details


@each
def test_its_nearest_neighbour_is_accepted(case: Case) -> None:
    assert ask(case.neighbour()) is None


def test_what_users_look_up_is_what_is_tested() -> None:
    assert DOCS.read_text() == page(), "run: python -m tests.unit.arm.rules.refusals > docs/..."


@pytest.mark.parametrize("kind", TEMPLATES)
@pytest.mark.parametrize("wrong", [7, "text", [1], {"a": 1}, True, [{"properties": 3}]])
def test_a_body_of_any_shape_is_refused_or_accepted_but_never_an_accident(
    kind: str, wrong: object
) -> None:
    parent = {
        "subnets": "virtualNetworks/aksvnet/",
        "virtualnetworkpeerings": "virtualNetworks/aksvnet/",
        "securityrules": "networkSecurityGroups/web/",
        "routes": "routeTables/rt/",
    }.get(kind, "")
    resource_id = f"{NET}/{parent}{kind}/new"
    if kind == "managedclusters":
        resource_id = f"{AKS}/new"
    if kind == "agentpools":
        resource_id = f"{AKS}/c1/agentPools/new"
    if kind == "resourcegroups":
        resource_id = "/subscriptions/SUB/resourceGroups/new"
    network_kind = f"microsoft.network/{parent.split('/')[0].lower()}/{kind}".replace("//", "/")
    kinds = {
        "managedclusters": "microsoft.containerservice/managedclusters",
        "agentpools": "microsoft.containerservice/managedclusters/agentpools",
        "resourcegroups": "microsoft.resources/resourcegroups",
    }
    properties = TEMPLATES[kind].get("properties", {})
    for name in [*properties, "properties"]:
        whole = name == "properties"
        body = {
            **TEMPLATES[kind],
            "properties": wrong if whole else {**properties, name: wrong},
        }
        try:
            check_put(kinds.get(kind, network_kind), resource_id, None, body, SmallWorld())
        except (ArmError, InvalidInputError):
            continue


def test_a_type_without_rules_is_only_arms_business() -> None:
    world = SmallWorld()
    disk = "/subscriptions/SUB/resourceGroups/NetworkLab/providers/Microsoft.Compute/disks/one"
    check_put("Microsoft.Compute/disks", disk, None, {}, world)
    check_delete("Microsoft.Compute/disks", disk, {}, world)
    with pytest.raises(ArmError, match="ResourceGroupNotFound"):
        check_put("Microsoft.Compute/disks", disk.replace("Lab", "No"), None, {}, world)


def test_nodes_are_replaced_only_where_the_surge_node_fits() -> None:
    world = SmallWorld()
    check_upgrade(f"{AKS}/c1", world)
    cluster = world.get(f"{AKS}/c1")
    assert cluster is not None
    cluster["properties"]["agentPoolProfiles"][0]["count"] = 7
    with pytest.raises(InvalidInputError, match="not have enough capacity for 31 IP addresses"):
        check_upgrade(f"{AKS}/c1", world)
