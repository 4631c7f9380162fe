"""Azure CNI's two state documents, for programs that read /var/run/azure-vnet.json.

Source: Azure CNI v1.1.8, network/manager.go, network/endpoint.go, ipam/manager.go (the keys, and
Go's JSON: a mask and a MAC are base64, a nil slice is null, a nil address is ""). What it writes
beside another key is one document here: `jq .Network...` and `jq .IPAM...` find theirs.
Must not ask anybody: it is handed what ledger and kernel say.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_interface
from typing import Any

from podwire import __version__
from podwire.cni import modes, pods
from podwire.cni.addresses import DNS
from podwire.ipam.lease import AddressState, Lease, Pool
from podwire.model.bridge_mode import Uplink, endpoint_id
from podwire.model.wiring import Route

LOCAL = "local"
_NOTHING: dict[str, Any] = {"IP": "", "Mask": None}
_NO_DNS: dict[str, Any] = {"Suffix": "", "Servers": None, "Options": None}
_MAIN_TABLE, _STATIC, _UNICAST, _IPV4 = 254, 4, 1, 2


@dataclass(frozen=True, slots=True)
class NodeState:
    """uplink: the node's card; None while no pod was wired. mode, bridge: the node's, "" without.

    cards: MAC -> name of each link; now: Unix time.
    """

    uplink: Uplink | None
    mode: str
    bridge: str
    leases: tuple[Lease, ...]
    pools: tuple[Pool, ...]
    addresses: tuple[AddressState, ...]
    cards: Mapping[str, str]
    now: float


def document(state: NodeState) -> dict[str, Any]:
    """{"Network": ..., "IPAM": ...}."""
    head = {"Version": __version__, "TimeStamp": _time(state.now)}
    cards = {state.uplink.name: _interface(state, state.uplink)} if state.uplink else {}
    space = {
        "Id": LOCAL,
        "Scope": 0,
        "Pools": {one.subnet: _pool(one, state) for one in state.pools},
    }
    return {
        "Network": {**head, "ExternalInterfaces": cards},
        "IPAM": {**head, "AddressSpaces": {LOCAL: space} if state.pools else {}},
    }


def _interface(state: NodeState, uplink: Uplink) -> dict[str, Any]:
    """In bridge mode with what was moved from the card to the bridge."""
    subnets = [one.subnet for one in state.pools if one.mac in (uplink.mac, "")]
    names = sorted({one.network for one in state.leases if one.host_link and one.network})
    networks = {name: _network(name, state, uplink) for name in names or ["azure"]}
    bridged = state.mode == modes.BRIDGE
    return {
        "Name": uplink.name,
        "Networks": networks,
        "Subnets": subnets or None,
        "BridgeName": state.bridge if bridged else "",
        "DNSInfo": _NO_DNS,
        "MacAddress": _mac(uplink.mac),
        "IPAddresses": [_net(one) for one in uplink.addresses] if bridged else None,
        "Routes": [_saved_route(uplink)] if bridged and uplink.gateway else None,
        "IPv4Gateway": uplink.gateway if bridged and uplink.gateway else "0.0.0.0",
        "IPv6Gateway": "::",
    }


def _network(name: str, state: NodeState, uplink: Uplink) -> dict[str, Any]:
    own = next((one.partition("/")[0] for one in uplink.addresses), "")
    subnets = [
        {
            "Family": _IPV4,
            "Prefix": _net(one.subnet),
            "Gateway": one.gateway,
            "PrimaryIP": one.primary or own,
        }
        for one in state.pools
        if ":" not in one.subnet
    ]
    mine = [one for one in state.leases if one.network == name and one.host_link and one.address]
    return {
        "Id": name,
        "Mode": state.mode,
        "VlanId": 0,
        "Subnets": subnets or None,
        "Endpoints": dict(_named(mine, state.mode)),
        "DNS": _NO_DNS,
        "EnableSnatOnHost": False,
        "NetNs": "",
        "SnatBridgeIP": "",
    }


def _named(leases: Iterable[Lease], mode: str) -> Iterable[tuple[str, dict[str, Any]]]:
    """By Azure's label; by the whole id where two labels would be one."""
    seen: set[str] = set()
    for lease in leases:
        label = endpoint_id(lease.container_id or "unknown", lease.ifname)
        name = f"{lease.container_id or lease.address}-{lease.ifname}" if label in seen else label
        seen.add(label)
        yield name, _endpoint(name, lease, mode)


