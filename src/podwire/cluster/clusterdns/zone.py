"""Names of the cluster to answers: a pure function over the tables.

Must not know where tables come from or how answers travel.
Source: Kubernetes DNS-Based Service Discovery, schema version 1.1.0; RFC 2308 (negative answers).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from .tables import Endpoint, Key, Port, Service, Tables

SCHEMA_VERSION = "1.1.0"
TTL = 5
NOERROR, NXDOMAIN = 0, 3
_REVERSE = ".in-addr.arpa"
_REVERSE_6 = ".ip6.arpa"


@dataclass(frozen=True, slots=True)
class Record:
    """kind: A, AAAA, CNAME, NS, PTR, SOA, SRV or TXT; data: as a zone file writes it.

    Names are lower case, without the final dot.
    """

    name: str
    kind: str
    data: str
    ttl: int = TTL


@dataclass(frozen=True, slots=True)
class Answer:
    """rcode: NOERROR or NXDOMAIN. follow: the target of a CNAME that is for others to resolve."""

    rcode: int = NOERROR
    records: tuple[Record, ...] = ()
    authority: tuple[Record, ...] = ()
    additional: tuple[Record, ...] = ()
    follow: str = ""


@dataclass(slots=True)
class Zone:
    """The cluster's names below `domain`. address: where this DNS itself is reached."""

    domain: str
    address: str
    tables: Tables = field(default_factory=Tables)

    def resolve(self, name: str, kind: str) -> Answer | None:
        """The answer for a lower-case `name` without final dot; None when it is not ours.

        kind: the record type's name; ANY is answered as A.
        """
        kind = "A" if kind == "ANY" else kind
        if name.endswith((_REVERSE, _REVERSE_6)):
            return self._reverse(name, kind)
        if name != self.domain and not name.endswith(f".{self.domain}"):
            return None
        labels = name[: -len(self.domain)].rstrip(".").split(".")[::-1]
        return self._inside(name, kind, labels if labels != [""] else [])

    def _inside(self, name: str, kind: str, labels: list[str]) -> Answer:
        """labels: those below the domain, the nearest to it first."""
        match labels:
            case []:
                return self._apex(name, kind)
            case ["svc" | "pod" | "dns"]:
                return self._nothing()
            case ["dns-version"]:
                return self._of(kind, [Record(name, "TXT", f'"{SCHEMA_VERSION}"')])
            case ["dns", "ns"]:
                return self._of(kind, [_address(name, self.address)])
            case ["svc" | "pod", namespace] if self.tables.has_namespace(namespace):
                return self._nothing()
            case ["pod", namespace, dashed]:
                return self._pod(name, kind, namespace, dashed)
            case ["svc", namespace, service, *rest] if len(rest) <= 2:
                return self._service(name, kind, (namespace, service), rest)
        return self._nothing(NXDOMAIN)

    def _apex(self, name: str, kind: str) -> Answer:
        server = f"ns.dns.{self.domain}"
        own = [Record(name, "NS", server), self._soa()]
        extra = (_address(server, self.address),) if kind == "NS" else ()
        return self._of(kind, own, extra)

    def _pod(self, name: str, kind: str, namespace: str, dashed: str) -> Answer:
        parts = dashed.split("-")
        text = ".".join(parts) if len(parts) == 4 else ":".join(parts)
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return self._nothing(NXDOMAIN)
        if not self.tables.has_namespace(namespace):
            return self._nothing(NXDOMAIN)
        return self._of(kind, [_address(name, str(address))])

    def _service(self, name: str, kind: str, key: Key, rest: list[str]) -> Answer:
        """rest: the labels below the Service's name, the nearest to it first."""
        service = self.tables.services.get(key)
        if service is None:
            return self._nothing(NXDOMAIN)
        if service.external:
            return self._external(name, kind, service) if not rest else self._nothing(NXDOMAIN)
        match rest:
            case []:
                return self._service_itself(name, kind, key, service)
            case [protocol, *port] if protocol.startswith("_"):
                return self._srv(name, kind, key, [protocol, *port])
            case [host] if service.headless:
                found = [_address(name, one.address) for one in self._endpoints(key, host)]
                return self._of(kind, found) if found else self._nothing(NXDOMAIN)
        return self._nothing(NXDOMAIN)

    def _service_itself(self, name: str, kind: str, key: Key, service: Service) -> Answer:
        found = service.addresses or [one.address for one in self._endpoints(key)]
        if not found:
            return self._nothing(NXDOMAIN)
        if kind == "SRV":
            return self._srv(name, kind, key, [])
        return self._of(kind, [_address(name, one) for one in dict.fromkeys(found)])

    def _external(self, name: str, kind: str, service: Service) -> Answer:
        """The CNAME and, when the target is in this zone, what it leads to (one step)."""
        alias = Record(name, "CNAME", service.external)
        target = service.external.lower()
        ours = target.endswith(f".{self.domain}")
        if kind == "CNAME" or (ours and self._is_external(target)):
            return Answer(records=(alias,))
        beyond = self.resolve(target, kind) if ours else None
        if beyond is None:
            return Answer(records=(alias,), follow=service.external)
        return Answer(beyond.rcode, (alias, *beyond.records), beyond.authority, beyond.additional)

    def _is_external(self, name: str) -> bool:
        service, namespace, *_ = [*name.split("."), ""]
        found = self.tables.services.get((namespace, service))
        return bool(found and found.external)

    def _srv(self, name: str, kind: str, key: Key, rest: list[str]) -> Answer:
        """rest: [], [_protocol] or [_protocol, _port]; one record per port and target."""
        found: list[Record] = []
        extra: list[Record] = []
        for target, address, port in self._targets(key):
            if rest == [f"_{port.protocol}", f"_{port.name}"][: len(rest)] and port.name:
                found.append(Record(name, "SRV", f"0 100 {port.number} {target}"))
                extra.append(_address(target, address))
        if not found:
            return self._nothing(NXDOMAIN if rest else NOERROR)
        if len(rest) == 1:
            return self._nothing()
        return self._of(kind, _unique(found), _unique(extra))

    def _targets(self, key: Key) -> Iterator[tuple[str, str, Port]]:
        """(host name, address, port) of everything that a Service's SRV records may name."""
        service = self.tables.services[key]
        own = f"{key[1]}.{key[0]}.svc.{self.domain}"
        if service.headless:
            for endpoint in self._endpoints(key):
                for port in endpoint.ports:
                    yield f"{endpoint.host}.{own}", endpoint.address, port
            return
        for address in service.addresses:
            for port in service.ports:
                yield own, address, port

    def _endpoints(self, key: Key, host: str = "") -> list[Endpoint]:
        every = self.tables.endpoints.get(key, ())
        return [one for one in every if not host or one.host.lower() == host]

    def _reverse(self, name: str, kind: str) -> Answer | None:
        """Names of an address that we know; any other reverse name is for others to answer."""
        address = address_of(name)
        found = self.tables.named(address) if address else ()
        if not found:
            return None
        return self._of(kind, [Record(name, "PTR", f"{one}.svc.{self.domain}") for one in found])

    def _of(
        self, kind: str, records: Iterable[Record], additional: Iterable[Record] = ()
    ) -> Answer:
        """Those of `records` that were asked for; no data when there are none."""
        wanted = tuple(one for one in records if one.kind == kind)
        return Answer(NOERROR, wanted, (), tuple(additional)) if wanted else self._nothing()

    def _nothing(self, rcode: int = NOERROR) -> Answer:
        """No such name, or no data of that type: the SOA says how long that may be believed."""
        return Answer(rcode, authority=(self._soa(),))

    def _soa(self) -> Record:
        numbers = f"1 7200 1800 86400 {TTL}"
        return Record(
            self.domain, "SOA", f"ns.dns.{self.domain} hostmaster.{self.domain} {numbers}"
        )


def _address(name: str, address: str) -> Record:
    return Record(name, "AAAA" if ":" in address else "A", address)


def _unique(records: Iterable[Record]) -> list[Record]:
    return list(dict.fromkeys(records))


def address_of(name: str) -> str:
    """10.0.200.10.in-addr.arpa -> 10.200.0.10; "" when it is no whole address."""
    if name.endswith(_REVERSE):
        text = ".".join(reversed(name.removesuffix(_REVERSE).split(".")))
    else:
        nibbles = "".join(reversed(name.removesuffix(_REVERSE_6).split(".")))
        text = ":".join(nibbles[at : at + 4] for at in range(0, len(nibbles), 4))
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return ""
