"""The nodes as scale sets, instances and NICs; and the extension that lets somebody in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from podwire.cluster.vm_access_settings import VmAccess
from podwire.model.load_balancer import Frontend, LoadBalancer, Probe, Rule
from tests.unit.arm.client import CLUSTER, NODES, VNET, Client

SETS = f"{NODES}/providers/Microsoft.Compute/virtualMachineScaleSets"
SECRET = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJrZqpYXQ5Cqj7Y8oq3uJ5Yb1mVh1m6cFvJm0d3kq0aX me"


@pytest.fixture
def scale_set(running: Client) -> str:
    (found,) = running.ask("GET", SETS).json()["value"]
    return str(found["id"])


def set_access(client: Client, scale_set: str) -> dict[str, object]:
    """As `az vmss extension set` does it: the whole model, with one extension more."""
    body = client.ask("GET", scale_set).json()
    extension = {
        "name": "VMAccessForLinux",
        "properties": {
            "publisher": "Microsoft.OSTCExtensions",
            "type": "VMAccessForLinux",
            "typeHandlerVersion": "1.4",
            "protectedSettings": {"username": "azureuser", "ssh_key": SECRET},
        },
    }
    body["properties"]["virtualMachineProfile"]["extensionProfile"]["extensions"] = [extension]
    return client.put(scale_set, body)


def test_a_pool_is_a_scale_set(running: Client, scale_set: str) -> None:
    body = running.ask("GET", scale_set).json()
    assert body["name"].startswith("aks-nodepool1-")
    assert body["sku"] == {"name": "Standard_DS2_v2", "tier": "Standard", "capacity": 3}
    nics = body["properties"]["virtualMachineProfile"]["networkProfile"]
    (nic,) = nics["networkInterfaceConfigurations"]
    assert len(nic["properties"]["ipConfigurations"]) == 31


def test_instances_and_their_nics(running: Client, scale_set: str) -> None:
    machines = running.ask("GET", f"{scale_set}/virtualMachines").json()["value"]
    assert [one["instanceId"] for one in machines] == ["0", "1", "2"]
    nics = running.ask("GET", f"{scale_set}/networkInterfaces").json()["value"]
    primaries = [
        one["properties"]["ipConfigurations"][0]["properties"]["privateIPAddress"] for one in nics
    ]
    assert primaries == ["10.220.2.4", "10.220.2.35", "10.220.2.66"]
    (own,) = running.ask("GET", f"{scale_set}/virtualMachines/1/networkInterfaces").json()["value"]
    assert own["properties"]["ipConfigurations"][0]["properties"]["privateIPAddress"] == (
        "10.220.2.35"
    )
    view = running.ask("GET", f"{scale_set}/virtualMachines/0/instanceView").json()
    assert view["statuses"][1]["code"] == "PowerState/running"


def test_a_key_is_on_the_nodes_at_update_instances_and_not_before(
    running: Client, scale_set: str
) -> None:
    set_access(running, scale_set)
    assert not [one for one in running.lab.said if one[0] == "grant_access"]
    machines = running.ask("GET", f"{scale_set}/virtualMachines").json()["value"]
    assert not any(one["properties"]["latestModelApplied"] for one in machines)
    answer = running.ask("POST", f"{scale_set}/manualupgrade", {"instanceIds": ["*"]})
    assert running.done(answer)["status"] == "Succeeded"
    (granted,) = [one for one in running.lab.said if one[0] == "grant_access"]
    wish = VmAccess(username="azureuser", key=SECRET)
    assert granted[1:] == ("networklab/azurecni-cluster", "nodepool1", wish, None)
    machines = running.ask("GET", f"{scale_set}/virtualMachines").json()["value"]
    assert all(one["properties"]["latestModelApplied"] for one in machines)


def test_instances_that_are_named_are_brought_up_to_date_alone(
    running: Client, scale_set: str
) -> None:
    set_access(running, scale_set)
    latest = []
    for named in (["1"], ["0", "1"], ["*"]):
        answer = running.ask("POST", f"{scale_set}/manualupgrade", {"instanceIds": named})
        assert running.done(answer)["status"] == "Succeeded"
        machines = running.ask("GET", f"{scale_set}/virtualMachines").json()["value"]
        latest.append([one["properties"]["latestModelApplied"] for one in machines])
    assert latest == [[False, True, False], [True, True, False], [True, True, True]]
    granted = [one[4] for one in running.lab.said if one[0] == "grant_access"]
    assert granted == [(1,), (0, 1), None]


def test_protected_settings_never_come_out(
    running: Client, scale_set: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    said = json.dumps(set_access(running, scale_set))
    said += running.ask("GET", SETS).text
    said += running.ask("GET", f"{NODES}/resources").text
    assert "VMAccessForLinux" in said
    assert SECRET not in said
    assert SECRET not in caplog.text
    said = json.dumps([row.body for row in running.store.everything()])
    assert SECRET not in said


def test_an_extension_that_is_sent_back_keeps_its_secrets(running: Client, scale_set: str) -> None:
    body = set_access(running, scale_set)
    running.put(scale_set, body)
    running.done(running.ask("POST", f"{scale_set}/manualupgrade", {"instanceIds": ["*"]}))
    (granted,) = [one for one in running.lab.said if one[0] == "grant_access"]
    assert granted[3].key == SECRET


def test_secrets_go_with_their_cluster(running: Client, scale_set: str, tmp_path: Path) -> None:
    set_access(running, scale_set)
    running.done(running.ask("DELETE", CLUSTER))
    assert running.store.secret(f"{scale_set}/extensions") is None


def test_settings_that_no_node_can_take_are_refused(running: Client, scale_set: str) -> None:
    body = running.ask("GET", scale_set).json()
    extension = {
        "name": "VMAccessForLinux",
        "properties": {
            "type": "VMAccessForLinux",
            "protectedSettings": {"username": "azureuser", "ssh_key": "no key"},
        },
    }
    body["properties"]["virtualMachineProfile"]["extensionProfile"]["extensions"] = [extension]
    assert running.ask("PUT", scale_set, body).status_code == 400
    extension["properties"]["type"] = "CustomScript"
    answer = running.ask("PUT", scale_set, body)
    assert answer.json()["error"]["code"] == "FeatureNotSupported"


def test_an_instance_that_is_not_there_is_named(running: Client, scale_set: str) -> None:
    answer = running.ask("POST", f"{scale_set}/manualupgrade", {"instanceIds": ["7"]})
    assert (answer.status_code, answer.json()["error"]["target"]) == (400, "instanceIds")


def test_scaling_goes_through_the_pool(running: Client, scale_set: str) -> None:
    body = running.ask("GET", scale_set).json()
    body["sku"]["capacity"] = 9
    assert running.ask("PUT", scale_set, body).json()["error"]["code"] == "OperationNotAllowed"


def test_a_script_runs_on_one_node(running: Client, scale_set: str) -> None:
    sent = {
        "commandId": "RunShellScript",
        "script": ["ip addr show $dev"],
        "parameters": [{"name": "dev", "value": "it's"}],
    }
    answer = running.ask("POST", f"{scale_set}/virtualMachines/2/runCommand", sent)
    assert running.done(answer)["status"] == "Succeeded"
    where = answer.headers["Location"].removeprefix("https://localhost:8443")
    (status,) = running.ask("GET", where).json()["value"]
    assert "vmss000002 ran it" in status["message"]
    (ran,) = [one for one in running.lab.said if one[0] == "run_on_node"]
    assert ran[2] == "dev='it'\\''s'\nip addr show $dev"


def test_effective_routes_are_the_fabrics(running: Client) -> None:
    path = f"{NODES}/providers/Microsoft.Network/networkInterfaces"
    nic = running.ask("GET", path).json()["value"][0]["id"]
    answer = running.ask("POST", f"{nic}/effectiveRouteTable")
    running.done(answer)
    where = answer.headers["Location"].removeprefix("https://localhost:8443")
    routes = running.ask("GET", where).json()["value"]
    assert ["10.220.0.0/16"] in [one["addressPrefix"] for one in routes]


def test_the_balancers_of_services_are_shown(running: Client) -> None:
    group = "MC_NetworkLab_azurecni-cluster_eastus"
    running.lab.balancers = (
        LoadBalancer(
            "kubernetes",
            group,
            frontends=(Frontend("a1", "198.18.0.1"), Frontend("b2", "10.220.3.4", "services")),
            rules=(Rule("a1-TCP-80", "a1", "tcp", 80, 80, floating=True, probe="p"),),
            probes=(Probe("p", "http", 30080, "/healthz"),),
            backends=("10.220.2.4",),
        ),
        LoadBalancer("kubernetes", "MC_NetworkLab_other_eastus"),
    )
    base = f"{NODES}/providers/Microsoft.Network"
    (found,) = running.ask("GET", f"{base}/loadBalancers").json()["value"]
    properties = found["properties"]
    public, internal = properties["frontendIPConfigurations"]
    address = running.ask("GET", public["properties"]["publicIPAddress"]["id"]).json()
    assert address["properties"]["ipAddress"] == "198.18.0.1"
    assert internal["properties"]["subnet"]["id"] == f"{VNET}/subnets/services"
    (rule,) = properties["loadBalancingRules"]
    assert rule["properties"]["probe"]["id"] == properties["probes"][0]["id"]
    assert rule["properties"]["enableFloatingIP"] is True


def test_a_scale_set_says_how_many_instances_it_has(running: Client) -> None:
    (scale_set,) = running.ask("GET", SETS).json()["value"]
    view = running.ask("GET", f"{scale_set['id']}/instanceView").json()
    (summary,) = view["virtualMachine"]["statusesSummary"]
    assert summary == {"code": "ProvisioningState/succeeded", "count": 3}


@pytest.mark.parametrize("action", ["powerOff", "deallocate", "redeploy", "reimage"])
def test_what_az_aks_does_to_the_pool_is_not_done_to_one(running: Client, action: str) -> None:
    (scale_set,) = running.ask("GET", SETS).json()["value"]
    for path in (scale_set["id"], f"{scale_set['id']}/virtualMachines/0"):
        refused = running.ask("POST", f"{path}/{action}", {})
        assert refused.json()["error"]["code"] == "FeatureNotSupported"
