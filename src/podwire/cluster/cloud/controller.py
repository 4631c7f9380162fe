"""The service controller: what `type: LoadBalancer` asks for comes true in the VNet.

It compares what the API holds with what it has done, whatever happened in between; a restarted
one finds the addresses in its claims, or in the Services' status. Must not know how a load
balancer works (`lab.Cloud`), nor what a Service means (`plan`). Source: k8s.io/cloud-provider 1.20
(finalizer, order of work, events and their texts, retries), cloud-provider-azure (refusals).
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass

from podwire.cluster.api_client import ApiClient, Object
from podwire.cluster.cloud.events import Recorder
from podwire.cluster.cloud.informer import Informer, key_of
from podwire.cluster.cloud.lab import Cloud
from podwire.cluster.cloud.plan import (
    FINALIZER,
    INTERNAL_NAME,
    PUBLIC_NAME,
    ServicePlan,
    backends,
    balancer,
    plan_service,
    status_address,
    wants_balancer,
)
from podwire.model.errors import ApiError, InvalidInputError, KernelError, PodwireError

_RETRY_FIRST, _RETRY_LAST = 5.0, 300.0
_API_RETRY = 0.5


@dataclass(frozen=True, slots=True)
class _Balanced:
    """A Service that has its address."""

    plan: ServicePlan
    address: str


@dataclass(slots=True)
class _Retry:
    """A Service that was refused when it asked this. at: the loop's time of the next attempt."""

    asked: str
    at: float
    delay: float


