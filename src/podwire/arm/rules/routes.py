"""Route tables and their routes. Pure.

Source: Azure "Virtual network traffic routing" (next hop types, 400 routes a table).
"""

from __future__ import annotations

from ipaddress import IPv4Network

from podwire.arm import ids
from podwire.arm.errors import ArmError
from podwire.arm.rules.fields import choice, objects, reference, same, text
from podwire.arm.rules.prefixes import check_address, check_prefix
from podwire.arm.rules.world import Body, World

ROUTES = "microsoft.network/routetables/routes"
MOST_ROUTES = 400
APPLIANCE = "VirtualAppliance"
_HOPS = ("VirtualNetworkGateway", "VnetLocal", "Internet", APPLIANCE, "None")


def check_put(table_id: str, old: Body | None, new: Body, world: World) -> None:
    _check_all(table_id, objects(new, "properties.routes"))


def check_route_put(route_id: str, old: Body | None, new: Body, world: World) -> None:
    target = ids.parse(route_id)
    others = [
        one
        for one in world.children(target.parent, ROUTES)
        if not same(text(one, "name"), target.name)
    ]
    _check_all(target.parent, [*others, {**new, "name": target.name}])


def check_delete(table_id: str, old: Body, world: World) -> None:
    for subnet in world.all("microsoft.network/virtualnetworks/subnets"):
        if same(reference(subnet, "properties.routeTable"), table_id):
            raise ArmError(
                400,
                "InUseRouteTableCannotBeDeleted",
                f"Route table {ids.parse(table_id).name} is in use and cannot be deleted.",
            )


def _check_all(table_id: str, routes: list[Body]) -> None:
    if len(routes) > MOST_ROUTES:
        raise ArmError(
            400,
            "RouteTableRoutesLimitReached",
            f"Cannot have more than {MOST_ROUTES} routes in route table {table_id}.",
        )
    seen: dict[IPv4Network, str] = {}
    for route in routes:
        name = text(route, "name")
        network = _check_route(f"{table_id}/routes/{name}", route)
        if network in seen:
            raise ArmError(
                400,
                "RouteConflict",
                f"Route {name} conflicts with route {seen[network]}. Routes cannot have the same "
                f"AddressPrefix {network}.",
            )
        seen[network] = name


def _check_route(route_id: str, route: Body) -> IPv4Network:
    network = check_prefix(text(route, "properties.addressPrefix"), route_id)
    hop = choice(route, "properties.nextHopType", _HOPS, "RouteNextHopType")
    address = text(route, "properties.nextHopIpAddress")
    if hop == APPLIANCE and not address:
        raise _hop(
            "NextHopIpAddress cannot be Null or Empty in route when NextHopType is "
            "VirtualAppliance."
        )
    if hop == APPLIANCE:
        check_address(address, "NextHopIpAddress", "InvalidNextHopIpAddress")
    elif address:
        raise _hop(
            f"NextHopIpAddress can be specified in route only when NextHopType is {APPLIANCE}; "
            f"route {route_id} has NextHopType {hop or 'null'}."
        )
    return network


def _hop(message: str) -> ArmError:
    return ArmError(400, "InvalidNextHopIpAddress", message)
