"""Which source of addresses a configuration chooses, and which address a call asks for.

Source: Azure CNI's ipam.environment; CNI conventions (CNI_ARGS IP, runtimeConfig.ips).
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable, Mapping
from typing import Any

from podwire.cni.settings import Settings
from podwire.ipam.source import Source
from podwire.ipam.wireserver import WireServer
from podwire.model.cni import Request
from podwire.model.cni_error import INVALID_CONFIG, INVALID_ENVIRONMENT, CniError
from podwire.model.errors import InvalidInputError

ENVIRONMENTS = ("azure", "mas", "fileIpam", "range")
_RANGE = ("subnet", "gateway", "rangeStart", "rangeEnd")


def source_of(request: Request | None, settings: Settings) -> Source:
    """The source that `ipam.environment` names; the wire server by default.

    Raises CniError 7 with the field and the value.
    """
    ipam = _ipam(request)
    kind = ipam.get("environment") or "azure"
    if kind == "azure":
        return WireServer(settings.wire_server_url, settings.wire_server_timeout)
    from podwire.ipam.sources import AddressRange, InterfacesFile  # late: most nodes need neither

    if kind in ("mas", "fileIpam"):
        return InterfacesFile(settings.interfaces_file)
    if kind != "range":
        raise CniError(
            INVALID_CONFIG,
            f"Invalid configuration: ipam.environment is {json.dumps(kind)}; it must be "
            + " or ".join(ENVIRONMENTS),
        )
    try:
        subnet, gateway, first, last = (_text(ipam, key) for key in _RANGE)
        return AddressRange.new(subnet, gateway, first, last, _own_addresses)
    except InvalidInputError as error:
        raise CniError(INVALID_CONFIG, f"Invalid configuration: {error}") from error


def wanted(request: Request) -> tuple[str, str, str]:
    """(subnet, IPv4 address, IPv6 address) that an address must be of and be, "" for any.

    The first of each family in runtimeConfig.ips, IP of CNI_ARGS, ipam.ipAddress. Raises CniError
    4, 7.
    """
    ipam = _ipam(request)
    told = request.config.get("runtimeConfig") or {}
    if not isinstance(told, dict):
        raise CniError(INVALID_CONFIG, f"runtimeConfig is {json.dumps(told)}; give an object")
    given = told.get("ips") or []
    if not isinstance(given, list):
        raise CniError(INVALID_CONFIG, f"runtimeConfig.ips is {json.dumps(given)}; give a list")
    texts = [(one, "runtimeConfig.ips", INVALID_CONFIG) for one in given]
    texts += [(request.args.get("IP", ""), "IP in CNI_ARGS", INVALID_ENVIRONMENT)]
    texts += [(ipam.get("ipAddress") or "", "ipam.ipAddress", INVALID_CONFIG)]
    parsed = [_address(*one) for one in texts if one[0]]
    address = next((one for one in parsed if ":" not in one), "")
    address6 = next((one for one in parsed if ":" in one), "")
    return _text(ipam, "subnet"), address, address6


def _address(text: object, field: str, code: int) -> str:
    try:
        if isinstance(text, str):
            return str(ipaddress.ip_interface(text).ip)
    except ValueError:
        pass
    raise CniError(code, f"{field} is {json.dumps(text)}; it must be an address of the node's NIC")


def _ipam(request: Request | None) -> Mapping[str, Any]:
    ipam = request.config.get("ipam") if request else None
    return ipam if isinstance(ipam, dict) else {}


def _text(ipam: Mapping[str, Any], key: str) -> str:
    value = ipam.get(key) or ""
    if not isinstance(value, str):
        raise CniError(INVALID_CONFIG, f"ipam.{key} is {json.dumps(value)}; it must be a string")
    return value


def _own_addresses() -> Iterable[str]:
    from podwire.kernel.netns import NetNamespace
    from podwire.kernel.rtnetlink import RtNetlink

    with NetNamespace.current() as host, RtNetlink(host) as door:
        return [one.cidr.partition("/")[0] for one in door.addresses()]
