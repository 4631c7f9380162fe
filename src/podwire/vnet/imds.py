"""The instance metadata service (IMDS) at 169.254.169.254: what a virtual machine is.

Foreign paths are answered at once: a kubelet looks for other clouds' metadata here when it starts.
Source: Azure's documentation of IMDS (instance metadata, `Metadata: true` header, api-version).
"""

from __future__ import annotations

import json
import re
from typing import Any

from podwire.model.vnet import Nic
from podwire.vnet.directory import Host, NicDirectory
from podwire.vnet.http import Handler, Request, Response, not_found

PATH = "/metadata/instance"
_JSON = "application/json; charset=utf-8"
_VERSION = re.compile(r"20\d\d-\d\d-\d\d")
VERSIONS = ("2021-02-01", "2020-09-01", "2020-06-01")
"""What a client is told to ask for; any date is taken."""


def instance_document(host: Host) -> dict[str, Any]:
    """The host as IMDS shows it: `compute` and `network`."""
    return {
        "compute": {
            "azEnvironment": "AzurePublicCloud",
            "location": host.location,
            "name": host.name,
            "osType": "Linux",
            "provider": "Microsoft.Compute",
            "resourceGroupName": host.resource_group,
            "resourceId": _resource_id(host),
            "subscriptionId": host.subscription,
            "vmId": host.vm_id,
            "vmScaleSetName": host.scale_set,
        },
        "network": {"interface": [_interface(host.nic)]},
    }


def _resource_id(host: Host) -> str:
    machine = f"virtualMachines/{host.name}"
    if host.scale_set:
        instance = int(host.name.removeprefix(host.scale_set), 36)
        machine = f"virtualMachineScaleSets/{host.scale_set}/virtualMachines/{instance}"
    return (
        f"/subscriptions/{host.subscription}/resourceGroups/{host.resource_group}"
        f"/providers/Microsoft.Compute/{machine}"
    )


def _interface(nic: Nic) -> dict[str, Any]:
    network = nic.subnet.network
    return {
        "ipv4": {
            "ipAddress": [
                {"privateIpAddress": one, "publicIpAddress": ""} for one in nic.addresses
            ],
            "subnet": [{"address": str(network.network_address), "prefix": str(network.prefixlen)}],
        },
        "ipv6": {"ipAddress": []},
        "macAddress": nic.mac.replace(":", "").upper(),
    }


def imds(directory: NicDirectory) -> Handler:
    """The web service: each client is told of the host that owns its source address."""

    def answer(request: Request) -> Response:
        parts = [one for one in request.path.split("/") if one]
        if parts[:2] != ["metadata", "instance"]:
            return not_found(request)
        if refused := _refusal(request):
            return refused
        host = directory.by_address(request.client)
        if host is None:
            return _error(404, f"No NIC of this VNet owns {request.client}")
        return _part(instance_document(host), parts[2:], request)

    return answer


def _refusal(request: Request) -> Response | None:
    if request.method != "GET":
        return _error(405, "Method not allowed. Only GET is served here")
    if request.headers.get("metadata", "").lower() != "true":
        return _error(400, "Bad request. Required metadata header not specified")
    if "x-forwarded-for" in request.headers:
        return _error(400, "Bad request. The request came through a proxy (X-Forwarded-For)")
    if not _VERSION.fullmatch(request.query.get("api-version", "")):
        reason = "Bad request. api-version was not specified in the request"
        return _error(400, reason, {"newest-versions": VERSIONS})
    return None


def _part(document: Any, parts: list[str], request: Request) -> Response:
    """The document or what is below `parts` in it: a branch as JSON, a leaf also as text."""
    found = document
    for part in parts:
        if isinstance(found, list) and part.isdecimal() and int(part) < len(found):
            found = found[int(part)]
        elif isinstance(found, dict) and part in found:
            found = found[part]
        else:
            return not_found(request)
    if request.query.get("format") == "text":
        if isinstance(found, str):
            return Response(200, found)
        keys = range(len(found)) if isinstance(found, list) else found
        return Response(200, "\n".join(f"{key}" for key in keys))
    return Response(200, json.dumps(found), _JSON)


def _error(status: int, reason: str, more: dict[str, Any] | None = None) -> Response:
    return Response(status, json.dumps({"error": reason, **(more or {})}), _JSON)
