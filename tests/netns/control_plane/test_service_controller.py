"""The service controller against a real API server; the lab is one that writes down."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from podwire.cluster.api_client import ApiClient
from podwire.cluster.cloud.controller import ServiceController
from podwire.cluster.cloud.plan import FINALIZER, INTERNAL, SUBNET, status_address
from podwire.model.errors import ApiError
from podwire.model.load_balancer import LoadBalancer, check_load_balancer
from podwire.model.vnet import Subnet, VNet
from podwire.vnet.frontend_addresses import FrontendAddresses
from tests.netns.control_plane.conftest import ControlPlane
from tests.netns.control_plane.test_control_plane import eventually

VNET = VNet(
    "aksvnet",
    "NetworkLab",
    ("10.220.0.0/16",),
    (Subnet("azurecni", "10.220.2.0/24"), Subnet("apps", "10.220.3.0/24")),
)
NODES = {"node-a": "10.220.2.4", "node-b": "10.220.2.35"}
IS_INTERNAL = {INTERNAL: "true"}
SERVICES = "/api/v1/namespaces/default/services"


@dataclass
class Cloud:
    """Balancers by key, and the claims as the lab would keep them."""

    addresses: FrontendAddresses = field(
        default_factory=lambda: FrontendAddresses(lambda: VNET, NODES.values)
    )
    balancers: dict[str, LoadBalancer] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)

    def allocate(self, owner, subnet, wanted, kept):
        return self.addresses.allocate(owner, subnet, wanted, kept)

    def release(self, owner):
        self.addresses.release(owner)

    def retain(self, owners):
        for one in self.addresses.claims():
            if one.owner not in owners:
                self.addresses.release(one.owner)

    async def put(self, lb):
        check_load_balancer(lb)
        self.balancers[lb.key] = lb

    async def remove(self, key):
        self.balancers.pop(key, None)

    def address_of(self, node):
        return NODES.get(node)

    def tell(self, text):
        self.told.append(text)

    def rules(self, name):
        """frontend address: (protocol, port)s of one balancer."""
        lb = self.balancers.get(f"mc_lab/{name}")
        found: dict[str, list[tuple[str, int]]] = {}
        for rule in lb.rules if lb else ():
            address = lb.frontend(rule.frontend).address
            found.setdefault(address, []).append((rule.protocol, rule.frontend_port))
        return found


@dataclass
class Cluster:
    plane: ControlPlane
    client: ApiClient

    @asynccontextmanager
    async def controller(self, cloud):
        made = ServiceController(self.client, cloud, resource_group="MC_lab", subnet="azurecni")
        task = asyncio.create_task(made.run())
        try:
            yield made
            assert not task.done()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def create(self, name, notes=None, **spec):
        body = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "annotations": notes or {}},
            "spec": {"type": "LoadBalancer", "ports": [{"port": 80}], **spec},
        }
        return await self.client.post(SERVICES, body)

    async def get(self, name):
        return await self.client.get(f"{SERVICES}/{name}")

    async def address(self, name):
        async def shown():
            return status_address(await self.get(name))

        return await eventually(shown)

    async def events(self, name):
        query = f"involvedObject.name={name}"
        listed = await self.client.get("/api/v1/namespaces/default/events", fieldSelector=query)
        return listed["items"]

    async def event(self, name, reason):
        async def found():
            return [one for one in await self.events(name) if one["reason"] == reason]

        return (await eventually(found))[0]

    async def delete(self, name):
        await self.client.delete(f"{SERVICES}/{name}")

        async def gone():
            try:
                await self.get(name)
            except ApiError as error:
                return error.status == 404

        await eventually(gone)

    async def node(self, name, ready="True"):
        try:
            meta = {"metadata": {"name": name}}
            await self.client.post("/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", **meta})
        except ApiError as error:
            if error.status != 409:
                raise
        conditions = [{"type": "Ready", "status": ready}]
        path = f"/api/v1/nodes/{name}/status"
        await self.client.merge(path, {"status": {"conditions": conditions}})


@pytest.fixture(scope="module")
def cluster(plane) -> Iterator[Cluster]:
    made = Cluster(plane, plane.admin)
    for name in NODES:
        plane.run(made.node(name))
    return made


def test_a_service_from_its_first_to_its_last_day(cluster):
    async def live():
        cloud = Cloud()
        async with cluster.controller(cloud):
            await cluster.create("life", IS_INTERNAL)
            assert await cluster.address("life") == "10.220.2.5"
            assert cloud.rules("kubernetes-internal") == {"10.220.2.5": [("tcp", 80)]}
            lb = cloud.balancers["mc_lab/kubernetes-internal"]
            assert lb.backends == tuple(NODES.values())
            service = await cluster.get("life")
            assert service["metadata"]["finalizers"] == [FINALIZER]
            assert lb.probes[0].port == service["spec"]["ports"][0]["nodePort"]
            await cluster.event("life", "EnsuredLoadBalancer")
            first = [(one["type"], one["reason"]) for one in await cluster.events("life")]
            assert sorted(first) == [
                ("Normal", "EnsuredLoadBalancer"),
                ("Normal", "EnsuringLoadBalancer"),
            ]
            ports = [{"name": "a", "port": 80}, {"name": "b", "port": 53}]
            await cluster.client.merge(f"{SERVICES}/life", {"spec": {"ports": ports}})
            await eventually(
                is_so(lambda: len(cloud.rules("kubernetes-internal")["10.220.2.5"]) == 2)
            )
            await cluster.delete("life")
            assert cloud.balancers == {}
            assert cloud.addresses.claims() == ()
            reasons = {one["reason"] for one in await cluster.events("life")}
            assert {"DeletingLoadBalancer", "DeletedLoadBalancer"} <= reasons

    cluster.plane.run(live())


def is_so(question):
    async def ask():
        return question()

    return ask


def test_public_internal_and_another_subnet_change_into_each_other(cluster):
    async def live():
        cloud = Cloud()
        async with cluster.controller(cloud):
            await cluster.create("moves")
            assert await cluster.address("moves") == "198.18.0.4"
            assert cloud.rules("kubernetes") == {"198.18.0.4": [("tcp", 80)]}
            for notes, address in (
                ({**IS_INTERNAL, SUBNET: "apps"}, "10.220.3.4"),
                ({SUBNET: None}, "10.220.2.5"),
                ({INTERNAL: None}, "198.18.0.4"),
            ):
                patch = {"metadata": {"annotations": notes}}
                await cluster.client.merge(f"{SERVICES}/moves", patch)

                async def moved(address=address):
                    return status_address(await cluster.get("moves")) == address

                await eventually(moved)
                both = cloud.rules("kubernetes") | cloud.rules("kubernetes-internal")
                assert list(both) == [address]
            await cluster.client.merge(f"{SERVICES}/moves", {"spec": {"type": "ClusterIP"}})

            async def plain():
                service = await cluster.get("moves")
                return not service["metadata"].get("finalizers") and not status_address(service)

            await eventually(plain)
            assert cloud.balancers == {}
            await cluster.delete("moves")

    cluster.plane.run(live())


@pytest.mark.parametrize(
    ("name", "notes", "spec", "text"),
    [
        ("r1", IS_INTERNAL, {"loadBalancerIP": "10.220.3.9"}, "PrivateIPAddressNotInSubnet"),
        ("r2", IS_INTERNAL, {"loadBalancerIP": "10.220.2.35"}, "PrivateIPAddressIsAllocated"),
        ("r3", {**IS_INTERNAL, SUBNET: "nope"}, {}, "failed to get subnet: aksvnet/nope"),
        ("r4", {}, {"loadBalancerIP": "20.1.2.3"}, "user supplied IP Address 20.1.2.3"),
    ],
)
def test_what_cannot_be_stays_pending_with_an_event_until_it_can(cluster, name, notes, spec, text):
    async def live():
        cloud = Cloud()
        async with cluster.controller(cloud):
            await cluster.create(name, notes, **spec)
            event = await cluster.event(name, "SyncLoadBalancerFailed")
            assert event["type"] == "Warning"
            assert event["message"].startswith("Error syncing load balancer: failed to ensure")
            assert text in event["message"]
            assert cloud.balancers == {}
            assert status_address(await cluster.get(name)) == ""
            fixed = {"metadata": {"annotations": {INTERNAL: "true", SUBNET: "apps"}}}
            await cluster.client.merge(
                f"{SERVICES}/{name}", {**fixed, "spec": {"loadBalancerIP": "10.220.3.9"}}
            )
            assert await cluster.address(name) == "10.220.3.9"
            await cluster.delete(name)

    cluster.plane.run(live())


def test_a_restart_gives_nobody_another_address(cluster):
    """The claims are lost, too; and one Service was made and one deleted meanwhile."""

    async def live():
        cloud = Cloud()
        async with cluster.controller(cloud):
            for name in ("first", "second", "third"):
                await cluster.create(name, IS_INTERNAL)
                await cluster.address(name)
            await cluster.delete("first")
            shown = {name: await cluster.address(name) for name in ("second", "third")}
            await cluster.create("doomed", IS_INTERNAL)
            await cluster.address("doomed")
        await cluster.client.delete(f"{SERVICES}/doomed")
        await cluster.create("a-new-one", IS_INTERNAL)
        later = Cloud()
        async with cluster.controller(later):
            fresh = await cluster.address("a-new-one")
            await cluster.delete("doomed")
            assert {name: await cluster.address(name) for name in shown} == shown
            served = set(later.rules("kubernetes-internal"))
            assert served == {*shown.values(), fresh}
            ensured = [
                one["count"]
                for one in await cluster.events("second")
                if one["reason"] == "EnsuredLoadBalancer"
            ]
            assert ensured == [1], "what is as it was is no event"
            for name in (*shown, "a-new-one"):
                await cluster.delete(name)
            assert later.balancers == {}

    cluster.plane.run(live())


def test_local_policy_and_nodes_that_come_and_go(cluster):
    async def live():
        cloud = Cloud()
        async with cluster.controller(cloud) as controller:
            local = {"externalTrafficPolicy": "Local"}
            await cluster.create("local", IS_INTERNAL, **local)
            await cluster.address("local")
            service = await cluster.get("local")

            def lb():
                return cloud.balancers["mc_lab/kubernetes-internal"]

            probe = lb().probes[0]
            port = service["spec"]["healthCheckNodePort"]
            assert (probe.protocol, probe.port, probe.path) == ("http", port, "/healthz")
            await cluster.node("node-b", ready="False")
            await eventually(is_so(lambda: lb().backends == (NODES["node-a"],)))
            await cluster.event("local", "UpdatedLoadBalancer")
            await cluster.node("node-b")
            await eventually(is_so(lambda: lb().backends == tuple(NODES.values())))
            await controller.remove_balancers()
            assert (cloud.balancers, cloud.addresses.claims()) == ({}, ())
        async with cluster.controller(cloud):
            await cluster.delete("local")

    cluster.plane.run(live())


def test_the_same_refusal_is_one_event_that_is_counted(cluster, monkeypatch):
    monkeypatch.setattr("podwire.cluster.cloud.controller._RETRY_FIRST", 0.05)

    async def live():
        async with cluster.controller(Cloud()):
            await cluster.create("counted", IS_INTERNAL, loadBalancerIP="10.1.1.1")

            async def twice():
                return (await cluster.event("counted", "SyncLoadBalancerFailed"))["count"] > 2

            await eventually(twice)
            reasons = [one["reason"] for one in await cluster.events("counted")]
            assert sorted(reasons) == ["EnsuringLoadBalancer", "SyncLoadBalancerFailed"]
            await cluster.delete("counted")

    cluster.plane.run(live())


def test_the_api_server_goes_away_and_comes_back(cluster):
    async def live():
        cloud = Cloud()
        async with cluster.controller(cloud):
            await cluster.create("before", IS_INTERNAL)
            await cluster.address("before")
            pid = cluster.plane.pid("kube-apiserver")
            os.kill(pid, signal.SIGKILL)
            assert cloud.rules("kubernetes-internal") == {"10.220.2.5": [("tcp", 80)]}

            async def created():
                try:
                    return await cluster.create("after", IS_INTERNAL)
                except ApiError as error:
                    return error.status == 409

            await eventually(created, 40)
            assert await cluster.address("after") == "10.220.2.6"
            for name in ("before", "after"):
                await cluster.delete(name)

    cluster.plane.run(live())
