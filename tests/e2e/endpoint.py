"""The lab's ARM endpoint as a program has it: plain HTTPS with a token, and operations followed.

For tests that ask for more than `az` can in the time: each `az` takes a second to start.
"""

from __future__ import annotations

import json
import ssl
import time
import urllib.parse
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any

from podwire.arm.files import ArmFiles
from podwire.model.layout import LabLayout

VERSION = "2024-05-01"


@dataclass(frozen=True)
class Said:
    """An answer: its status, its body ({} for none) and its headers, names in lower case."""

    status: int
    body: dict[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def code(self) -> str:
        return str(self.body.get("error", {}).get("code", ""))


class Arm:
    """lab: its name. A daemon that starts again has the same port and takes the same token."""

    def __init__(self, lab: str) -> None:
        self.files = ArmFiles(LabLayout(lab))
        profile = json.loads((self.files.profile / "azureProfile.json").read_text("utf-8-sig"))
        self.subscription = f"/subscriptions/{profile['subscriptions'][0]['id']}"
        self._trust = ssl.create_default_context(cafile=str(self.files.authority))
        self._port = self._read_port()
        self._token = self._grant()

    def group(self, name: str) -> str:
        return f"{self.subscription}/resourceGroups/{name}"

    def network(self, group: str, kind: str, *names: str) -> str:
        """The id of a resource of Microsoft.Network: kind virtualNetworks, names (vnet,)."""
        return f"{self.group(group)}/providers/Microsoft.Network/{kind}/{'/'.join(names)}"

    def cluster(self, group: str, name: str) -> str:
        base = f"{self.group(group)}/providers/Microsoft.ContainerService"
        return f"{base}/managedClusters/{name}"

    def ask(self, method: str, path: str, body: Any = None) -> Said:
        """One request on a connection of its own."""
        link = HTTPSConnection("localhost", self._port, context=self._trust, timeout=30)
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        mark = "&" if "?" in path else "?"
        url = path if "api-version=" in path else f"{path}{mark}api-version={VERSION}"
        content = None if body is None else json.dumps(body)
        try:
            link.request(method, url, content, headers)
            answer = link.getresponse()
            text = answer.read()
        finally:
            link.close()
        told = {name.lower(): value for name, value in answer.getheaders()}
        return Said(answer.status, json.loads(text) if text else {}, told)

    def get(self, path: str) -> dict[str, Any]:
        said = self.ask("GET", path)
        assert said.status == 200, said
        return said.body

    def begin(self, method: str, path: str, body: Any = None) -> str:
        """Ask for something that takes a while; the path of its operation."""
        said = self.ask(method, path, body)
        assert said.status in (200, 201, 202), said
        where = urllib.parse.urlsplit(said.headers["azure-asyncoperation"])
        return f"{where.path}?{where.query}"

    def end(self, operation: str, seconds: float = 180) -> dict[str, Any]:
        """The operation's last status; a daemon that is away meanwhile is waited for."""
        deadline = time.monotonic() + seconds
        status: dict[str, Any] = {}
        while time.monotonic() < deadline:
            with suppress(OSError, HTTPException):
                status = self.get(operation)
                if status["status"] != "InProgress":
                    return status
            time.sleep(0.05)  # else asking takes one of the cores that are to do it
        raise AssertionError(f"{operation} is not done after {seconds} s: {status}")

    def done(self, method: str, path: str, body: Any = None, seconds: float = 180) -> None:
        status = self.end(self.begin(method, path, body), seconds)
        assert status["status"] == "Succeeded", status

    def _read_port(self) -> int:
        clouds = (self.files.profile / "clouds.config").read_text()
        base = next(line for line in clouds.splitlines() if "resource_manager" in line)
        port = urllib.parse.urlsplit(base.partition("=")[2].strip()).port
        assert port is not None
        return port

    def _grant(self) -> str:
        entries = Path(self.files.profile / "service_principal_entries.json").read_text()
        (entry,) = json.loads(entries)
        form = {
            "grant_type": "client_credentials",
            "client_id": entry["client_id"],
            "client_secret": entry["client_secret"],
        }
        link = HTTPSConnection("localhost", self._port, context=self._trust, timeout=30)
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        link.request("POST", "/adfs/oauth2/token", urllib.parse.urlencode(form), kind)
        return str(json.load(link.getresponse())["access_token"])


def vnet_body(*subnets: tuple[str, str], prefix: str = "10.220.0.0/16") -> dict[str, Any]:
    """subnets: (name, prefix)."""
    listed = [{"name": name, "properties": {"addressPrefix": one}} for name, one in subnets]
    properties = {"addressSpace": {"addressPrefixes": [prefix]}, "subnets": listed}
    return {"location": "eastus", "properties": properties}


def cluster_body(subnet: str, nodes: int = 1, **properties: Any) -> dict[str, Any]:
    """As `az aks create` sends it; properties: of the cluster, over these."""
    pool = {"name": "nodepool1", "count": nodes, "maxPods": 30, "mode": "System"}
    return {
        "location": "eastus",
        "identity": {"type": "SystemAssigned"},
        "properties": {
            "dnsPrefix": "lab",
            "agentPoolProfiles": [{**pool, "vnetSubnetID": subnet, "osType": "Linux"}],
            "networkProfile": {
                "networkPlugin": "azure",
                "serviceCidr": "10.200.0.0/16",
                "dnsServiceIP": "10.200.0.10",
            },
            **properties,
        },
    }
