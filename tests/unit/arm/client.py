"""A client of the endpoint without a socket: requests go straight into the application, on a loop
that runs only while one is under way."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx

from podwire.arm.registry import build
from podwire.arm.store import ArmStore
from podwire.arm.tokens import Tokens
from podwire.arm.web import Web
from tests.unit.arm.paper_lab import PaperLab

SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
S = f"/subscriptions/{SUBSCRIPTION}"
RG = f"{S}/resourceGroups/NetworkLab"
NET = f"{RG}/providers/Microsoft.Network"
VNET = f"{NET}/virtualNetworks/aksvnet"
AZURECNI = f"{VNET}/subnets/azurecni"
AKS = f"{RG}/providers/Microsoft.ContainerService/managedClusters"
CLUSTER = f"{AKS}/azurecni-cluster"
NODES = f"{S}/resourceGroups/MC_NetworkLab_azurecni-cluster_eastus"
PORT = 8443


class Client:
    """lab: what it acts on; path: the store's, which outlives the client."""

    def __init__(self, path: Path, lab: PaperLab | None = None) -> None:
        self.loop = asyncio.new_event_loop()
        self.lab = lab or self.run(_paper_lab())
        self.store = ArmStore(path)
        self.tokens = Tokens.ensure(self.store)
        self.dispatcher = build(SUBSCRIPTION, self.store, self.lab, lambda _: None)
        app = Web(self.dispatcher, self.tokens, PORT)
        transport = httpx.ASGITransport(app)
        base = f"https://localhost:{PORT}"
        self.http = httpx.AsyncClient(transport=transport, base_url=base)
        self.token = self.tokens.issue()
        self.run(self._resume())

    async def _resume(self) -> None:
        self.dispatcher.desk.operations.resume()

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        version: str = "2024-05-01",
        **headers: str,
    ) -> httpx.Response:
        """headers: with _ for -."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        url = (
            path
            if "api-version=" in path
            else f"{path}{'&' if '?' in path else '?'}api-version={version}"
        )
        return self.run(
            self.http.request(
                method, url, json=body, headers={"Authorization": f"Bearer {self.token}", **named}
            )
        )

    def done(self, answer: httpx.Response) -> dict[str, Any]:
        """Follow the operation that an answer began to its end; its status body."""
        assert answer.status_code in (200, 201, 202), answer.text
        link = answer.headers["Azure-AsyncOperation"]
        while True:
            status = self.ask("GET", link.removeprefix(f"https://localhost:{PORT}")).json()
            if status["status"] != "InProgress":
                return status

    def put(self, path: str, body: Any) -> dict[str, Any]:
        """PUT it and see it done; the resource then."""
        status = self.done(self.ask("PUT", path, body))
        assert status["status"] == "Succeeded", status
        return self.ask("GET", path).json()

    def document(self) -> None:
        """The document's group and VNet."""
        assert self.ask("PUT", RG, {"location": "eastus"}).status_code == 201
        space = {"addressSpace": {"addressPrefixes": ["10.220.0.0/16"]}}
        self.put(VNET, {"location": "eastus", "properties": space})
        for number, name in enumerate(("kubenet", "azurecni", "services"), 1):
            prefix = {"addressPrefix": f"10.220.{number}.0/24"}
            self.put(f"{VNET}/subnets/{name}", {"properties": prefix})

    def close(self) -> None:
        """As when the daemon ends: what is under way stays noted."""
        self.run(self.dispatcher.desk.operations.close())
        self.run(self.http.aclose())
        self.store.close()
        self.loop.close()


async def _paper_lab() -> PaperLab:
    return PaperLab()


def cluster(**properties: Any) -> dict[str, Any]:
    """The body that `az aks create` of the document sends."""
    return {
        "location": "eastus",
        "identity": {"type": "SystemAssigned"},
        "sku": {"name": "Base", "tier": "Free"},
        "properties": {
            "kubernetesVersion": "",
            "dnsPrefix": "azurecni-c-NetworkLab-111111",
            "enableRBAC": True,
            "addonProfiles": {},
            "agentPoolProfiles": [
                {
                    "name": "nodepool1",
                    "count": 3,
                    "vmSize": "",
                    "osType": "Linux",
                    "vnetSubnetID": AZURECNI,
                    "type": "VirtualMachineScaleSets",
                    "mode": "System",
                }
            ],
            "networkProfile": {
                "networkPlugin": "azure",
                "serviceCidr": "10.200.0.0/16",
                "dnsServiceIP": "10.200.0.10",
            },
            **properties,
        },
    }
