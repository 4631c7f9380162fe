"""Several clusters through their whole life, driven as the daemon does: `python -m ... LAB`.

A process of its own, since whoever opens a lab joins its cgroups. It says what is done.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace

import pytest

from podwire.lab.defaults import document_cluster, document_vnet
from podwire.lab.lab import Lab
from podwire.lab.steps import StepEvent
from podwire.lab.store import Frontends, Instances, PluggedNic, WantedCluster
from podwire.model.cluster import ClusterSpec
from podwire.model.errors import InvalidInputError
from podwire.model.layout import LabLayout
from podwire.model.node_pool import Pool

VNET = document_vnet(vnet_cidr="10.220.0.0/16", subnet_cidr="10.220.2.0/24")
AZURE = document_cluster("podwire", VNET)
KUBENET = replace(
    AZURE,
    name="kubenet-cluster",
    subnet="kubenet",
    network_plugin="kubenet",
    pod_cidr="10.100.0.0/16",
    pools=(Pool("nodepool1", 2, 110),),
)


def say(*words: str) -> None:
    sys.stdout.write(" ".join(words) + "\n")
    sys.stdout.flush()


def tell(event: StepEvent) -> None:
    if event.state == "failed":
        say(event.title, event.text)


def primaries(lab: Lab, spec: ClusterSpec) -> list[str]:
    return sorted(one.nic.primary for one in lab.clusters()[spec.key].nodes)


async def kubectl(lab: Lab, spec: ClusterSpec, command: str) -> str:
    done = await lab.run_in_cluster(spec.key, f"kubectl {command}", {})
    assert done.exit_code == 0, done.output
    return done.output.strip()


async def ready_nodes(lab: Lab, spec: ClusterSpec) -> list[str]:
    lines = (await kubectl(lab, spec, "get nodes --no-headers")).splitlines()
    return [line.split()[0] for line in lines if line.split()[1] == "Ready"]


async def side_by_side(lab: Lab) -> None:
    """Two clusters of one VNet, made at the same time; their pods reach each other's nodes."""
    await asyncio.gather(
        lab.put_cluster(AZURE, tell, workload=True), lab.put_cluster(KUBENET, tell, workload=True)
    )
    assert primaries(lab, AZURE) == ["10.220.2.35", "10.220.2.4", "10.220.2.66"]
    assert primaries(lab, KUBENET) == ["10.220.1.4", "10.220.1.5"]
    routes = lab.network(VNET.key).effective().subnet("kubenet").route_table
    assert routes is not None
    assert {one.next_hop_ip for one in routes.routes} == {"10.220.1.4", "10.220.1.5"}
    assert lab.vnets()[VNET.key] == VNET, "the routes are the lab's, not the user's"


async def scale(lab: Lab) -> None:
    """Out: new numbers. In: the highest go, their addresses are free; pools come and go."""
    await lab.put_cluster(replace(AZURE, pools=(Pool("nodepool1", 5, 30),)), tell)
    assert len(await ready_nodes(lab, AZURE)) == 5
    pools = (Pool("nodepool1", 2, 30), Pool("pool2", 1, 30, mode="User"))
    await lab.put_cluster(replace(AZURE, pools=pools), tell)
    names = [AZURE.node_name("nodepool1", 0), AZURE.node_name("nodepool1", 1)]
    assert await ready_nodes(lab, AZURE) == [*names, AZURE.node_name("pool2", 0)]
    held = [n for n, one in lab.site.store.all(PluggedNic).items() if one.cluster == AZURE.key]
    assert len(held) == 4, held
    too_many = replace(AZURE, pools=(Pool("nodepool1", 9, 30),))
    with pytest.raises(InvalidInputError) as refused:
        await lab.put_cluster(too_many, tell)
    assert refused.value.code == "SubnetIsFull"
    assert len(await ready_nodes(lab, AZURE)) == 3


async def upgrade(lab: Lab) -> None:
    """Every node of the pool is new, with its old name and address; the surge node has gone."""
    uids = "get nodes -o jsonpath={.items[*].metadata.uid}"
    before, had = (await kubectl(lab, AZURE, uids)).split(), primaries(lab, AZURE)
    await lab.upgrade_pool(AZURE.key, "nodepool1", tell)
    after = (await kubectl(lab, AZURE, uids)).split()
    assert len(set(before) & set(after)) == 1, "the other pool's"
    assert primaries(lab, AZURE) == had
    assert len(await ready_nodes(lab, AZURE)) == 3


async def stop_and_start(lab: Lab) -> None:
    """What was in the cluster is there again, at the same addresses."""
    await kubectl(lab, AZURE, "create configmap kept --from-literal=a=b")
    had = primaries(lab, AZURE)
    await lab.stop_cluster(AZURE.key, tell)
    assert lab.clusters()[AZURE.key].state == "stopped"
    assert lab.clusters()[AZURE.key].nodes == ()
    assert len(await ready_nodes(lab, KUBENET)) == 2, "the other cluster does not notice"
    await lab.start_cluster(AZURE.key, tell)
    assert primaries(lab, AZURE) == had
    assert "kept" in await kubectl(lab, AZURE, "get configmap kept -o name")


async def policy(lab: Lab) -> None:
    """A cluster with a network policy is wired in transparent mode: a route for each pod."""
    spec = replace(
        AZURE,
        name="policy",
        subnet="services",
        network_policy="azure",
        pools=(Pool("nodepool1", 1, 30),),
    )
    await lab.put_cluster(spec, tell, workload=True)
    done = await lab.run_in_cluster(spec.key, "ip route; brctl show", {})
    assert "10.220.3.5 dev azv" in done.output
    assert "azure0" not in done.output
    await lab.delete_cluster(spec.key, tell)


async def delete(lab: Lab) -> None:
    with pytest.raises(InvalidInputError, match="in use"):
        await lab.delete_vnet(VNET.key)
    for spec in (AZURE, KUBENET):
        await lab.delete_cluster(spec.key, tell)
    store = lab.site.store
    for kind in (PluggedNic, Instances, WantedCluster):
        assert store.all(kind) == {}, kind
    assert all(one.claims == () for one in store.all(Frontends).values())
    assert lab.network(VNET.key).effective() == VNET
    assert not any("/" in one for one in store.all(WantedCluster))
    left = [one for one in lab.site.supervisor.running if not one.startswith("vnet.")]
    assert left == []
    await lab.delete_vnet(VNET.key)
    assert lab.site.supervisor.running == {}


async def main(name: str) -> None:
    lab = Lab(LabLayout(name))
    await lab.open()
    try:
        await lab.put_vnet(VNET)
        for part in (side_by_side, scale, upgrade, stop_and_start, policy, delete):
            await part(lab)
            say(part.__name__, "done")
    finally:
        await lab.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
