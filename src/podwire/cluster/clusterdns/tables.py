"""What the API server told us, in the shape that names are looked up in.

Values only: no sockets, no DNS. Kept small: of each object only what DNS needs.
Source: Kubernetes API, core/v1 Service, Endpoints and Namespace.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Key = tuple[str, str]
"""(namespace, name)"""


@dataclass(frozen=True, slots=True)
class Port:
    """protocol: tcp, udp or sctp. name: "" when the Service's only port has none."""

    name: str
    protocol: str
    number: int


@dataclass(frozen=True, slots=True)
class Service:
    """addresses: cluster IPs, none when headless. external: an ExternalName's CNAME, or ""."""

    addresses: tuple[str, ...] = ()
    external: str = ""
    ports: tuple[Port, ...] = ()

    @property
    def headless(self) -> bool:
        return not self.addresses and not self.external


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One ready address behind a Service. host: its label below the Service's name."""

    address: str
    host: str
    ports: tuple[Port, ...] = ()


@dataclass(slots=True)
class Tables:
    """Everything known now. `changed` is called by whoever edits the mappings."""

    services: dict[Key, Service] = field(default_factory=dict)
    endpoints: dict[Key, tuple[Endpoint, ...]] = field(default_factory=dict)
    namespaces: dict[Key, bool] = field(default_factory=dict)
    _reverse: dict[str, tuple[str, ...]] | None = None

    def changed(self) -> None:
        self._reverse = None

    def has_namespace(self, name: str) -> bool:
        return ("", name) in self.namespaces

    def named(self, address: str) -> tuple[str, ...]:
        """The names of an address, below svc.<domain>: of a Service, or of its endpoints."""
        if self._reverse is None:
            found: dict[str, list[str]] = {}
            for name, owner in self._names():
                found.setdefault(owner, []).append(name)
            self._reverse = {owner: tuple(names) for owner, names in found.items()}
        return self._reverse.get(address, ())

    def _names(self) -> Iterator[tuple[str, str]]:
        for (namespace, name), service in self.services.items():
            for address in service.addresses:
                yield f"{name}.{namespace}", address
            if service.headless:
                for endpoint in self.endpoints.get((namespace, name), ()):
                    yield f"{endpoint.host}.{name}.{namespace}", endpoint.address


def key_of(document: Mapping[str, Any]) -> Key:
    metadata = document["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def read_service(document: Mapping[str, Any]) -> Service:
    spec = document.get("spec", {})
    if spec.get("type") == "ExternalName":
        return Service(external=str(spec.get("externalName", "")).rstrip("."))
    given = spec.get("clusterIPs") or [spec.get("clusterIP", "")]
    addresses = tuple(one for one in given if one and one != "None")
    return Service(addresses, ports=_ports(spec.get("ports"), "port"))


def read_endpoints(document: Mapping[str, Any]) -> tuple[Endpoint, ...]:
    """Ready addresses alone (of a Service that publishes unready ones, they are among these)."""
    found = []
    for subset in document.get("subsets") or ():
        ports = _ports(subset.get("ports"), "port")
        for one in subset.get("addresses") or ():
            address = one["ip"]
            host = one.get("hostname") or address.replace(".", "-").replace(":", "-")
            found.append(Endpoint(address, host, ports))
    return tuple(found)


def read_namespace(_document: Mapping[str, Any]) -> bool:
    return True


def _ports(documents: Any, number: str) -> tuple[Port, ...]:
    return tuple(
        Port(one.get("name", ""), one.get("protocol", "TCP").lower(), int(one[number]))
        for one in documents or ()
    )
