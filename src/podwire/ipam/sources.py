"""The sources that need no wire server: a file, and a plain range of addresses.

Source of the file's schema: Azure CNI's IPAM (ipam/fileIpam.go, environments mas and fileIpam).
Must not know the ledger.
"""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from podwire.ipam.source import (
    LARGEST,
    Card,
    SubnetAddresses,
    make_subnet,
    parse_mac,
    require_addresses,
)
from podwire.model.errors import InvalidInputError, UnavailableError

MOST = 1 << 14
"""Addresses that a range may have."""


@dataclass(frozen=True, slots=True)
class InterfacesFile:
    """{"Interfaces": [{"MacAddress", "IsPrimary", "IPSubnets": [{"Prefix", "IPAddresses":
    [{"Address", "IsPrimary"}]}]}]}; read again when it was written since."""

    path: str

    @property
    def name(self) -> str:
        try:
            return f"file {self.path} of {os.stat(self.path).st_mtime_ns}"
        except OSError:
            return f"file {self.path}"

    @property
    def local(self) -> bool:
        return True

    def cards(self) -> tuple[Card, ...]:
        try:
            with open(self.path, "rb") as file:
                text = file.read(LARGEST + 1)
            if len(text) > LARGEST:
                raise ValueError(f"it has more than {LARGEST} bytes")
            cards = tuple(_card(one) for one in json.loads(text)["Interfaces"])
        except OSError as error:
            raise UnavailableError(
                f"cannot read {self.path}: {error.strerror}; ipam.environment takes the node's "
                "addresses from it"
            ) from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise UnavailableError(f"{self.path} cannot be understood: {error!r}") from error
        return require_addresses(cards, self.path)


def _card(raw: dict[str, Any]) -> Card:
    subnets = (
        make_subnet(
            one["Prefix"],
            [(ip["Address"], ip.get("IsPrimary") is True) for ip in one.get("IPAddresses") or ()],
        )
        for one in raw.get("IPSubnets") or ()
    )
    return Card(parse_mac(raw["MacAddress"]), raw.get("IsPrimary") is True, tuple(subnets))


@dataclass(frozen=True, slots=True)
class AddressRange:
    """The addresses from `first` to `last` of `subnet`, for machines outside Azure.

    Never the network's, the broadcast and the gateway's address, nor one that `taken` tells (the
    machine's own). `new` fills in the defaults: gateway the first host, the range all hosts.
    """

    subnet: str
    gateway: str
    first: str
    last: str
    taken: Callable[[], Iterable[str]] = tuple

    @classmethod
    def new(
        cls,
        subnet: str,
        gateway: str = "",
        first: str = "",
        last: str = "",
        taken: Callable[[], Iterable[str]] = tuple,
    ) -> AddressRange:
        """Raises InvalidInputError naming the value."""
        network = _parsed(ipaddress.IPv4Network, subnet, "ipam.subnet")
        if network.num_addresses < 4:
            raise InvalidInputError(f"ipam.subnet {subnet} is too small: it must be /30 or larger")
        base, end = network.network_address, network.broadcast_address
        router = _inside(gateway or str(base + 1), network, "ipam.gateway")
        low = _inside(first or str(base + 1), network, "ipam.rangeStart")
        high = _inside(last or str(end - 1), network, "ipam.rangeEnd")
        if int(high) < int(low):
            raise InvalidInputError(f"ipam.rangeEnd {high} is below ipam.rangeStart {low}")
        if int(high) - int(low) >= MOST:
            raise InvalidInputError(
                f"ipam.subnet {subnet} gives more than {MOST} addresses; narrow it by "
                "ipam.rangeStart and ipam.rangeEnd"
            )
        return cls(str(network), str(router), str(low), str(high), taken)

    @property
    def name(self) -> str:
        return f"range {self.first}-{self.last} of {self.subnet} by {self.gateway}"

    @property
    def local(self) -> bool:
        return True

    def cards(self) -> tuple[Card, ...]:
        network = ipaddress.IPv4Network(self.subnet)
        own = [one for one in self.taken() if ":" not in one]
        mine = [one for one in own if ipaddress.IPv4Address(one) in network]
        never = {self.gateway, str(network.network_address), str(network.broadcast_address), *mine}
        numbers = range(
            int(ipaddress.IPv4Address(self.first)), int(ipaddress.IPv4Address(self.last)) + 1
        )
        given = tuple(
            text for one in numbers if (text := str(ipaddress.IPv4Address(one))) not in never
        )
        one = SubnetAddresses(self.subnet, mine[0] if mine else "", given, self.gateway)
        return require_addresses((Card("", True, (one,)),), f"ipam.subnet {self.subnet}")


def _inside(text: str, network: ipaddress.IPv4Network, field: str) -> ipaddress.IPv4Address:
    address: ipaddress.IPv4Address = _parsed(ipaddress.IPv4Address, text, field)
    if address not in network:
        raise InvalidInputError(f"{field} {text} is not in ipam.subnet {network}")
    return address


def _parsed(kind: Callable[[str], Any], text: str, field: str) -> Any:
    try:
        return kind(text)
    except ValueError as error:
        raise InvalidInputError(f"{field} is {text!r}: {error}") from error
