"""What holds addresses and is none of the lab's machines: a user's own NICs and public IPs.

A NIC's addresses are out of its subnet for everybody else; no machine is behind them. A public IP
keeps its address for the Service that asks for it (loadBalancerIP).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import ClassVar

from podwire.arm.desk import Ask
from podwire.arm.errors import not_offered
from podwire.arm.kinds.stored import Stored, with_list
from podwire.arm.rules.fields import missing, reference
from podwire.arm.shapes import REFERENCE, TAGS, Shape
from podwire.arm.store import Body, Row
from podwire.arm.translate.balancers import BALANCERS, PUBLIC_ADDRESSES
from podwire.arm.translate.cluster import subnet_names
from podwire.arm.translate.machines import NICS
from podwire.lab.holders import AddressWish

_CONFIGURATIONS = "ipConfigurations"
_CONFIGURATION: Shape = {
    "name": str,
    "properties": {
        "privateIPAddress": str,
        "privateIPAllocationMethod": str,
        "privateIPAddressVersion": str,
        "primary": bool,
        "subnet": REFERENCE,
        "publicIPAddress": REFERENCE,
        "loadBalancerBackendAddressPools": [dict],
        "applicationSecurityGroups": [dict],
    },
}
_ELSEWHERE = {
    "loadBalancerBackendAddressPools": "load balancers of one's own",
    "applicationSecurityGroups": "application security groups",
}


class _Holding(Stored):
    """What holds addresses until it is deleted."""

    def hold(self, body: Body, wishes: Mapping[str, AddressWish]) -> dict[str, str]:
        return self.desk.lab.hold_addresses(body["id"].lower(), wishes)

    async def remove(self, body: Body) -> None:
        self.hold(body, {})


class OwnInterfaces(_Holding):
    """Those that are PUT; what the cluster's nodes have is rendered, and only shown here."""

    name = NICS
    lists = {_CONFIGURATIONS: _CONFIGURATIONS}
    shape: ClassVar[Shape] = {
        "location": str,
        "tags": TAGS,
        "properties": {
            _CONFIGURATIONS: [_CONFIGURATION],
            "enableIPForwarding": bool,
            "enableAcceleratedNetworking": bool,
            "networkSecurityGroup": REFERENCE,
            "dnsSettings": dict,
        },
    }

    def completed(self, ask: Ask, body: Body, old: Body | None) -> Body:
        properties = {
            "enableIPForwarding": False,
            "enableAcceleratedNetworking": False,
            "primary": True,
            "macAddress": _mac(body["id"]),
            **body["properties"],
        }
        if not properties[_CONFIGURATIONS]:
            raise missing(_CONFIGURATIONS, "properties")
        parts = [_configuration(one, at) for at, one in enumerate(properties[_CONFIGURATIONS])]
        return {"tags": {}, **body, "properties": {**properties, _CONFIGURATIONS: parts}}

    async def follow(self, body: Body) -> None:
        """Take the addresses; the body has them from then on."""
        parts = body["properties"][_CONFIGURATIONS]
        wishes = {one["name"]: self._wish(one["properties"]) for one in parts}
        held = self.hold(body, wishes)
        fresh = [
            {**one, "properties": {**one["properties"], "privateIPAddress": held[one["name"]]}}
            for one in parts
        ]
        self.desk.store.put(self.name, with_list(body, _CONFIGURATIONS, fresh))

    def _wish(self, properties: Body) -> AddressWish:
        vnet, name = subnet_names(properties["subnet"]["id"])
        there = self.desk.lab.vnets().get(vnet)
        names = {one.name.lower(): one.name for one in there.subnets} if there else {}
        static = properties["privateIPAllocationMethod"].lower() == "static"
        address = properties.get("privateIPAddress", "") if static else ""
        return AddressWish(vnet, names.get(name.lower(), name), address)


class PublicAddresses(_Holding):
    """Those that are PUT; those of Services that asked for none are rendered."""

    name = PUBLIC_ADDRESSES
    shape: ClassVar[Shape] = {
        "location": str,
        "tags": TAGS,
        "sku": {"name": str, "tier": str},
        "zones": [str],
        "properties": {
            "publicIPAllocationMethod": str,
            "publicIPAddressVersion": str,
            "idleTimeoutInMinutes": int,
            "dnsSettings": dict,
            "publicIPPrefix": REFERENCE,
        },
    }

    def completed(self, ask: Ask, body: Body, old: Body | None) -> Body:
        properties = {
            "publicIPAllocationMethod": "Static",
            "publicIPAddressVersion": "IPv4",
            "idleTimeoutInMinutes": 4,
            **body.get("properties", {}),
        }
        if properties["publicIPAddressVersion"].lower() != "ipv4":
            raise not_offered("IPv6 addresses", "properties.publicIPAddressVersion")
        for name, what in (("publicIPPrefix", "prefixes"), ("dnsSettings", "names")):
            if properties.get(name):
                raise not_offered(f"{what} of public IPs", f"properties.{name}")
        if properties["publicIPAllocationMethod"].lower() != "static":
            raise not_offered("dynamic public IPs", "properties.publicIPAllocationMethod")
        sku = {"name": "Standard", "tier": "Regional", **body.get("sku", {})}
        return {"tags": {}, **body, "sku": sku, "properties": properties}

    async def follow(self, body: Body) -> None:
        held = self.hold(body, {"": AddressWish()})
        properties = {**body["properties"], "ipAddress": held[""]}
        self.desk.store.put(self.name, {**body, "properties": properties})

    def shown(self, row: Row) -> Body:
        """With who uses it."""
        body = super().shown(row)
        for kind, prop in ((NICS, _CONFIGURATIONS), (BALANCERS, "frontendIPConfigurations")):
            for user in self.desk.listed(kind):
                for one in user.body["properties"].get(prop, []):
                    if reference(one, "properties.publicIPAddress").lower() == row.key:
                        used = {"ipConfiguration": {"id": one["id"]}}
                        return {**body, "properties": {**body["properties"], **used}}
        return body


def _configuration(part: Body, at: int) -> Body:
    where = f"properties.{_CONFIGURATIONS}[{at}].properties"
    properties = {
        "privateIPAllocationMethod": "Dynamic",
        "privateIPAddressVersion": "IPv4",
        "primary": at == 0,
        **part["properties"],
    }
    if properties["privateIPAddressVersion"].lower() != "ipv4":
        raise not_offered("IPv6 addresses", f"{where}.privateIPAddressVersion")
    for name, what in _ELSEWHERE.items():
        if properties.get(name):
            raise not_offered(what, f"{where}.{name}")
    if not reference(properties, "subnet"):
        raise missing("subnet", where)
    return {**part, "properties": properties}


def _mac(nic_id: str) -> str:
    """With Azure's vendor prefix, always the same for one NIC."""
    tail = hashlib.sha256(nic_id.lower().encode()).hexdigest()[:6]
    return "-".join(("00", "0D", "3A", *(tail[at : at + 2].upper() for at in (0, 2, 4))))
