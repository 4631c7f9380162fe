"""The configuration as a value, out of the YAML (or JSON) of the ConfigMap's key. Pure.

Source: kubernetes-sigs/ip-masq-agent, "Configuring the agent" (keys, defaults, at most 64 CIDRs, a
CIDR must be a network's own address). Stricter than that: a key that nobody knows is refused, since
a misspelt `nonMasqueradeCIDRs` would silently masquerade everything.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Any

import yaml

LINK_LOCAL = "169.254.0.0/16"
_PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
_CIDRS, _LINK_LOCAL, _RESYNC = "nonMasqueradeCIDRs", "masqLinkLocal", "resyncInterval"
_IGNORED = "masqLinkLocalIPv6"
_MOST = 64
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")


class ConfigError(ValueError):
    """What is wrong, in words for whoever edited the ConfigMap."""


@dataclass(frozen=True, slots=True)
class Config:
    """cidrs: whose packets keep their source; resync: seconds after which the chain is looked at
    again."""

    cidrs: tuple[str, ...] = _PRIVATE
    masq_link_local: bool = False
    resync: float = 60.0


def parse(text: str) -> Config:
    """The configuration in `text`; a key that is left out: no CIDRs, no masquerading of link-local
    destinations, 60 s. Raises ConfigError."""
    document = _load(text)
    if unknown := sorted(set(document) - {_CIDRS, _LINK_LOCAL, _RESYNC, _IGNORED}, key=str):
        raise ConfigError(
            f"{unknown[0]!r} is no key of this configuration; there are {_CIDRS}, {_LINK_LOCAL} "
            f"and {_RESYNC}"
        )
    masq_link_local = document.get(_LINK_LOCAL)
    if not isinstance(masq_link_local, bool | None):
        raise ConfigError(f"{_LINK_LOCAL} must be true or false, not {masq_link_local!r}")
    return Config(
        _cidrs(document.get(_CIDRS)), bool(masq_link_local), _seconds(document.get(_RESYNC, "60s"))
    )


def _load(text: str) -> dict[Any, Any]:
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigError(f"it is no YAML: {_said(error)}") from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigError(f"it must be a mapping with the key {_CIDRS}, not {_short(document)}")
    return document


def _said(error: Exception) -> str:
    """One line, with the place in the text where that is known."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return " ".join(str(error).split())
    return f"line {mark.line + 1}: {getattr(error, 'problem', '')}"


def _cidrs(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise ConfigError(f"{_CIDRS} must be a list of CIDRs, not {_short(value)}")
    if len(value) > _MOST:
        raise ConfigError(f"{_CIDRS} has {len(value)} CIDRs; at most {_MOST} are supported")
    return tuple(dict.fromkeys(_cidr(one) for one in value))


def _cidr(value: Any) -> str:
    """As iptables prints it."""
    if not isinstance(value, str) or "/" not in value:
        raise ConfigError(f"{_short(value)} is no CIDR; write it as in 10.0.0.0/8")
    try:
        network = ipaddress.ip_network(value, strict=False)
    except ValueError as error:
        raise ConfigError(f"{value!r} is no CIDR: {error}") from error
    if network.version != 4:
        raise ConfigError(f"{value!r} is IPv6; this agent masquerades IPv4 alone")
    if ipaddress.ip_address(value.split("/")[0]) != network.network_address:
        raise ConfigError(f"{value!r} is not a network's own address; did you mean {network}?")
    return str(network)


def _seconds(value: Any) -> float:
    """Of a duration as Go writes it: 60s, 1m30s, 1h."""
    if not isinstance(value, str) or not re.fullmatch(rf"(?:{_PART.pattern})+", value):
        raise ConfigError(f"{_RESYNC} must be a duration as in 60s or 1m30s, not {_short(value)}")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(value))
    if seconds < 1:
        raise ConfigError(f"{_RESYNC} must be at least 1s, not {value}")
    return seconds


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