def _endpoint(name: str, lease: Lease, mode: str) -> dict[str, Any]:
    """IfName: the peer's name before it is renamed, as v1.1.8 has it."""
    gateway = lease.gateway if mode == modes.BRIDGE and lease.gateway else "0.0.0.0"
    return {
        "Id": name,
        "SandboxKey": "",
        "IfName": f"{lease.host_link}2",
        "HostIfName": lease.host_link,
        "MacAddress": _mac(lease.mac),
        "InfraVnetIP": _NOTHING,
        "LocalIP": "",
        "IPAddresses": [_net(lease.cidr)],
        "Gateways": [gateway],
        "DNS": {"Suffix": "", "Servers": list(DNS), "Options": None},
        "Routes": [_pod_route(one) for one in pods.pod_routes(lease)],
        "VlanID": 0,
        "EnableSnatOnHost": False,
        "EnableInfraVnet": False,
        "EnableMultitenancy": False,
        "AllowInboundFromHostToNC": False,
        "AllowInboundFromNCToHost": False,
        "NetworkContainerID": "",
        "NetworkNameSpace": lease.netns,
        "ContainerID": lease.container_id,
        "PODName": lease.pod_name,
        "PODNameSpace": lease.pod_namespace,
    }


def _pod_route(one: Route) -> dict[str, Any]:
    return {
        "Dst": _net(one.dst),
        "Src": "",
        "Gw": one.via or "",
        "Protocol": 0,
        "DevName": "",
        "Scope": 0,
        "Priority": 0,
    }


def _saved_route(uplink: Uplink) -> dict[str, Any]:
    """The default route as rtnetlink has it: its destination is nil."""
    return {
        "Family": _IPV4,
        "Dst": None,
        "Src": "",
        "Gw": uplink.gateway,
        "Tos": 0,
        "Table": _MAIN_TABLE,
        "Protocol": _STATIC,
        "Scope": 0,
        "Type": _UNICAST,
        "Flags": 0,
        "Priority": 0,
        "LinkIndex": 0,
        "ILinkIndex": 0,
    }


def _pool(pool: Pool, state: NodeState) -> dict[str, Any]:
    holders = {one.address: one for one in state.leases}
    listed = [one.address for one in state.addresses if (one.subnet, one.mac) == _key(pool)]
    records = {one: _record(one, holders.get(one)) for one in listed}
    held = any(one["InUse"] for one in records.values())
    primary = state.uplink is not None and pool.mac == state.uplink.mac
    return {
        "Id": pool.subnet,
        "IfName": state.cards.get(pool.mac, state.uplink.name if state.uplink else ""),
        "Subnet": _net(pool.subnet),
        "Gateway": pool.gateway,
        "Addresses": records,
        "IsIPv6": ":" in pool.subnet,
        "Priority": 0 if primary or not pool.mac else 1,
        "RefCount": int(held),
    }


def _key(pool: Pool) -> tuple[str, str]:
    return pool.subnet, pool.mac


def _record(address: str, lease: Lease | None) -> dict[str, Any]:
    """ID "" is what readers take for free: a holder that nobody knows has another."""
    holder = (lease.container_id or "unknown") if lease else ""
    return {"ID": holder, "Addr": address, "InUse": lease is not None}


def _net(cidr: str) -> dict[str, Any]:
    """Go's net.IPNet of an address or a network."""
    one = ip_interface(cidr)
    return {"IP": str(one.ip), "Mask": base64.b64encode(one.netmask.packed).decode()}


def _mac(mac: str) -> str:
    return base64.b64encode(bytes.fromhex(mac.replace(":", ""))).decode()


def _time(now: float) -> str:
    """RFC 3339 with nanoseconds, in UTC."""
    at = datetime.fromtimestamp(now, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond:06d}000Z"
