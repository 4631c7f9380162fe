"""CNI's values: a call, a result, an error. No I/O.

Source: CNI specification 1.1.0 and the shapes of the older ones from 0.1.0.
Must not know how a pod is wired or where addresses come from.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from podwire.model.errors import PodwireError

SUPPORTED = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
DEFAULT_VERSION = "0.2.0"
"""What a configuration without cniVersion means."""
VERBS = ("ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION")
_OF_A_CONTAINER = ("ADD", "DEL", "CHECK")

# Codes of the specification.
INCOMPATIBLE_VERSION = 1
UNSUPPORTED_FIELD = 2
UNKNOWN_CONTAINER = 3
INVALID_ENVIRONMENT = 4
IO_FAILURE = 5
DECODE_FAILURE = 6
INVALID_CONFIG = 7
TRY_AGAIN = 11
NOT_AVAILABLE = 50
"""STATUS: the plugin cannot serve an ADD now."""
LIMITED = 51
"""STATUS: nor that, and the containers that are there may have limited connectivity."""
# Codes of this plugin.
FAILED = 100
"""The call failed; nothing of it is left. Azure CNI uses it for every failure."""
NO_ADDRESS = 101
"""Every address of the pool is held."""
NO_UPLINK = 102
"""The node's own network card cannot be told."""
KERNEL_REFUSED = 103
"""A kernel object could not be made."""
CHECK_FAILED = 104
"""CHECK: the kernel is not as the wiring wants it."""
DELEGATE_FAILED = 105
"""Another IPAM plugin failed or cannot be found."""
INTERNAL = 999
"""A defect of the plugin itself, caught at the process boundary."""


class CniError(PodwireError):
    """What a plugin prints when it fails: code, msg and details of the specification."""

    def __init__(self, code: int, msg: str, details: str = "") -> None:
        super().__init__(msg)
        self.code = code
        self.msg = msg
        self.details = details

    def to_json(self, version: str) -> dict[str, Any]:
        known = version if version in SUPPORTED else SUPPORTED[-1]
        out: dict[str, Any] = {"cniVersion": known, "code": self.code, "msg": self.msg}
        if self.details:
            out["details"] = self.details
        return out


def parse_args(text: str) -> dict[str, str]:
    """CNI_ARGS: KEY=VALUE pairs joined by semicolons, in any order; the last of a key wins."""
    pairs = [pair for pair in text.split(";") if pair.strip()]
    for pair in pairs:
        if "=" not in pair:
            raise CniError(
                INVALID_ENVIRONMENT,
                f"CNI_ARGS: {pair!r} is not KEY=VALUE; join pairs with semicolons",
            )
    split = (pair.strip().partition("=") for pair in pairs)
    return {key: value for key, _, value in split}


@dataclass(frozen=True, slots=True)
class Request:
    """One call of a plugin, as its environment and its stdin give it.

    netns, path: "" when absent; args_text, stdin: as they came, for the log. waiting: whether the
    caller still waits; a process that serves many callers may outlive one that gave up.
    """

    command: str
    container_id: str = ""
    netns: str = ""
    ifname: str = ""
    args: Mapping[str, str] = field(default_factory=dict)
    path: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    args_text: str = ""
    stdin: str = ""
    waiting: Callable[[], bool] = field(default=lambda: True, compare=False, repr=False)

    @classmethod
    def parse(cls, env: Mapping[str, str], stdin: bytes) -> Request:
        """Raises CniError 4 (environment), 6 (stdin)."""
        command = env.get("CNI_COMMAND", "")
        env = {name: _text(name, env.get(name, ""), command) for name in _ENVIRONMENT}
        if command not in VERBS:
            raise CniError(
                INVALID_ENVIRONMENT,
                f"CNI_COMMAND is {command!r}; this plugin knows {', '.join(VERBS)}",
            )
        text, config = decode_config(stdin, empty_ok=command == "VERSION")
        args_text = env.get("CNI_ARGS", "")
        request = cls(
            command=command,
            container_id=env.get("CNI_CONTAINERID", ""),
            netns=env.get("CNI_NETNS", ""),
            ifname=env.get("CNI_IFNAME", ""),
            # A pod whose arguments cannot be read must still be removable.
            args=parse_args(args_text) if command in ("ADD", "CHECK") else {},
            path=env.get("CNI_PATH", ""),
            config=config,
            args_text=args_text,
            stdin=text,
        )
        if command in _OF_A_CONTAINER:
            _check_environment(request)
        return request

    @property
    def previous(self) -> Result | None:
        """The configuration's prevResult. Raises CniError 6 when it makes no sense."""
        raw = self.config.get("prevResult")
        return Result.from_json(raw) if raw else None

    @property
    def version(self) -> str:
        """The cniVersion to answer in, also when the configuration has an unknown one."""
        version = self.config.get("cniVersion") or DEFAULT_VERSION
        return version if version in SUPPORTED else SUPPORTED[-1]

    @property
    def pod_namespace(self) -> str:
        return self.args.get("K8S_POD_NAMESPACE", "")

    @property
    def pod_name(self) -> str:
        return self.args.get("K8S_POD_NAME", "")


