"""A user's own NICs and public IPs: the addresses that they hold, and who else notices."""

from __future__ import annotations

from typing import Any

from podwire.model.load_balancer import Frontend, LoadBalancer
from tests.unit.arm.client import AKS, AZURECNI, CLUSTER, NET, NODES, RG, VNET, Client, S, cluster

NIC, ADDRESS = f"{NET}/networkInterfaces/nic", f"{NET}/publicIPAddresses/web"


def nic(*addresses: str, subnet: str = AZURECNI, **properties: Any) -> dict[str, Any]:
    """With a configuration for each address; "" for any."""
    parts = [
        {
            "name": f"ip{at}",
            "properties": {
                "subnet": {"id": subnet},
                **({"privateIPAddress": one} if one else {}),
                "privateIPAllocationMethod": "Static" if one else "Dynamic",
                **properties,
            },
        }
        for at, one in enumerate(addresses)
    ]
    return {"location": "eastus", "properties": {"ipConfigurations": parts}}


def addresses(body: dict[str, Any]) -> list[str]:
    parts = body["properties"]["ipConfigurations"]
    return [one["properties"]["privateIPAddress"] for one in parts]


def code(client: Client, path: str, body: Any) -> str:
    answer = client.ask("PUT", path, body)
    return str(answer.json()["error"]["code"])


def test_a_nic_has_the_lowest_free_addresses_and_keeps_them(running: Client) -> None:
    body = running.put(NIC, nic("", "10.220.2.200"))
    assert addresses(body) == ["10.220.2.97", "10.220.2.200"], "after three nodes of 31"
    assert body["properties"]["macAddress"].startswith("00-0D-3A-")
    assert addresses(running.put(NIC, body)) == addresses(body)
    fewer = {**body["properties"], "ipConfigurations": body["properties"]["ipConfigurations"][1:]}
    assert addresses(running.put(NIC, {**body, "properties": fewer})) == ["10.220.2.200"]
    assert addresses(running.put(f"{NIC}2", nic(""))) == ["10.220.2.97"], "it is free again"


def test_what_a_nic_holds_nobody_else_gets(running: Client) -> None:
    running.put(NIC, nic("10.220.2.150"))
    other = f"{NIC}2"
    assert code(running, other, nic("10.220.2.150")) == "PrivateIPAddressIsAllocated"
    assert code(running, other, nic("10.220.2.4")) == "PrivateIPAddressIsAllocated", "a node's"
    assert code(running, other, nic("10.220.2.3")) == "PrivateIPAddressInReservedRange"
    assert running.ask("DELETE", AZURECNI).json()["error"]["code"] == "InUseSubnetCannotBeDeleted"
    assert running.done(running.ask("DELETE", NIC))["status"] == "Succeeded"
    assert addresses(running.put(other, nic("10.220.2.150"))) == ["10.220.2.150"]


def test_it_counts_when_a_cluster_is_sized(document: Client) -> None:
    body = cluster()
    body["properties"]["agentPoolProfiles"][0]["count"] = 8
    document.put(NIC, nic("", "", "", ""))
    assert code(document, CLUSTER, body) == "SubnetIsFull", "248 and 4 of 251"
    document.put(NIC, nic("", "", ""))
    document.put(CLUSTER, body)


def test_what_the_lab_has_not_is_refused_by_name(document: Client) -> None:
    assert code(document, NIC, {"location": "eastus"}) == "InvalidRequestFormat"
    assert code(document, NIC, nic("", privateIPAddressVersion="IPv6")) == "FeatureNotSupported"
    pools = [{"id": f"{NET}/loadBalancers/lb/backendAddressPools/pool"}]
    balanced = nic("", loadBalancerBackendAddressPools=pools)
    assert code(document, NIC, balanced) == "FeatureNotSupported"
    for properties in ({"publicIPAddressVersion": "IPv6"}, {"dnsSettings": {"fqdn": "x"}}):
        body = {"location": "eastus", "properties": properties}
        assert code(document, ADDRESS, body) == "FeatureNotSupported"


def test_nothing_is_in_effect_where_no_machine_is(document: Client) -> None:
    document.put(NIC, nic(""))
    answer = document.ask("POST", f"{NIC}/effectiveRouteTable")
    assert answer.json()["error"]["code"] == "NetworkInterfaceNotAttached"


