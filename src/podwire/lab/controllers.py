"""What Azure's cloud provider does for a cluster: load balancers, and kubenet's routes."""

from __future__ import annotations

from datetime import UTC, datetime

from podwire.cluster.cloud.controller import ServiceController
from podwire.cluster.cloud.lab import VNetCloud
from podwire.cluster.kubenet_routes import RouteController, route_table_name
from podwire.lab.cluster import Cluster
from podwire.model.route_table import Route, RouteTable


def keep_controllers(cluster: Cluster) -> None:
    """Start them, in the background until the cluster ends. Its API server answers."""
    spec, network = cluster.spec, cluster.network
    log = cluster.layout.log("cloud-provider")

    def tell(text: str) -> None:
        with log.open("a") as out:
            out.write(f"{datetime.now(UTC).isoformat(timespec='milliseconds')} {text}\n")

    async def route_pods(routes: tuple[Route, ...]) -> None:
        table = RouteTable(route_table_name(spec.digits), routes)
        network.set_pod_routes(spec.key, spec.subnet, table)

    cloud = VNetCloud(spec.key, network.balancers, network.frontends, network.node_address, tell)
    cluster.services = ServiceController(
        cluster.client, cloud, resource_group=spec.node_resource_group, subnet=spec.subnet
    )
    cluster.keep_running(cluster.services.run(), "service controller")
    if spec.is_kubenet:
        routes = RouteController(cluster.client, route_pods)
        cluster.keep_running(routes.run(), "route controller")
