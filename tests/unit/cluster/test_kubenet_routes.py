"""Which routes a kubenet cluster's pods need."""

from __future__ import annotations

from typing import Any

import pytest

from podwire.cluster.kubenet_routes import (
    PodRange,
    pod_ranges,
    pod_routes,
    route_table_name,
)
from podwire.model.errors import InvalidInputError
from podwire.model.route_table import NextHop, Route


def node(name: str, cidr: str = "", address: str = "") -> dict[str, Any]:
    kinds = [{"type": "Hostname", "address": name}]
    if address:
        kinds.append({"type": "InternalIP", "address": address})
    return {
        "metadata": {"name": name},
        "spec": {"podCIDR": cidr} if cidr else {},
        "status": {"addresses": kinds},
    }


def ranges(count: int) -> list[PodRange]:
    return [
        PodRange(f"n{one:03}", f"10.100.{one % 256}.0/24", f"10.220.{one // 200}.{4 + one % 200}")
        for one in range(count)
    ]


def test_each_node_that_has_both_has_a_route() -> None:
    nodes = [
        node("b", "10.100.0.0/24", "10.220.1.5"),
        node("a", "10.100.1.0/24", "10.220.1.4"),
        node("no-range-yet", "", "10.220.1.6"),
        node("no-address-yet", "10.100.2.0/24"),
        {"metadata": {"name": "just-registered"}},
    ]
    assert pod_routes(pod_ranges(nodes)) == (
        Route("a", "10.100.1.0/24", NextHop.VIRTUAL_APPLIANCE, "10.220.1.4"),
        Route("b", "10.100.0.0/24", NextHop.VIRTUAL_APPLIANCE, "10.220.1.5"),
    )


def test_a_table_holds_four_hundred() -> None:
    assert len(pod_routes(ranges(400))) == 400
    with pytest.raises(
        InvalidInputError, match="holds 400 routes and this kubenet cluster has 401"
    ):
        pod_routes(ranges(401))


def test_the_table_is_called_as_aks_calls_it() -> None:
    assert route_table_name("27511634") == "aks-agentpool-27511634-routetable"