def test_nodes_nics_are_the_clusters(running: Client) -> None:
    nics = f"{NODES}/providers/Microsoft.Network/networkInterfaces"
    (first, *_) = running.ask("GET", nics).json()["value"]
    assert running.ask("DELETE", first["id"]).status_code == 403
    running.put(NIC, nic(""))
    listed = running.ask("GET", f"{S}/providers/Microsoft.Network/networkInterfaces").json()
    assert len(listed["value"]) == 4


def test_a_public_ip_has_an_address_which_a_service_can_use(running: Client) -> None:
    body = running.put(ADDRESS, {"location": "eastus", "properties": {}})
    address = body["properties"]["ipAddress"]
    assert address == "198.18.0.4"
    assert "ipConfiguration" not in body["properties"]
    group = NODES.rpartition("/")[2]
    front = Frontend("f", address)
    running.lab.balancers = (LoadBalancer("kubernetes", group, (front,), (), (), ()),)
    used = running.ask("GET", ADDRESS).json()["properties"]["ipConfiguration"]["id"]
    assert used.endswith("loadBalancers/kubernetes/frontendIPConfigurations/f")
    rendered = running.ask("GET", f"{NODES}/providers/Microsoft.Network/publicIPAddresses").json()
    assert rendered["value"] == []
    refused = running.ask("DELETE", ADDRESS).json()["error"]["code"]
    assert refused == "PublicIPAddressCannotBeDeleted"


def test_all_of_it_goes_with_the_group(document: Client) -> None:
    document.put(ADDRESS, {"location": "eastus", "properties": {}})
    document.put(NIC, nic("", publicIPAddress={"id": ADDRESS}))
    assert document.done(document.ask("DELETE", RG))["status"] == "Succeeded"
    assert not any(document.lab.claims.values())


def test_a_restarted_daemon_goes_on(document: Client) -> None:
    began = document.ask("PUT", NIC, nic(""))
    document.run(document.dispatcher.desk.operations.close())
    document.run(_resumed(document))
    assert document.done(began)["status"] == "Succeeded"
    assert addresses(document.ask("GET", NIC).json()) == ["10.220.2.4"]
    assert document.ask("GET", f"{AKS}/none").status_code == 404


async def _resumed(client: Client) -> None:
    client.dispatcher.desk.operations.resume()


def test_how_full_a_subnet_is_and_what_is_free(running: Client) -> None:
    running.put(NIC, nic("10.220.2.98"))
    usages = running.ask("GET", f"{VNET}/usages").json()["value"]
    full = {one["id"].rpartition("/")[2]: (one["currentValue"], one["limit"]) for one in usages}
    assert full == {"kubenet": (0, 251), "azurecni": (94, 251), "services": (0, 251)}

    def asked(address: str) -> dict[str, Any]:
        path = f"{VNET}/CheckIPAddressAvailability?ipAddress={address}"
        body: dict[str, Any] = running.ask("GET", path).json()
        return body

    assert asked("10.220.2.99")["available"]
    taken = asked("10.220.2.98")
    assert not taken["available"]
    assert taken["availableIPAddresses"] == [f"10.220.2.{one}" for one in (97, 99, 100, 101, 102)]
    assert not asked("10.220.2.4")["available"], "a node's"
    assert not asked("10.220.2.1")["available"], "Azure's"
    assert asked("10.9.9.9")["error"]["code"] == "PrivateIPAddressNotInAnySubnet"
    assert asked("x")["error"]["code"] == "InvalidIPAddress"


def test_a_subnet_tells_which_configurations_hold_its_addresses(running: Client) -> None:
    running.put(NIC, nic(""))
    subnet = running.ask("GET", AZURECNI).json()
    held = [one["id"] for one in subnet["properties"]["ipConfigurations"]]
    assert len(held) == 3 * 31 + 1
    assert "/virtualMachines/0/networkInterfaces/" in held[0]
    assert f"{NIC}/ipConfigurations/" in held[-1]
    (of_vnet,) = (
        one
        for one in running.ask("GET", VNET).json()["properties"]["subnets"]
        if one["id"] == subnet["id"]
    )
    assert len(of_vnet["properties"]["ipConfigurations"]) == len(held)
    again = running.put(AZURECNI, subnet)
    running.done(running.ask("DELETE", NIC))
    left = running.ask("GET", again["id"]).json()["properties"]["ipConfigurations"]
    assert len(left) == 3 * 31
    empty = running.ask("GET", f"{VNET}/subnets/services").json()
    assert "ipConfigurations" not in empty["properties"]
