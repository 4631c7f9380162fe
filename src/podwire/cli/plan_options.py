"""What is given to `podwire plan`, read into values. A value that cannot be read is wrong usage."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any

import click

from podwire.model.aks_rules import parse_cidr, parse_ip
from podwire.model.errors import InvalidInputError
from podwire.model.ip_modes import Mode
from podwire.model.node_pool import Pool, Surge
from podwire.model.vnet import Subnet, VNet

_POOL_KEYS = ("min", "max", "max-pods", "surge")
_POOL_SHAPE = f"NAME:COUNT, then any of {', '.join(f':{key}=...' for key in _POOL_KEYS)}"


class Reading(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases only
    """An option's value by a function that raises InvalidInputError or ValueError."""

    def __init__(self, name: str, read: Callable[[str], Any]) -> None:
        self.name = name
        self._read = read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self._read(value)
        except InvalidInputError as error:
            return self.fail(error.args[0], param, ctx)
        except ValueError as error:
            return self.fail(f"{value!r}: {error}", param, ctx)


@dataclass(frozen=True, slots=True)
class PoolWish:
    """A pool as given; max_pods and surge None where it names none of its own."""

    name: str
    count: int
    min_count: int | None
    max_count: int | None
    max_pods: int | None
    surge: Surge | None

    def pool(self, mode: Mode, max_pods: int | None, surge: Surge) -> Pool:
        """Its own max-pods, else the common one, else the mode's default."""
        own = self.max_pods if self.max_pods is not None else max_pods
        return Pool(
            self.name,
            self.count,
            mode.default_max_pods if own is None else own,
            self.surge or surge,
            self.min_count,
            self.max_count,
        )


def read_pool(text: str) -> PoolWish:
    """From "gpu:2:max=10:max-pods=50:surge=33%". Raises ValueError, InvalidInputError."""
    name, _, rest = text.partition(":")
    count, *settings = rest.split(":")
    given = {}
    for setting in settings:
        key, _, value = setting.partition("=")
        if key not in _POOL_KEYS or key in given:
            raise ValueError(f"{setting!r} is not understood; a pool is {_POOL_SHAPE}")
        given[key] = value
    surge = given.pop("surge", None)
    numbers = {key: _number(key, value) for key, value in given.items()}
    return PoolWish(
        name,
        _number("COUNT", count),
        numbers.get("min"),
        numbers.get("max"),
        numbers.get("max-pods"),
        None if surge is None else Surge.parse(surge),
    )


def _number(what: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 8):
        raise ValueError(f"{what} is {text!r}, and must be a number; a pool is {_POOL_SHAPE}")
    return int(text)


def read_subnet(text: str) -> Subnet:
    """From "NAME=CIDR", or "CIDR", whose name is then "" ."""
    name, equals, cidr = text.rpartition("=")
    if equals and not name:
        raise ValueError("no name before the =")
    return Subnet(name, str(parse_cidr(cidr, "addressPrefix")))


def read_cidr(text: str) -> IPv4Network:
    return parse_cidr(text, "CIDR")


def read_ip(text: str) -> str:
    return str(parse_ip(text, "address"))


def as_vnet(prefixes: Iterable[IPv4Network], subnets: Iterable[Subnet]) -> VNet:
    """Without a prefix given, the VNet is what its subnets cover."""
    made = tuple(subnets)
    ranges = tuple(map(str, prefixes)) or tuple(one.prefix for one in made)
    return VNet("vnet", "", ranges, made)
