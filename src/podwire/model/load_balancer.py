"""Load balancers as values: frontends, rules, probes and the backends behind them.

Says what is a well-formed one; must not know who does the balancing, nor Kubernetes.
Source: Microsoft.Network/loadBalancers (Standard SKU), Azure Load Balancer's health probes,
distribution modes and floating IP.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from typing import Literal, TypeAlias

from podwire.model.errors import InvalidInputError

PUBLIC_RANGE = "198.18.0.0/15"
"""Where the lab's public addresses come from: RFC 2544's range for benchmarks, which nobody has in
the Internet and AKS does not reserve. Reachable inside the lab's VNets alone."""

Transport: TypeAlias = Literal["tcp", "udp"]
ProbeProtocol: TypeAlias = Literal["tcp", "http", "https"]
Persistence: TypeAlias = Literal["Default", "SourceIP", "SourceIPProtocol"]
"""Which flows go to one backend: of the same five values, the same two addresses, or the same
two addresses and protocol."""


@dataclass(frozen=True, slots=True)
class Frontend:
    """An address that the balancer owns. subnet: the name of its subnet, "" for a public one."""

    name: str
    address: str
    subnet: str = ""

    @property
    def public(self) -> bool:
        return not self.subnet


@dataclass(frozen=True, slots=True)
class Probe:
    """How a backend shows that it is healthy. interval: seconds, also how long an answer may take.

    threshold: after how many failures in a row a backend is taken out; one success takes it in.
    path: of HTTP and HTTPS, where nothing but status 200 is a success.
    """

    name: str
    protocol: ProbeProtocol
    port: int
    path: str = "/"
    interval: float = 5.0
    threshold: int = 2


@dataclass(frozen=True, slots=True)
class Rule:
    """What comes to a port of a frontend goes to a port of one of the backends.

    frontend, probe: names; without a probe every backend is healthy. floating: the packet arrives
    with the frontend's address (direct server return), else with the backend's own and
    backend_port. idle_minutes: how long a silent flow keeps its backend. sources: CIDRs of clients,
    none means all (what the security group of an AKS cluster's nodes enforces).
    """

    name: str
    frontend: str
    protocol: Transport
    frontend_port: int
    backend_port: int
    floating: bool = False
    idle_minutes: int = 4
    persistence: Persistence = "Default"
    probe: str = ""
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LoadBalancer:
    """backends: primary addresses of NICs, in one pool that serves every rule."""

    name: str
    resource_group: str
    frontends: tuple[Frontend, ...] = ()
    rules: tuple[Rule, ...] = ()
    probes: tuple[Probe, ...] = ()
    backends: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Which load balancer this is: resource_group/name in lower case."""
        return f"{self.resource_group}/{self.name}".lower()

    def frontend(self, name: str) -> Frontend:
        """Of a checked balancer: it has every frontend that its rules name."""
        return next(one for one in self.frontends if one.name == name)

    def probe_of(self, rule: Rule) -> Probe | None:
        return next((one for one in self.probes if one.name == rule.probe), None)


def check_load_balancer(lb: LoadBalancer) -> None:
    """Raises InvalidInputError that names the first thing that no balancer can be."""
    _check_unique(lb, "frontend", (one.name for one in lb.frontends))
    _check_unique(lb, "frontend address", (one.address for one in lb.frontends))
    _check_unique(lb, "rule", (one.name for one in lb.rules))
    _check_unique(lb, "probe", (one.name for one in lb.probes))
    served = (f"{one.frontend} {one.protocol}/{one.frontend_port}" for one in lb.rules)
    _check_unique(lb, "frontend port", served)
    for address in (*(one.address for one in lb.frontends), *lb.backends):
        _check_address(lb, address)
    for probe in lb.probes:
        _check_probe(lb, probe)
    for rule in lb.rules:
        _check_rule(lb, rule)


def _refused(lb: LoadBalancer, what: str) -> InvalidInputError:
    return InvalidInputError(f"load balancer {lb.name}: {what}", target=lb.name)


def _check_unique(lb: LoadBalancer, what: str, values: Iterable[str]) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise _refused(lb, f"{what} {value} is there twice; give each its own")
        seen.add(value)


def _check_address(lb: LoadBalancer, text: str) -> None:
    try:
        IPv4Address(text)
    except AddressValueError as error:
        raise _refused(lb, f"{text!r} is no IPv4 address: {error}") from error


def _check_port(lb: LoadBalancer, owner: str, port: int) -> None:
    if not 0 < port < 65536:
        raise _refused(lb, f"{owner} has port {port}; take one of 1 to 65535")


def _check_probe(lb: LoadBalancer, probe: Probe) -> None:
    _check_port(lb, f"probe {probe.name}", probe.port)
    if probe.interval <= 0 or probe.threshold < 1:
        raise _refused(lb, f"probe {probe.name} needs an interval above 0 and a threshold of 1")
    if any(one in probe.path for one in " \r\n"):
        raise _refused(lb, f"probe {probe.name} has a blank in its path {probe.path!r}; quote it")


def _check_rule(lb: LoadBalancer, rule: Rule) -> None:
    if rule.frontend not in {one.name for one in lb.frontends}:
        raise _refused(lb, f"rule {rule.name} names frontend {rule.frontend!r}, which is not there")
    if rule.probe and lb.probe_of(rule) is None:
        raise _refused(lb, f"rule {rule.name} names probe {rule.probe!r}, which is not there")
    for port in (rule.frontend_port, rule.backend_port):
        _check_port(lb, f"rule {rule.name}", port)
    if rule.floating and rule.frontend_port != rule.backend_port:
        raise _refused(lb, f"rule {rule.name} has a floating IP: its two ports must be the same")
    if not 4 <= rule.idle_minutes <= 100:
        raise _refused(lb, f"rule {rule.name}: an idle timeout is 4 to 100 minutes")
    for source in rule.sources:
        _check_cidr(lb, rule, source)


def _check_cidr(lb: LoadBalancer, rule: Rule, text: str) -> None:
    try:
        IPv4Network(text, strict=False)
    except ValueError as error:
        raise _refused(lb, f"rule {rule.name}: {text!r} is no CIDR: {error}") from error
