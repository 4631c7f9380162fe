"""NICs, public addresses, load balancers: the addresses they ask for, what they refer to. Pure.

Source: Azure "Private IP addresses" (five reserved in each subnet), and the texts that users met.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address

from podwire.arm import ids
from podwire.arm.errors import ArmError
from podwire.arm.rules.common import check_reference, invalid_reference
from podwire.arm.rules.fields import objects, reference, same, text
from podwire.arm.rules.network import prefix_of
from podwire.arm.rules.prefixes import check_address
from podwire.arm.rules.world import Body, World
from podwire.model.vnet import RESERVED_FIRST, Subnet, subnet_is_full

_NICS, _BALANCERS = "microsoft.network/networkinterfaces", "microsoft.network/loadbalancers"
_PARTS = {_NICS: "ipConfigurations", _BALANCERS: "frontendIPConfigurations"}
"""Where addresses are in each type."""


def check_nic_put(nic_id: str, old: Body | None, new: Body, world: World) -> None:
    check_reference(reference(new, "properties.networkSecurityGroup"), nic_id, world)
    _check_addresses(_NICS, nic_id, new, world)


def check_nic_delete(nic_id: str, old: Body, world: World) -> None:
    machine = reference(old, "properties.virtualMachine")
    if machine:
        raise ArmError(
            400,
            "NicInUse",
            f"Network Interface {nic_id} is used by existing resource {machine}. In order to "
            "delete the network interface, it must be dissociated from the resource. To learn "
            "more, see aka.ms/deletenic.",
        )


def check_balancer_put(balancer_id: str, old: Body | None, new: Body, world: World) -> None:
    _check_addresses(_BALANCERS, balancer_id, new, world)
    own = {
        f"{balancer_id}/{part}/{text(one, 'name')}".lower()
        for part in ("frontendIPConfigurations", "backendAddressPools", "probes")
        for one in objects(new, f"properties.{part}")
    }
    for rule in objects(new, "properties.loadBalancingRules"):
        rule_id = f"{balancer_id}/loadBalancingRules/{text(rule, 'name')}"
        for part in ("frontendIPConfiguration", "backendAddressPool", "probe"):
            wanted = reference(rule, f"properties.{part}")
            if wanted and wanted.lower() not in own:
                raise invalid_reference(wanted, rule_id)


def check_public_ip_delete(address_id: str, old: Body, world: World) -> None:
    for holder, part in configurations(world):
        if same(reference(part, "properties.publicIPAddress"), address_id):
            raise ArmError(
                400,
                "PublicIPAddressCannotBeDeleted",
                f"Public IP address {address_id} can not be deleted since it is still allocated "
                f"to resource {holder}. In order to delete the public IP, disassociate/detach the "
                "Public IP address from the resource.  To learn how to do this, see "
                "aka.ms/deletepublicip.",
            )


def _check_addresses(kind: str, resource_id: str, new: Body, world: World) -> None:
    asked: dict[str, int] = {}
    for part in objects(new, f"properties.{_PARTS[kind]}"):
        subnet_id = reference(part, "properties.subnet")
        check_reference(subnet_id, resource_id, world)
        check_reference(reference(part, "properties.publicIPAddress"), resource_id, world)
        if subnet_id:
            asked[subnet_id.lower()] = asked.get(subnet_id.lower(), 0) + 1
            _check_static(f"{resource_id}/{_PARTS[kind]}/{text(part, 'name')}", part, world)
    for subnet_id, count in asked.items():
        _check_room(resource_id, subnet_id, count, world)


def _check_static(part_id: str, part: Body, world: World) -> None:
    wanted = text(part, "properties.privateIPAddress")
    if text(part, "properties.privateIPAllocationMethod").lower() != "static" or not wanted:
        return
    subnet = _subnet(reference(part, "properties.subnet"), world)
    address = check_address(wanted, "Private static IP address", "PrivateIPAddressIsInvalid")
    if address not in subnet.network:
        raise ArmError(
            400,
            "PrivateIPAddressNotInSubnet",
            f"Private static IP address {wanted} does not belong to the range of subnet prefix "
            f"{subnet.prefix}.",
        )
    if is_reserved(address, subnet):
        raise ArmError(
            400,
            "PrivateIPAddressInReservedRange",
            f"Private static IP address {wanted} falls within reserved IP range of subnet prefix "
            f"{subnet.prefix}.",
        )
    _check_free(part_id, part, world)


def is_reserved(address: IPv4Address, subnet: Subnet) -> bool:
    at = int(address) - int(subnet.network.network_address)
    return at < RESERVED_FIRST or address == subnet.network.broadcast_address


def _check_free(part_id: str, part: Body, world: World) -> None:
    wanted, subnet_id = (
        text(part, "properties.privateIPAddress"),
        reference(part, "properties.subnet"),
    )
    for holder, other in configurations(world):
        taken = text(other, "properties.privateIPAddress") == wanted
        there = same(reference(other, "properties.subnet"), subnet_id)
        if taken and there and not same(holder, part_id):
            raise ArmError(
                400,
                "PrivateIPAddressIsAllocated",
                f"IP configuration {part_id} is using the private IP address {wanted} which is "
                f"already allocated to resource {holder}.",
            )


def _check_room(resource_id: str, subnet_id: str, count: int, world: World) -> None:
    subnet = _subnet(subnet_id, world)
    others = [n for holder, n in world.used(subnet_id) if not _within(holder, resource_id)]
    if sum(others) + count > subnet.usable:
        raise subnet_is_full(subnet, count)


def _within(holder: str, resource_id: str) -> bool:
    return f"{holder.lower()}/".startswith(f"{resource_id.lower()}/")


def _subnet(subnet_id: str, world: World) -> Subnet:
    body = world.get(subnet_id) or {}
    return Subnet(ids.parse(subnet_id).name, prefix_of(body))


def configurations(world: World) -> Iterable[tuple[str, Body]]:
    """Every IP configuration there is, with its id."""
    for kind, part in _PARTS.items():
        for resource in world.all(kind):
            for one in objects(resource, f"properties.{part}"):
                yield f"{text(resource, 'id')}/{part}/{text(one, 'name')}", one
