"""A kubenet cluster's pods in the VNet: one route of an Azure route table for each node's range.

What Kubernetes' route controller does with Azure's cloud provider. Must not know how a VNet routes.
Sources: kubernetes 1.20, pkg/controller/route and legacy-cloud-providers/azure/azure_routes.go
(names, next hops, the condition of a node); Azure's limit of 400 routes a table.
"""

from __future__ import annotations

import asyncio
import datetime
import sys
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from podwire.cluster.api_client import ApiClient, Object
from podwire.model.errors import InvalidInputError, PodwireError
from podwire.model.ip_modes import KUBENET
from podwire.model.route_table import NextHop, Route

_NODES = "/api/v1/nodes"
_STRATEGIC = "application/strategic-merge-patch+json"
_PERIOD = 2.0
_CONDITION = "NetworkUnavailable"


@dataclass(frozen=True, slots=True)
class PodRange:
    """A node's part of the pod CIDR, and the address of its NIC."""

    node: str
    pod_cidr: str
    address: str


def route_table_name(digits: str) -> str:
    """As AKS calls it, in the node resource group. digits: the cluster's."""
    return f"aks-agentpool-{digits}-routetable"


def pod_routes(ranges: Iterable[PodRange]) -> tuple[Route, ...]:
    """One route a node, called as the node is, by name.

    Raises InvalidInputError for more than an Azure route table holds, which bounds such clusters.
    """
    ordered = sorted(ranges, key=lambda one: one.node)
    if len(ordered) > KUBENET.node_limit:
        raise InvalidInputError(
            f"a route table holds {KUBENET.node_limit} routes and this kubenet cluster has "
            f"{len(ordered)} nodes; take the azure network plugin or fewer nodes",
            code="RouteTableRoutesLimitExceeded",
        )
    return tuple(
        Route(one.node, one.pod_cidr, NextHop.VIRTUAL_APPLIANCE, one.address) for one in ordered
    )


def pod_ranges(nodes: Iterable[Object]) -> tuple[PodRange, ...]:
    """Of the API's Node objects; those without a range or an address yet are left out."""
    found = ((one, one.get("spec", {}).get("podCIDR", ""), _address(one)) for one in nodes)
    return tuple(
        PodRange(one["metadata"]["name"], cidr, address)
        for one, cidr, address in found
        if cidr and address
    )


def _address(node: Object) -> str:
    addresses = node.get("status", {}).get("addresses") or ()
    return next((str(one["address"]) for one in addresses if one["type"] == "InternalIP"), "")


class RouteController:
    """Keeps the routes as the cluster's nodes are, and says so in the status of each node.

    apply: makes the VNet's route table have exactly these routes, idempotent; called only when
    they are others than before.
    """

    def __init__(
        self, client: ApiClient, apply: Callable[[tuple[Route, ...]], Awaitable[None]]
    ) -> None:
        self._client, self._apply = client, apply
        self._applied: tuple[Route, ...] | None = None

    async def run(self) -> None:
        """Until it is cancelled. The API server may be away, and the VNet may refuse, meanwhile."""
        said = ""
        while True:
            try:
                await self.once()
                said = ""
            except PodwireError as error:
                if str(error) != said:
                    print(f"pod routes: {error}", file=sys.stderr, flush=True)  # noqa: T201
                said = str(error)
            await asyncio.sleep(_PERIOD)

    async def once(self) -> None:
        """One look at the nodes. Raises PodwireError; the next look begins anew then."""
        nodes = (await self._client.get(_NODES, resourceVersion="0"))["items"]
        routes = pod_routes(pod_ranges(nodes))
        if routes != self._applied:
            await self._apply(routes)
            self._applied = routes
        routed = {one.name for one in routes}
        for node in nodes:
            name = node["metadata"]["name"]
            if name in routed and not _is_available(node):
                await self._client.request(
                    "PATCH", f"{_NODES}/{name}/status", _available(), kind=_STRATEGIC
                )


def _is_available(node: Object) -> bool:
    conditions = node.get("status", {}).get("conditions") or ()
    return any(one["type"] == _CONDITION and one["status"] == "False" for one in conditions)


def _available() -> Object:
    """The condition without which a node of a cloud with routes stays tainted."""
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    condition = {
        "type": _CONDITION,
        "status": "False",
        "reason": "RouteCreated",
        "message": "RouteController created a route",
        "lastTransitionTime": now,
        "lastHeartbeatTime": now,
    }
    return {"status": {"conditions": [condition]}}
