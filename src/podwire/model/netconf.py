"""A network configuration, read and refused field by field. No I/O.

Source: Azure CNI's configuration keys (cni/netconfig.go), CNI specification 1.0.0.
Must not know how a pod is wired.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from podwire.model.cni import valid_link_name
from podwire.model.cni_error import DEFAULT_VERSION, INVALID_CONFIG, CniError, check_version
from podwire.model.cni_result import Dns, Result

MODES = ("tunnel", "bridge", "transparent", "transparent-vlan")


class _Fields:
    """Reads typed fields of a JSON object; a wrong one is a CniError 7 with its path and value."""

    def __init__(self, raw: Mapping[str, Any], path: str = "") -> None:
        self.raw = raw
        self.path = path

    def bad(self, key: str, value: object, wanted: str) -> CniError:
        shown = json.dumps(value, default=str)
        return CniError(
            INVALID_CONFIG,
            f"network configuration: {self.path}{key} is {shown}; it must be {wanted}",
        )

    def text(
        self, key: str, default: str = "", ok: Callable[[str], bool] | None = None, wanted: str = ""
    ) -> str:
        value = self.raw.get(key)
        if value is None or value == "":
            return default
        if not isinstance(value, str):
            raise self.bad(key, value, wanted or "a string")
        if ok is not None and not ok(value):
            raise self.bad(key, value, wanted)
        return value

    def flag(self, key: str) -> bool:
        value = self.raw.get(key) or False
        if not isinstance(value, bool):
            raise self.bad(key, value, "true or false")
        return value

    def texts(
        self, key: str, ok: Callable[[str], bool] | None = None, wanted: str = "a string"
    ) -> tuple[str, ...]:
        value = self.raw.get(key) or []
        if not isinstance(value, list):
            raise self.bad(key, value, "a list")
        for at, one in enumerate(value):
            if not isinstance(one, str) or (ok is not None and not ok(one)):
                raise self.bad(f"{key}[{at}]", one, wanted)
        return tuple(value)

    def object(self, key: str) -> dict[str, Any]:
        value = self.raw.get(key) or {}
        if not isinstance(value, dict):
            raise self.bad(key, value, "an object")
        return value


def _is_file_name(value: str) -> bool:
    """It is looked up on CNI_PATH and executed: nothing that leads out of there."""
    return "/" not in value and value not in (".", "..") and value.isprintable()


def _is_ipv4(value: str) -> bool:
    try:
        ipaddress.IPv4Address(value)
    except ValueError:
        return False
    return True


def _is_subnet(value: str) -> bool:
    try:
        ipaddress.ip_network(value)
    except ValueError:
        return False
    return True


def _dns(raw: Mapping[str, Any]) -> Dns:
    fields = _Fields(raw, "dns.")
    return Dns(
        fields.texts("nameservers"),
        fields.text("domain"),
        fields.texts("search"),
        fields.texts("options"),
    )


@dataclass(frozen=True, slots=True)
class IpamConf:
    """The `ipam` object. raw: as it came, for a plugin that it is handed to."""

    type: str = ""
    subnet: str = ""
    ip_address: str = ""
    raw: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> IpamConf:
        """The one in the configuration of any network plugin. Raises CniError 1 and 7."""
        fields = _Fields(raw)
        check_version(fields.text("cniVersion", DEFAULT_VERSION))
        fields.text("name")
        return cls.from_json(fields.object("ipam"))

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> IpamConf:
        fields = _Fields(raw, "ipam.")
        return cls(
            type=fields.text("type", "", _is_file_name, "a plugin's file name"),
            subnet=fields.text("subnet", "", _is_subnet, "a CIDR such as 10.220.2.0/24"),
            ip_address=fields.text("ipAddress", "", _is_ipv4, "an IPv4 address"),
            raw=raw,
        )


@dataclass(frozen=True, slots=True)
class NetConf:
    """What azure-vnet reads of a network configuration; other keys are ignored.

    mode: one of MODES; "tunnel" when not given, as in Azure CNI. previous: prevResult.
    """

    name: str
    cni_version: str = DEFAULT_VERSION
    type: str = ""
    mode: str = "tunnel"
    master: str = ""
    bridge: str = ""
    ips_to_route_via_host: tuple[str, ...] = ()
    multi_tenancy: bool = False
    ipam: IpamConf = field(default_factory=IpamConf)
    dns: Dns = field(default_factory=Dns)
    previous: Result | None = None

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> NetConf:
        """Raises CniError 1 (cniVersion) and 7 (any other field, with its path and value)."""
        fields = _Fields(raw)
        link = "a link name of 1 to 15 characters"
        name = fields.text("name")
        if not name:
            raise fields.bad("name", raw.get("name"), "the network's name, as in azure")
        previous = fields.object("prevResult")
        return cls(
            name=name,
            cni_version=check_version(fields.text("cniVersion", DEFAULT_VERSION)),
            type=fields.text("type"),
            mode=fields.text("mode", "tunnel", lambda one: one in MODES, " or ".join(MODES)),
            master=fields.text("master", "", valid_link_name, link),
            bridge=fields.text("bridge", "", valid_link_name, link),
            ips_to_route_via_host=fields.texts("ipsToRouteViaHost", _is_ipv4, "an IPv4 address"),
            multi_tenancy=fields.flag("multiTenancy"),
            ipam=IpamConf.from_json(fields.object("ipam")),
            dns=_dns(fields.object("dns")),
            previous=Result.from_json(previous) if previous else None,
        )
