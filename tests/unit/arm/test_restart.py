"""A daemon that ends in the middle of something loses nothing, and the next one goes on with it."""

from __future__ import annotations

from pathlib import Path

from podwire.arm.store import ArmStore
from tests.unit.arm.client import CLUSTER, NODES, RG, VNET, Client, cluster
from tests.unit.arm.paper_lab import PaperLab


def restarted(client: Client, path: Path) -> Client:
    """The same store, with a lab that has what the old one had."""
    lab = client.lab
    client.close()
    fresh = PaperLab()
    fresh._vnets = dict(lab.vnets())
    return Client(path, fresh)


def test_a_cluster_is_built_by_the_next_daemon(tmp_path: Path) -> None:
    path = tmp_path / "arm.sqlite"
    first = Client(path)
    first.document()
    first.lab.gate.clear()
    began = first.ask("PUT", CLUSTER, cluster())
    second = restarted(first, path)
    assert second.ask("GET", CLUSTER).json()["properties"]["provisioningState"] in (
        "Creating",
        "Succeeded",
    )
    assert second.done(began)["status"] == "Succeeded"
    assert list(second.lab.clusters()) == ["networklab/azurecni-cluster"]
    second.close()


def test_a_group_that_is_half_gone_goes_whole(tmp_path: Path) -> None:
    path = tmp_path / "arm.sqlite"
    first = Client(path)
    first.document()
    first.lab.gate.clear()
    began = first.ask("DELETE", RG)
    second = restarted(first, path)
    assert second.done(began)["status"] == "Succeeded"
    assert second.ask("GET", VNET).json()["error"]["code"] == "ResourceGroupNotFound"
    assert second.lab.vnets() == {}
    second.close()


def test_a_command_is_not_run_twice(tmp_path: Path) -> None:
    path = tmp_path / "arm.sqlite"
    first = Client(path)
    first.document()
    first.put(CLUSTER, cluster())
    answer = first.ask("POST", f"{CLUSTER}/runCommand", {"command": "kubectl delete pod x"})
    where = answer.headers["Location"].removeprefix("https://localhost:8443")
    name = where.rpartition("/")[2].partition("?")[0]
    first.close()
    store = ArmStore(path)
    row = store.operation(name)
    assert row is not None
    store.put_operation(
        row.__class__(row.id, row.resource, row.action, {"command": "x"}, "InProgress", row.started)
    )
    store.close()
    second = Client(path, PaperLab())
    told = second.ask("GET", where).json()["properties"]
    assert told["provisioningState"] == "Failed"
    assert "interrupted" in told["reason"]
    assert second.lab.said == []
    second.close()


def test_what_podwire_up_made_is_there_for_az(tmp_path: Path) -> None:
    first = Client(tmp_path / "one.sqlite")
    first.document()
    first.put(CLUSTER, cluster())
    lab = first.lab
    second = Client(tmp_path / "two.sqlite", lab)
    before = first.ask("GET", CLUSTER).json()["properties"]
    after = second.ask("GET", CLUSTER).json()["properties"]
    for name in ("agentPoolProfiles", "networkProfile", "nodeResourceGroup", "fqdn"):
        assert after[name] == before[name], name
    assert len(second.ask("GET", VNET).json()["properties"]["subnets"]) == 3
    groups = [one["name"] for one in second.ask("GET", f"{RG.rpartition('/')[0]}").json()["value"]]
    assert sorted(groups) == ["MC_NetworkLab_azurecni-cluster_eastus", "NetworkLab"]
    assert second.ask("GET", NODES).json()["managedBy"] == CLUSTER
    second.close()
    first.close()