def decode_config(stdin: bytes, *, empty_ok: bool = False) -> tuple[str, dict[str, Any]]:
    """stdin as text and as a JSON object. Raises CniError 6."""
    if empty_ok and not stdin.strip():
        return "", {}
    try:
        text = stdin.decode()
        config = json.loads(text)
        if "\\u" in text:  # half a surrogate pair is no text: refused before a log or a path has it
            json.dumps(config, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise CniError(
            DECODE_FAILURE,
            f"Failed to parse network configuration: {error}.",
            "stdin must hold one JSON object, the network configuration",
        ) from error
    if not isinstance(config, dict):
        raise CniError(
            DECODE_FAILURE,
            f"Failed to parse network configuration: stdin is a JSON {type(config).__name__}, "
            "not an object.",
        )
    return text, config


_ENVIRONMENT = ("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS", "CNI_PATH")


def _text(name: str, value: str, command: str) -> str:
    """A variable's value, refused when it is not UTF-8; DEL must not fail for that."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        if command == "DEL":
            return value.encode(errors="replace").decode()
        raise CniError(INVALID_ENVIRONMENT, f"{name} is {value!r}; it must be UTF-8") from error
    return value


def _check_environment(request: Request) -> None:
    check_container_id(request.container_id)
    check_ifname(request.ifname)
    if not request.netns and request.command != "DEL":
        raise CniError(INVALID_ENVIRONMENT, "CNI_NETNS is not set; give the pod's netns path")


def check_container_id(value: str) -> None:
    """Raises CniError 4."""
    if not value:
        raise CniError(INVALID_ENVIRONMENT, "Container ID not specified in CNI Args")
    plain = value.replace("_", "").replace(".", "").replace("-", "")
    if not (value[0].isalnum() and plain.isalnum() and value.isascii()):
        raise CniError(
            INVALID_ENVIRONMENT,
            f"CNI_CONTAINERID is {value!r}; it must start with a letter or digit and hold only "
            "letters, digits, '_', '.' and '-'",
        )


def check_ifname(value: str) -> None:
    """Raises CniError 4."""
    if not value:
        raise CniError(INVALID_ENVIRONMENT, "Interfacename not specified in CNI Args")
    if not valid_link_name(value):
        raise CniError(
            INVALID_ENVIRONMENT,
            f"CNI_IFNAME is {value!r}; a link name has 1 to 15 characters, no '/', ':' or space",
        )


def valid_link_name(value: str) -> bool:
    """Whether Linux takes it as the name of a link (dev_valid_name in net/core/dev.c)."""
    bad = any(char in "/:" or char.isspace() or not char.isprintable() for char in value)
    return 0 < len(value.encode(errors="replace")) <= 15 and value not in (".", "..") and not bad


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


def check_version(version: str) -> str:
    """Raises CniError 1 unless `version` is supported."""
    if version not in SUPPORTED:
        raise CniError(
            INCOMPATIBLE_VERSION,
            f"cniVersion {version!r} is not supported; this plugin knows {', '.join(SUPPORTED)}",
        )
    return version


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
