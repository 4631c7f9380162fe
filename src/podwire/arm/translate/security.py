"""Network security groups and route tables: Azure's bodies and the fabric's values. Pure.

Words and ranges have been checked by the rules; here they are only read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from podwire.arm.store import Body
from podwire.model.effective_routes import EffectiveRoute
from podwire.model.effective_security import EffectiveGroup, EffectiveRule, Ports
from podwire.model.route_table import NextHop, Route, RouteTable
from podwire.model.security import (
    ANY,
    DEFAULT_RULES,
    Access,
    Direction,
    Protocol,
    SecurityGroup,
    SecurityRule,
)

_SIDES = (
    ("sources", "sourceAddressPrefix", "sourceAddressPrefixes"),
    ("destinations", "destinationAddressPrefix", "destinationAddressPrefixes"),
    ("source_ports", "sourcePortRange", "sourcePortRanges"),
    ("destination_ports", "destinationPortRange", "destinationPortRanges"),
)
"""Of a rule: the value's field, and Azure's property for one and for several."""


def route_table(body: Body) -> RouteTable:
    routes = body["properties"].get("routes", [])
    return RouteTable(body["name"], tuple(_route(one) for one in routes))


def _route(body: Body) -> Route:
    properties = body["properties"]
    hop = NextHop(properties["nextHopType"])
    address = properties.get("nextHopIpAddress", "") if hop is NextHop.VIRTUAL_APPLIANCE else ""
    return Route(body["name"], properties["addressPrefix"], hop, address)


def route_table_body(table: RouteTable, table_id: str, location: str) -> Body:
    """One that the lab keeps itself, as for a kubenet cluster."""
    kind = "Microsoft.Network/routeTables"
    return {
        "id": table_id,
        "name": table.name,
        "type": kind,
        "location": location,
        "tags": {},
        "properties": {
            "provisioningState": "Succeeded",
            "disableBgpRoutePropagation": False,
            "routes": [
                {
                    "id": f"{table_id}/routes/{one.name}",
                    "name": one.name,
                    "type": f"{kind}/routes",
                    "properties": {
                        "provisioningState": "Succeeded",
                        "addressPrefix": one.prefix,
                        "nextHopType": str(one.next_hop_type),
                        **({"nextHopIpAddress": one.next_hop_ip} if one.next_hop_ip else {}),
                    },
                }
                for one in table.routes
            ],
        },
    }


def security_group(body: Body) -> SecurityGroup:
    rules = body["properties"].get("securityRules", [])
    return SecurityGroup(body["name"], tuple(_rule(one) for one in rules))


def _rule(body: Body) -> SecurityRule:
    properties = body["properties"]
    sides = {
        field: tuple(properties.get(many) or [properties.get(one) or ANY])
        for field, one, many in _SIDES
    }
    return SecurityRule(
        name=body["name"],
        priority=properties["priority"],
        direction=Direction(properties["direction"]),
        access=Access(properties["access"]),
        protocol=Protocol(properties["protocol"]),
        **sides,
    )


def default_rules(group_id: str) -> list[Body]:
    """The six that every group ends with, as `az network nsg show` lists them."""
    return [
        {
            "id": f"{group_id}/defaultSecurityRules/{one.name}",
            "name": one.name,
            "type": "Microsoft.Network/networkSecurityGroups/defaultSecurityRules",
            "properties": {"provisioningState": "Succeeded", **_rule_properties(one)},
        }
        for one in DEFAULT_RULES
    ]


def _rule_properties(rule: SecurityRule) -> Body:
    return {
        "priority": rule.priority,
        "direction": str(rule.direction),
        "access": str(rule.access),
        "protocol": str(rule.protocol),
        "sourceAddressPrefix": rule.sources[0],
        "sourcePortRange": rule.source_ports[0],
        "destinationAddressPrefix": rule.destinations[0],
        "destinationPortRange": rule.destination_ports[0],
    }


def effective_routes_body(routes: Iterable[EffectiveRoute]) -> Body:
    """As `az network nic show-effective-route-table` prints them."""
    return {
        "value": [
            {
                "name": one.name or None,
                "source": one.source,
                "state": one.state,
                "addressPrefix": [one.prefix],
                "nextHopType": str(one.next_hop_type),
                "nextHopIpAddress": [one.next_hop_ip] if one.next_hop_ip else [],
            }
            for one in routes
        ]
    }


def effective_groups_body(
    groups: Iterable[EffectiveGroup], ids: Mapping[str, str], nic_id: str, subnet_id: str
) -> Body:
    """As `az network nic list-effective-nsg` prints them. ids: of the groups, by their names."""
    where = {"Subnet": ("subnet", subnet_id), "NetworkInterface": ("networkInterface", nic_id)}
    return {
        "value": [
            {
                "networkSecurityGroup": {"id": ids.get(one.group, one.group)},
                "association": {where[one.association][0]: {"id": where[one.association][1]}},
                "effectiveSecurityRules": [_effective_rule(rule) for rule in one.rules],
            }
            for one in groups
        ]
    }


def _effective_rule(effective: EffectiveRule) -> Body:
    rule = effective.rule
    return {
        "name": rule.name,
        **_rule_properties(rule),
        "sourcePortRanges": _ports(effective.source_ports),
        "destinationPortRanges": _ports(effective.destination_ports),
        "expandedSourceAddressPrefix": [str(one) for one in effective.sources],
        "expandedDestinationAddressPrefix": [str(one) for one in effective.destinations],
    }


def _ports(ranges: Ports) -> list[str]:
    return [f"{first}-{last}" for first, last in ranges]
