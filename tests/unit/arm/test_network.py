"""Virtual networks and what belongs to them, from PUT to the value that the lab builds."""

from __future__ import annotations

from podwire.model.errors import PodwireError
from podwire.model.route_table import NextHop, Route, RouteTable
from podwire.model.security import Access, Direction, Protocol, SecurityGroup, SecurityRule
from podwire.model.vnet import Subnet, VNet
from tests.unit.arm.client import NET, RG, VNET, Client

SUBNETS = (
    Subnet("kubenet", "10.220.1.0/24"),
    Subnet("azurecni", "10.220.2.0/24"),
    Subnet("services", "10.220.3.0/24"),
)


def test_the_documents_vnet_is_built(document: Client) -> None:
    vnet = VNet("aksvnet", "NetworkLab", ("10.220.0.0/16",), SUBNETS)
    assert document.lab.vnets() == {"networklab/aksvnet": vnet}
    body = document.ask("GET", VNET).json()
    assert [one["id"] for one in body["properties"]["subnets"]] == [
        f"{VNET}/subnets/{one.name}" for one in SUBNETS
    ]


def test_states_are_told_as_azure_tells_them(client: Client) -> None:
    client.ask("PUT", RG, {"location": "eastus"})
    body = {
        "location": "East US",
        "properties": {"addressSpace": {"addressPrefixes": ["10.1.0.0/16"]}},
    }
    first = client.ask("PUT", VNET, body)
    assert first.status_code == 201
    assert first.json()["properties"]["provisioningState"] == "Creating"
    assert client.done(first)["status"] == "Succeeded"
    assert client.ask("GET", VNET).json()["properties"]["provisioningState"] == "Succeeded"
    assert client.ask("GET", VNET).json()["location"] == "eastus"
    second = client.ask("PUT", VNET, body)
    assert (second.status_code, second.json()["properties"]["provisioningState"]) == (
        200,
        "Updating",
    )
    client.done(second)


def test_ids_know_no_case_and_keep_theirs(document: Client) -> None:
    answer = document.ask("GET", VNET.upper().replace("SUBSCRIPTIONS", "Subscriptions"))
    assert answer.json()["id"] == VNET
    again = document.put(
        VNET.lower(), {"properties": {"addressSpace": {"addressPrefixes": ["10.220.0.0/16"]}}}
    )
    assert (again["id"], again["name"]) == (VNET, "aksvnet")
    assert len(again["properties"]["subnets"]) == 3


def test_a_route_table_and_a_group_reach_the_subnet(document: Client) -> None:
    table, group = f"{NET}/routeTables/rt", f"{NET}/networkSecurityGroups/web"
    document.put(table, {"location": "eastus"})
    hop = {"addressPrefix": "10.9.0.0/16", "nextHopType": "virtualAppliance"}
    document.put(f"{table}/routes/away", {"properties": {**hop, "nextHopIpAddress": "10.220.3.4"}})
    document.put(group, {"location": "eastus"})
    rule = {
        "priority": 100,
        "direction": "Inbound",
        "access": "Deny",
        "protocol": "Tcp",
        "sourceAddressPrefix": "*",
        "sourcePortRange": "*",
        "destinationAddressPrefixes": ["10.220.3.0/25", "10.220.3.128/25"],
        "destinationPortRange": "80-90",
    }
    document.put(f"{group}/securityRules/http", {"properties": rule})
    document.put(
        f"{VNET}/subnets/services",
        {
            "properties": {
                "addressPrefix": "10.220.3.0/24",
                "routeTable": {"id": table},
                "networkSecurityGroup": {"id": group},
            }
        },
    )
    have = document.lab.vnets()["networklab/aksvnet"].subnet("services")
    assert have.route_table == RouteTable(
        "rt", (Route("away", "10.9.0.0/16", NextHop.VIRTUAL_APPLIANCE, "10.220.3.4"),)
    )
    both = ("10.220.3.0/25", "10.220.3.128/25")
    assert have.security == SecurityGroup(
        "web",
        (
            SecurityRule(
                "http",
                100,
                Direction.INBOUND,
                Access.DENY,
                Protocol.TCP,
                destinations=both,
                destination_ports=("80-90",),
            ),
        ),
    )
    users = document.ask("GET", table).json()["properties"]["subnets"]
    assert users == [{"id": f"{VNET}/subnets/services"}]
    document.ask("DELETE", f"{group}/securityRules/http")
    document.put(
        f"{table}/routes/more",
        {"properties": {"addressPrefix": "10.8.0.0/16", "nextHopType": "None"}},
    )
    have = document.lab.vnets()["networklab/aksvnet"].subnet("services")
    assert have.security == SecurityGroup("web")
    assert have.route_table is not None
    assert len(have.route_table.routes) == 2


def test_a_peering_is_connected_when_both_sides_have_it(document: Client) -> None:
    hub = f"{NET}/virtualNetworks/hub"
    space = {"addressSpace": {"addressPrefixes": ["10.50.0.0/16"]}}
    document.put(hub, {"location": "eastus", "properties": space})
    there = document.put(
        f"{VNET}/virtualNetworkPeerings/to-hub",
        {"properties": {"remoteVirtualNetwork": {"id": hub}}},
    )
    assert there["properties"]["peeringState"] == "Initiated"
    back = document.put(
        f"{hub}/virtualNetworkPeerings/back",
        {"properties": {"remoteVirtualNetwork": {"id": VNET}}},
    )
    assert back["properties"]["peeringState"] == "Connected"
    (peering,) = document.lab.vnets()["networklab/aksvnet"].peerings
    assert (peering.connected, peering.remote_prefixes) == (True, ("10.50.0.0/16",))


