"""How fast the ARM endpoint answers: GETs over HTTPS with 1,000 resources in its store.

    python -m bench.arm [--resources N] [--requests N]

Needs no root and no lab: what is measured is the endpoint, from the socket to the store and back.
One connection is kept open, as azure-cli and the SDKs do.
"""

from __future__ import annotations

import argparse
import asyncio
import ssl
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from http.client import HTTPSConnection
from pathlib import Path

from rich.console import Console
from rich.table import Table

from podwire.arm.endpoint import Endpoint
from podwire.arm.ids import GROUPS
from podwire.arm.translate.vnet import VNETS
from podwire.model.layout import LabLayout
from podwire.model.vnet import Subnet, VNet


class EmptyLab:
    """A lab that has nothing, for an endpoint whose store is full."""

    def vnets(self) -> dict[str, VNet]:
        return {}

    def clusters(self) -> dict[str, object]:
        return {}

    def versions(self) -> list[str]:
        return []


async def opened(layout: LabLayout) -> Endpoint:
    return await Endpoint.open(layout, EmptyLab(), lambda _: None)  # type: ignore[arg-type]


def fill(endpoint: Endpoint, count: int) -> str:
    """`count` VNets of three subnets in one group; the id of one of them."""
    desk = endpoint.web.dispatcher.desk
    base = f"/subscriptions/{desk.subscription}/resourceGroups/bench"
    desk.store.put(GROUPS, {"id": base, "name": "bench", "location": "eastus", "type": GROUPS})
    for number in range(count):
        subnets = [
            {
                "id": f"{base}/providers/{VNETS}/vnet{number}/subnets/{name}",
                "name": name,
                "type": f"{VNETS}/subnets",
                "properties": {"addressPrefix": Subnet(name, "10.0.0.0/24").prefix},
            }
            for name in ("one", "two", "three")
        ]
        body = {
            "id": f"{base}/providers/{VNETS}/vnet{number}",
            "name": f"vnet{number}",
            "type": VNETS,
            "location": "eastus",
            "properties": {
                "addressSpace": {"addressPrefixes": ["10.0.0.0/16"]},
                "provisioningState": "Succeeded",
                "subnets": subnets,
            },
        }
        desk.store.put(VNETS, body)
    return f"{base}/providers/{VNETS}/vnet{count // 2}"


def measure(get: Callable[[], None], requests: int) -> list[float]:
    """Milliseconds of each request, sorted."""
    spent = []
    for _ in range(requests):
        begun = time.perf_counter()
        get()
        spent.append((time.perf_counter() - begun) * 1000)
    return sorted(spent)


def client(endpoint: Endpoint, token: str) -> Callable[[str], None]:
    trust = ssl.create_default_context(cafile=str(endpoint.files.authority))
    link = HTTPSConnection("localhost", endpoint.port, context=trust)

    def get(path: str) -> None:
        link.request("GET", f"{path}?api-version=2024-05-01", headers={"Authorization": token})
        answer = link.getresponse()
        content = answer.read()
        assert answer.status == 200, content

    return get


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resources", type=int, default=1000)
    parser.add_argument("--requests", type=int, default=2000)
    options = parser.parse_args()
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as root:
        directory = Path(root)
        layout = LabLayout("bench", directory / "state", directory / "run", directory / "log")
        endpoint = asyncio.run_coroutine_threadsafe(opened(layout), loop).result()

        async def prepare() -> tuple[str, str]:
            token = endpoint.web.tokens.issue()
            return fill(endpoint, options.resources), f"Bearer {token}"

        one, token = asyncio.run_coroutine_threadsafe(prepare(), loop).result()
        get = client(endpoint, token)
        table = Table("GET", "p50 ms", "p99 ms", "max ms")
        for name, path, requests in (
            ("one of them", one, options.requests),
            ("a subnet of one", f"{one}/subnets/two", options.requests),
            ("all of them", one.rpartition("/")[0], max(20, options.requests // 50)),
        ):
            spent = measure(partial(get, path), requests)
            cells = (statistics.median(spent), spent[int(len(spent) * 0.99)], spent[-1])
            table.add_row(name, *(f"{one:.2f}" for one in cells))
        Console().print(f"{options.resources} virtual networks in the store", table)
        asyncio.run_coroutine_threadsafe(endpoint.close(), loop).result()


if __name__ == "__main__":
    main()
