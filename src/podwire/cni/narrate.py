"""A wiring told in azure-vnet.log's words, object by object. Pure: it writes nothing.

Source: Azure/azure-container-networking v1.1.8, the log calls of network/*_linux.go. Where the
means differ (nftables elements for ebtables rules), the line names what the object is for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from podwire.model.bridge_mode import HOST, POD, POD_MACS
from podwire.model.wiring import (
    Address,
    Bridge,
    BridgePort,
    Element,
    KernelObject,
    Neighbour,
    NeighbourProxy,
    Route,
    Sysctl,
    Table,
    Veth,
    Wiring,
)


class Narrator:
    """Tells the objects of one wiring, in the order in which they are made."""

    def __init__(self, wiring: Wiring, *, netns: str = "", endpoint: str = "") -> None:
        self._netns = netns
        self._endpoint = endpoint
        self._peer = next((f"{one.name}2" for one in wiring if isinstance(one, Veth)), "")
        self._cidrs = {
            one.cidr.partition("/")[0]: one.cidr for one in wiring if isinstance(one, Address)
        }
        self._uplink = next((one.link for one in wiring if isinstance(one, BridgePort)), "")
        self._inside = False
        self._tell: dict[type, Callable[[Any], Iterator[str]]] = {
            Bridge: self._bridge,
            Veth: self._veth,
            BridgePort: self._port,
            Address: self._address,
            Route: self._route,
            Neighbour: self._neighbour,
            NeighbourProxy: self._proxy,
            Sysctl: self._sysctl,
            Table: self._table,
            Element: self._element,
        }

    def making(self, one: KernelObject) -> Iterator[str]:
        """The lines for an object that is about to be made."""
        if getattr(one, "place", HOST) == POD and not self._inside:
            self._inside = True
            yield f"[net] Opening netns {self._netns}."
            yield f"[net] Setting link {self._peer} netns {self._netns}."
            yield f"[net] Entering netns {self._netns}."
            yield f"[net] Setting link {self._peer} name {getattr(one, 'link', 'eth0')}."
        yield from self._tell[type(one)](one)

    def made(self) -> Iterator[str]:
        """The lines for when all is made."""
        if self._inside:
            yield f"[net] Exiting netns {self._netns}."

    def removing(self, one: KernelObject) -> Iterator[str]:
        """The lines for a pod's object that is about to be removed; most go with their link."""
        if isinstance(one, Element) and one.set != POD_MACS:
            yield f"[net] Deleting element {one.item} from the set {one.set}."
        elif isinstance(one, Element):
            cidr, where = self._cidr(one.item), f" on {self._endpoint}."
            yield f"[net] Deleting ARP reply rule for IP address {cidr}{where}"
            yield f"[net] Deleting MAC DNAT rule for IP address {cidr}{where}"
        elif isinstance(one, Route) and one.place == HOST:
            yield f"[net] Deleting route for the ip {one.dst}"
        elif isinstance(one, Neighbour) and one.place == HOST:
            cidr = self._cidr(one.ip)
            yield f"[net] Removing static arp for IP address {cidr} and MAC {one.mac} from VM"
        elif isinstance(one, NeighbourProxy):
            yield f"[net] Deleting neighbour discovery reply for IP address {self._cidr(one.ip)}"
        elif isinstance(one, Veth):
            yield f"[net] Deleting veth pair {one.name} {one.name}2."

    def _cidr(self, ip: str) -> str:
        return self._cidrs.get(ip, ip)

    def _bridge(self, one: Bridge) -> Iterator[str]:
        yield f"[net] Creating bridge {one.name}."
        yield f"[net] Setting link {one.name} state up."

    def _veth(self, one: Veth) -> Iterator[str]:
        yield f"[net] Creating veth pair {one.name} {one.name}2."
        yield f"[net] Setting link {one.name} state up."

    def _port(self, one: BridgePort) -> Iterator[str]:
        yield f"[net] Setting link {one.link} master {one.bridge}."
        if one.hairpin and self._peer:
            yield f"[net] Setting hairpin for hostveth {one.link}"
        elif one.hairpin:
            yield f"[net] Setting link {one.link} hairpin on."

    def _address(self, one: Address) -> Iterator[str]:
        if one.absent:
            yield f"[net] Deleting IP address {one.cidr} from interface {one.link}."
        elif one.place == POD:
            if ":" not in one.cidr:
                yield f"[net] Setting link {one.link} state up."
            yield f"[net] Adding IP address {one.cidr} to link {one.link}."
        else:
            yield f"[net] Adding IP address {one.cidr} to interface {one.link}."

    def _route(self, one: Route) -> Iterator[str]:
        if one.absent:
            yield f"[net] Deleting IP route {one.dst} from interface {one.link}."
            return
        kind = "link" if self._peer else "interface"
        ip, _, length = one.dst.partition("/")
        bits = 128 if ":" in ip else 32
        if one.place == HOST and length == str(bits):
            yield f"[net] Adding route for the ip {one.dst}"
        yield (
            f"[net] Adding IP route {{Dst:{{IP:{ip} Mask:{go_mask(length, bits)}}} Src:<nil> "
            f"Gw:{one.via or '<nil>'} Protocol:0 DevName: Scope:0 Priority:0}} "
            f"to {kind} {one.link}."
        )

    def _neighbour(self, one: Neighbour) -> Iterator[str]:
        where = "VM" if one.place == HOST else "Container namespace"
        yield (
            f"[net] Adding static arp for IP address {self._cidr(one.ip)} and MAC {one.mac} "
            f"in {where}"
        )

    def _proxy(self, one: NeighbourProxy) -> Iterator[str]:
        yield f"[net] Adding neighbour discovery reply for IP address {self._cidr(one.ip)}"

    def _sysctl(self, one: Sysctl) -> Iterator[str]:
        yield f"[net] Setting sysctl {one.name.replace('/', '.')}={one.value}"

    def _table(self, one: Table) -> Iterator[str]:
        yield f"[net] Loading the nftables table {one.family} {one.name}."
        yield f"[net] Adding SNAT rule for egress traffic on {self._uplink}."
        for ip in (one for one in self._cidrs if ":" not in one):
            yield f"[net] Adding ARP reply rule for primary IP address {ip}."
        yield f"[net] Adding DNAT rule for ingress ARP traffic on interface {self._uplink}."

    def _element(self, one: Element) -> Iterator[str]:
        if one.set != POD_MACS:
            yield f"[net] Adding element {one.item} to the set {one.set}."
            return
        cidr = self._cidr(one.item)
        yield f"[net] Adding ARP reply rule for IP address {cidr}"
        yield f"[net] Adding MAC DNAT rule for IP address {cidr}"


def go_mask(length: str, bits: int = 32) -> str:
    """As Go prints a mask: ffffff00 for "24" of IPv4's 32 bits."""
    everything = (1 << bits) - 1
    return f"{everything << (bits - int(length)) & everything:0{bits // 4}x}"