class ServiceController:
    """One cluster's.

    client: an administrator's, of the cluster's API; it may not answer yet. resource_group: the
    nodes' one, where AKS has the load balancers. subnet: the cluster's.
    """

    def __init__(
        self, client: ApiClient, cloud: Cloud, *, resource_group: str, subnet: str
    ) -> None:
        self._client, self._cloud = client, cloud
        self._group, self._subnet = resource_group, subnet
        self._wake = asyncio.Event()
        self._services = Informer(client, "/api/v1/services", self._wake.set)
        self._nodes = Informer(client, "/api/v1/nodes", self._wake.set)
        self._events = Recorder(client, cloud.tell)
        self._done: dict[str, _Balanced] = {}
        self._retries: dict[str, _Retry] = {}
        self._backends: tuple[str, ...] = ()
        self._adopted = False

    async def run(self) -> None:
        """Until cancelled; then the load balancers stay as they are."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._services.run())
            group.create_task(self._nodes.run())
            group.create_task(self._keep())

    async def remove_balancers(self) -> None:
        """The cluster is deleted: nothing of its balancers stays, nor do its addresses."""
        self._done.clear()
        self._cloud.retain(())
        for name in (PUBLIC_NAME, INTERNAL_NAME):
            await self._cloud.remove(f"{self._group}/{name}".lower())

    async def _keep(self) -> None:
        while True:
            await self._wait()
            if not (self._services.synced and self._nodes.synced):
                continue
            try:
                await self._reconcile()
            except PodwireError as error:
                self._cloud.tell(f"service controller: {error}; trying again")
                await asyncio.sleep(_API_RETRY)
                self._wake.set()

    async def _wait(self) -> None:
        """For a change, or for the time to try a refused Service again."""
        times = [one.at for one in self._retries.values()]
        try:
            async with asyncio.timeout_at(min(times) if times else None):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    async def _reconcile(self) -> None:
        services = dict(self._services.objects)
        by_uid = {_uid(one): one for one in services.values()}
        if not self._adopted:
            self._adopt(by_uid)
        await self._follow_nodes(by_uid)
        for uid in self._done.keys() - by_uid.keys():
            await self._forget(uid)
        for service in services.values():
            await self._attend(service)
        self._retries = {uid: one for uid, one in self._retries.items() if uid in by_uid}

    def _adopt(self, by_uid: dict[str, Object]) -> None:
        """What a Service's status shows is its own, before any other Service gets an address."""
        self._cloud.retain(by_uid)
        for uid, service in by_uid.items():
            shown = status_address(service)
            if not shown or not wants_balancer(service):
                continue
            try:
                plan = plan_service(service, self._subnet)
                address = self._cloud.allocate(uid, plan.subnet, "", shown)
            except InvalidInputError:
                continue  # `_attend` tells the user
            if address == shown:
                self._done[uid] = _Balanced(plan, address)
        self._adopted = True

    async def _follow_nodes(self, by_uid: dict[str, Object]) -> None:
        now = backends(self._nodes.objects.values(), self._cloud.address_of)
        before = self._backends
        if now == before:
            return
        self._backends = now
        try:
            await self._put_balancers()
        except PodwireError:
            self._backends = before
            raise
        for uid in self._done.keys() & by_uid.keys() if before else ():
            text = "Updated load balancer with new hosts"
            await self._events.normal(by_uid[uid], "UpdatedLoadBalancer", text)

    async def _attend(self, service: Object) -> None:
        uid = _uid(service)
        if not wants_balancer(service):
            if uid in self._done or FINALIZER in _finalizers(service):
                await self._end(service)
            return
        retry = self._retries.get(uid)
        if retry and retry.at > _now() and retry.asked == _asked(service):
            return
        try:
            plan = plan_service(service, self._subnet)
            if not self._is_done(service, plan):
                await self._ensure(service, plan)
        except (InvalidInputError, KernelError) as error:
            await self._refuse(service, error)
        except ApiError as error:  # as a conflict: others go on meanwhile
            self._later(service, _API_RETRY)
            self._cloud.tell(f"service {key_of(service)}: {error}")
        else:
            self._retries.pop(uid, None)

    def _is_done(self, service: Object, plan: ServicePlan) -> bool:
        """Also what was done before this controller began: address, finalizer and all."""
        have = self._done.get(plan.uid)
        shown = _Balanced(plan, status_address(service))
        right = plan.wanted in ("", shown.address) and FINALIZER in _finalizers(service)
        return have == shown and right

    async def _ensure(self, service: Object, plan: ServicePlan) -> None:
        await self._events.normal(service, "EnsuringLoadBalancer", "Ensuring load balancer")
        await self._set_finalizer(service, present=True)
        address = self._cloud.allocate(plan.uid, plan.subnet, plan.wanted, status_address(service))
        before = self._done.get(plan.uid)
        self._done[plan.uid] = _Balanced(plan, address)
        try:
            await self._put_balancers()
        except (InvalidInputError, KernelError):
            self._done.pop(plan.uid)
            if before is not None:
                self._done[plan.uid] = before
            raise
        await self._show(service, address)
        await self._events.normal(service, "EnsuredLoadBalancer", "Ensured load balancer")
        self._cloud.tell(f"service {key_of(service)} has the address {address}")

    async def _refuse(self, service: Object, error: InvalidInputError | KernelError) -> None:
        """Said to the user, and tried again later: the address may be free then."""
        self._later(service, _RETRY_FIRST)
        text = f"Error syncing load balancer: failed to ensure load balancer: {_as_azure(error)}"
        await self._events.warning(service, "SyncLoadBalancerFailed", text)
        self._cloud.tell(f"service {key_of(service)} has no load balancer: {error}")

    def _later(self, service: Object, first: float) -> None:
        """Try again after `first` seconds, each time twice as long if nothing else is asked for."""
        asked, old = _asked(service), self._retries.get(_uid(service))
        again = old is not None and old.asked == asked
        delay = min(old.delay * 2, _RETRY_LAST) if old and again else first
        self._retries[_uid(service)] = _Retry(asked, _now() + delay, delay)

    async def _end(self, service: Object) -> None:
        """The Service is being deleted, or has another type now."""
        await self._events.normal(service, "DeletingLoadBalancer", "Deleting load balancer")
        await self._forget(_uid(service))
        if not service["metadata"].get("deletionTimestamp"):
            await self._show(service, "")
        await self._events.normal(service, "DeletedLoadBalancer", "Deleted load balancer")
        await self._set_finalizer(service, present=False)

    async def _forget(self, uid: str) -> None:
        self._retries.pop(uid, None)
        if self._done.pop(uid, None) is not None:
            await self._put_balancers()
        self._cloud.release(uid)

    async def _put_balancers(self) -> None:
        for name, public in ((PUBLIC_NAME, True), (INTERNAL_NAME, False)):
            mine = [
                (one.plan, one.address)
                for _, one in sorted(self._done.items())
                if (one.plan.subnet is None) == public
            ]
            lb = balancer(self._group, name, mine, self._backends)
            await (self._cloud.put(lb) if mine else self._cloud.remove(lb.key))

    async def _show(self, service: Object, address: str) -> None:
        """In the Service's status; "": nothing is there any more."""
        if status_address(service) != address:
            status = {"loadBalancer": {"ingress": [{"ip": address}] if address else None}}
            await self._patch(service, "/status", {"status": status})

    async def _set_finalizer(self, service: Object, *, present: bool) -> None:
        listed = _finalizers(service)
        if (FINALIZER in listed) == present:
            return
        others = [one for one in listed if one != FINALIZER]
        metadata = {
            "finalizers": [*others, FINALIZER] if present else others,
            "resourceVersion": service["metadata"]["resourceVersion"],
        }
        await self._patch(service, "", {"metadata": metadata})

    async def _patch(self, service: Object, part: str, body: Object) -> None:
        """`service` becomes what it is then. One that is gone meanwhile is no error."""
        metadata = service["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/services/{metadata['name']}{part}"
        try:
            answer = await self._client.merge(path, body)
        except ApiError as error:
            if error.status != 404:
                raise
            return
        service.update(answer)
        self._services.put(answer)


def _uid(service: Object) -> str:
    uid: str = service["metadata"]["uid"]
    return uid


def _finalizers(service: Object) -> list[str]:
    return service["metadata"].get("finalizers") or []


def _asked(service: Object) -> str:
    """What a user can change in it."""
    asked = [service["spec"], service["metadata"].get("annotations")]
    return json.dumps(asked, sort_keys=True)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _as_azure(error: InvalidInputError | KernelError) -> str:
    """As the Azure client reports what Resource Manager has refused."""
    if not isinstance(error, InvalidInputError) or not error.code:
        return str(error)
    message = str(error).removeprefix(f"({error.code}) ")
    body = json.dumps({"error": {"code": error.code, "message": message, "details": []}})
    return f"Retriable: false, RetryAfter: 0s, HTTPStatusCode: 400, RawError: {body}"
