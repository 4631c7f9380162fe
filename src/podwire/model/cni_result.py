"""What an ADD answers: links, addresses, routes, DNS, in the shape of each version. No I/O.

Source: CNI specification 1.1.0 and the shapes of the older ones from 0.1.0.
Must not know how a call is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from podwire.model.cni_error import DECODE_FAILURE, CniError


@dataclass(frozen=True, slots=True)
class Dns:
    nameservers: tuple[str, ...] = ()
    domain: str = ""
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Dns:
        def texts(key: str) -> tuple[str, ...]:
            return tuple(_str(one) for one in raw.get(key) or ())

        return cls(texts("nameservers"), _str(raw.get("domain")), texts("search"), texts("options"))

    def to_json(self) -> dict[str, Any]:
        out = {
            "nameservers": list(self.nameservers),
            "domain": self.domain,
            "search": list(self.search),
            "options": list(self.options),
        }
        return {key: value for key, value in out.items() if value}


@dataclass(frozen=True, slots=True)
class Interface:
    """sandbox: path of the network namespace, "" for a link of the host. mtu: 0 when not told."""

    name: str
    mac: str = ""
    sandbox: str = ""
    mtu: int = 0

    def to_json(self, version: str) -> dict[str, Any]:
        out = {"name": self.name, "mac": self.mac, "mtu": self.mtu, "sandbox": self.sandbox}
        return {key: value for key, value in out.items() if value and _told(key, version)}


@dataclass(frozen=True, slots=True)
class IpConfig:
    """address: CIDR. interface: index into the result's interfaces, None in an IPAM's result."""

    address: str
    gateway: str = ""
    interface: int | None = None

    @property
    def family(self) -> str:
        return "6" if ":" in self.address else "4"

    def to_json(self, *, with_version: bool) -> dict[str, Any]:
        out: dict[str, Any] = {"version": self.family} if with_version else {}
        out["address"] = self.address
        if self.gateway:
            out["gateway"] = self.gateway
        if self.interface is not None:
            out["interface"] = self.interface
        return out


@dataclass(frozen=True, slots=True)
class PodRoute:
    """The numbers are told since 1.1.0, and None when not given."""

    dst: str
    gw: str = ""
    mtu: int | None = None
    advmss: int | None = None
    priority: int | None = None
    table: int | None = None
    scope: int | None = None

    def to_json(self, version: str) -> dict[str, Any]:
        out: dict[str, Any] = {"dst": self.dst, "gw": self.gw or None}
        out |= {key: getattr(self, key) for key in _ROUTE_NUMBERS if _told(key, version)}
        return {key: value for key, value in out.items() if value is not None}


_ROUTE_NUMBERS = ("mtu", "advmss", "priority", "table", "scope")


def _told(key: str, version: str) -> bool:
    """Whether a result of this version has the key."""
    return version == "1.1.0" or key not in _ROUTE_NUMBERS


@dataclass(frozen=True, slots=True)
class Result:
    """What ADD answers."""

    interfaces: tuple[Interface, ...] = ()
    ips: tuple[IpConfig, ...] = ()
    routes: tuple[PodRoute, ...] = ()
    dns: Dns = field(default_factory=Dns)

    def to_json(self, version: str) -> dict[str, Any]:
        """In the shape of the specification `version`."""
        if version in ("0.1.0", "0.2.0"):
            return self._to_old_json(version)
        out: dict[str, Any] = {"cniVersion": version}
        if self.interfaces:
            out["interfaces"] = [one.to_json(version) for one in self.interfaces]
        with_family = version in ("0.3.0", "0.3.1", "0.4.0")
        out["ips"] = [one.to_json(with_version=with_family) for one in self.ips]
        out["routes"] = [one.to_json(version) for one in self.routes]
        out["dns"] = self.dns.to_json()
        return out

    def _to_old_json(self, version: str) -> dict[str, Any]:
        """ip4 and ip6 with one address each; links are not told."""
        out: dict[str, Any] = {"cniVersion": version}
        for key, family in (("ip4", "4"), ("ip6", "6")):
            first = next((one for one in self.ips if one.family == family), None)
            if first is None:
                continue
            routes = [one for one in self.routes if (":" in one.dst) == (family == "6")]
            out[key] = {"ip": first.address, "routes": [one.to_json(version) for one in routes]}
            if first.gateway:
                out[key]["gateway"] = first.gateway
        out["dns"] = self.dns.to_json()
        return out

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Result:
        """Any supported shape. Raises CniError 6."""
        try:
            dns = Dns.from_json(raw.get("dns") or {})
            if "ip4" in raw or "ip6" in raw:
                return _old_result(raw, dns)
            return cls(
                tuple(_interface(one) for one in raw.get("interfaces") or ()),
                tuple(_ip(one, one["address"]) for one in raw.get("ips") or ()),
                _routes(raw.get("routes")),
                dns,
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise CniError(
                DECODE_FAILURE, f"a plugin's result cannot be read: {error!r} in {raw!r}"
            ) from error


def _interface(raw: Mapping[str, Any]) -> Interface:
    texts = (_str(raw["name"]), _str(raw.get("mac")), _str(raw.get("sandbox")))
    return Interface(*texts, _number(raw.get("mtu")) or 0)


def _ip(raw: Mapping[str, Any], address: Any) -> IpConfig:
    return IpConfig(_str(address), _str(raw.get("gateway")), _number(raw.get("interface")))


def _old_result(raw: Mapping[str, Any], dns: Dns) -> Result:
    families = [one for one in (raw.get("ip4"), raw.get("ip6")) if one]
    ips = tuple(replace(_ip(one, one["ip"]), interface=None) for one in families)
    routes = tuple(route for one in families for route in _routes(one.get("routes")))
    return Result(ips=ips, routes=routes, dns=dns)


def _routes(raw: Any) -> tuple[PodRoute, ...]:
    return tuple(
        PodRoute(
            _str(one["dst"]),
            _str(one.get("gw")),
            **{key: _number(one.get(key)) for key in _ROUTE_NUMBERS},
        )
        for one in raw or ()
    )


def _str(value: Any) -> str:
    if not isinstance(value, str | None):
        raise TypeError(f"{value!r} is not a string")
    return value or ""


def _number(value: Any) -> int | None:
    if not isinstance(value, int | None):
        raise TypeError(f"{value!r} is not a number")
    return value