def test_peerings_in_a_vnets_own_body_are_held_to_the_same_rules(document: Client) -> None:
    hub = f"{NET}/virtualNetworks/hub"

    def body(prefix: str, *remotes: str) -> dict[str, object]:
        peerings = [
            {"name": f"p{at}", "properties": {"remoteVirtualNetwork": {"id": one}}}
            for at, one in enumerate(remotes)
        ]
        space = {"addressSpace": {"addressPrefixes": [prefix]}}
        return {"location": "eastus", "properties": {**space, "virtualNetworkPeerings": peerings}}

    for sent, code in (
        (body("10.220.128.0/17", VNET), "VnetAddressSpacesOverlap"),
        (body("10.50.0.0/16", VNET, VNET), "AnotherPeeringAlreadyReferencesRemoteVnet"),
        (body("10.50.0.0/16", f"{NET}/virtualNetworks/none"), "InvalidResourceReference"),
    ):
        assert document.ask("PUT", hub, sent).json()["error"]["code"] == code
    made = document.put(hub, body("10.50.0.0/16", VNET))
    assert document.put(hub, made)["properties"]["virtualNetworkPeerings"][0]["name"] == "p0"


def test_a_stale_etag_changes_nothing(document: Client) -> None:
    etag = document.ask("GET", VNET).headers["ETag"]
    subnet = {"properties": {"addressPrefix": "10.220.9.0/24"}}
    document.put(f"{VNET}/subnets/more", subnet)
    body = {
        "location": "eastus",
        "properties": {"addressSpace": {"addressPrefixes": ["10.0.0.0/8"]}},
    }
    answer = document.ask("PUT", VNET, body, If_Match=etag)
    assert answer.status_code == 412
    assert answer.json()["error"]["code"] == "PreconditionFailed"
    answer = document.ask("PUT", VNET, body, If_None_Match="*")
    assert answer.status_code == 412
    fresh = document.ask("GET", VNET).headers["ETag"]
    assert document.ask("DELETE", f"{VNET}/subnets/more", If_Match=fresh).status_code == 202


def test_one_operation_at_a_time(document: Client) -> None:
    document.lab.gate.clear()
    subnet = {"properties": {"addressPrefix": "10.220.9.0/24"}}
    began = document.ask("PUT", f"{VNET}/subnets/more", subnet)
    for method, path in (("PUT", f"{VNET}/subnets/other"), ("DELETE", VNET)):
        answer = document.ask(method, path, {"properties": {"addressPrefix": "10.220.8.0/24"}})
        assert answer.status_code == 409
        assert answer.json()["error"]["code"] == "AnotherOperationInProgress"
    document.lab.gate.set()
    assert document.done(began)["status"] == "Succeeded"


def test_what_the_lab_cannot_is_the_operations_failure(document: Client) -> None:
    document.lab.failure = PodwireError("no kernel for that")
    subnet = {"properties": {"addressPrefix": "10.220.9.0/24"}}
    status = document.done(document.ask("PUT", f"{VNET}/subnets/more", subnet))
    assert status["status"] == "Failed"
    assert status["error"] == {"code": "OperationNotAllowed", "message": "no kernel for that"}
    assert document.ask("GET", VNET).json()["properties"]["provisioningState"] == "Failed"


def test_deleting_a_vnet_takes_it_out_of_the_lab(document: Client) -> None:
    answer = document.ask("DELETE", VNET)
    assert answer.status_code == 202
    assert document.done(answer)["status"] == "Succeeded"
    where = answer.headers["Location"].removeprefix("https://localhost:8443")
    assert document.ask("GET", where).status_code == 204
    assert document.ask("GET", VNET).status_code == 404
    assert document.ask("DELETE", VNET).status_code == 204
    assert document.lab.vnets() == {}


def test_a_refusal_stores_nothing(document: Client) -> None:
    answer = document.ask(
        "PUT", f"{VNET}/subnets/out", {"properties": {"addressPrefix": "10.9.0.0/24"}}
    )
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "NetcfgSubnetRangeOutsideVnet")
    assert document.ask("GET", f"{VNET}/subnets/out").status_code == 404


def test_a_value_of_the_wrong_type_is_named(document: Client) -> None:
    answer = document.ask("PUT", f"{VNET}/subnets/x", {"properties": {"addressPrefix": 10}})
    error = answer.json()["error"]
    assert (error["code"], error["target"]) == ("InvalidRequestFormat", "properties.addressPrefix")


def test_a_template_is_a_deployment_that_fails(document: Client) -> None:
    path = f"{RG}/providers/Microsoft.Resources/deployments/lb"
    begun = document.ask("PUT", path, {"properties": {"mode": "Incremental", "template": {}}})
    assert begun.status_code == 201
    assert document.done(begun)["error"]["code"] == "FeatureNotSupported"
    assert document.ask("GET", path).status_code == 404
    assert document.ask("POST", f"{path}/validate", {}).json()["error"]["code"] == (
        "FeatureNotSupported"
    )
