"""What AKS refuses, with Azure's code, text and target where Azure has them. Pure.

Ranges and names are here, node pools and their addresses in `model/pool_rules.py`. Source: AKS
networking rules and error texts as users met them (ServiceCidrOverlapExistingSubnetsCidr,
DnsServiceIpOutOfServiceCidr, NetworkProfileCIDROverlapVNET, CidrStringParseError).
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError
from itertools import combinations

from podwire.model import ip_modes
from podwire.model.cluster import ClusterSpec
from podwire.model.errors import InvalidInputError, invalid_parameter
from podwire.model.ip_modes import Mode, Ranges
from podwire.model.node_pool import Pool
from podwire.model.pool_rules import POD_CIDR_TARGET, check_create, check_pool, check_upgrade
from podwire.model.vnet import SMALLEST_SUBNET, Subnet, VNet

RESERVED_RANGES = ("169.254.0.0/16", "172.30.0.0/16", "172.31.0.0/16", "192.0.2.0/24")
"""Ranges that AKS keeps for itself; the lab's control plane lives in the third."""
NO_VNET_RANGES = ("0.0.0.0/8", "127.0.0.0/8", "168.63.129.16/32", "224.0.0.0/3")
"""Ranges that no virtual network has: loopback, Azure's platform, multicast and beyond."""
DEFAULT_POD_CIDR = "10.244.0.0/16"
"""Of kubenet and overlay, when none is named."""
NETWORK_POLICIES = ("none", "azure", "calico", "cilium")
_CLUSTER_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?")


def parse_cidr(text: str, target: str) -> IPv4Network:
    """The network that `text` names; host bits must be zero.

    Raises InvalidInputError (CidrStringParseError) that names the value and what it should be.
    """
    try:
        return IPv4Network(text)
    except (AddressValueError, NetmaskValueError) as error:
        reason = str(error)
    except ValueError:
        reason = f"host bits are set; did you mean {IPv4Network(text, strict=False)}?"
    raise InvalidInputError(
        f"{target}: {text!r} is an invalid CIDR: {reason}",
        code="CidrStringParseError",
        target=target,
    )


def parse_ip(text: str, target: str) -> IPv4Address:
    try:
        return IPv4Address(text)
    except AddressValueError as error:
        message = f"{target}: {text!r} is an invalid IPv4 address: {error}"
        raise InvalidInputError(message, code="InvalidParameter", target=target) from error


def check_vnet(vnet: VNet) -> None:
    """The VNet's prefixes and subnets are well formed, inside one another, and disjoint."""
    prefixes = [parse_cidr(one, "addressSpace.addressPrefixes") for one in vnet.prefixes]
    for prefix in prefixes:
        _check_reserved(prefix, f"VNet {vnet.name}", "addressSpace.addressPrefixes")
    for subnet in vnet.subnets:
        _check_subnet(subnet, vnet, prefixes)
    for one, other in combinations(vnet.subnets, 2):
        if one.network.overlaps(other.network):
            raise InvalidInputError(
                f"Subnet '{other.name}' is not valid because its IP address range overlaps with "
                f"that of an existing subnet in virtual network '{vnet.name}'.",
                code="NetcfgSubnetRangesOverlap",
            )
    _check_address_space(vnet.name, prefixes)


def _check_address_space(name: str, prefixes: list[IPv4Network]) -> None:
    where = f"Virtual network '{name}' is not valid because its address prefix"
    for prefix in prefixes:
        if any(prefix.overlaps(IPv4Network(one)) for one in NO_VNET_RANGES):
            raise InvalidInputError(
                f"{where} {prefix} is not allowed: no virtual network has any of "
                f"{', '.join(NO_VNET_RANGES)}.",
                code="NetcfgInvalidAddressSpace",
            )
    for one, other in combinations(prefixes, 2):
        if one.overlaps(other):
            raise InvalidInputError(
                f"{where} {other} overlaps with its address prefix {one}.",
                code="NetcfgInvalidAddressSpace",
            )


def _check_subnet(subnet: Subnet, vnet: VNet, prefixes: list[IPv4Network]) -> None:
    network = parse_cidr(subnet.prefix, f"subnets.{subnet.name}.addressPrefix")
    if not any(network.subnet_of(prefix) for prefix in prefixes):
        raise InvalidInputError(
            f"Subnet '{subnet.name}' is not valid because its IP address range is outside the IP "
            f"address range of virtual network '{vnet.name}'.",
            code="NetcfgSubnetRangeOutsideVnet",
        )
    if network.prefixlen > SMALLEST_SUBNET:
        raise InvalidInputError(
            f"Subnet '{subnet.name}' is not valid in virtual network '{vnet.name}': "
            f"{subnet.prefix} is smaller than /{SMALLEST_SUBNET}, Azure's smallest.",
            code="NetcfgInvalidSubnet",
        )


def _check_reserved(network: IPv4Network, what: str, target: str) -> None:
    for text in RESERVED_RANGES:
        if network.overlaps(IPv4Network(text)):
            raise InvalidInputError(
                f"{what}: {network} overlaps {text}, which AKS keeps for itself "
                f"(reserved: {', '.join(RESERVED_RANGES)}); choose another range",
                code="ReservedCidr",
                target=target,
            )


def check_cluster(spec: ClusterSpec, vnet: VNet) -> None:
    """All rules for creating this cluster in this VNet, the VNet's own included."""
    check_vnet(vnet)
    check_cluster_name(spec.name)
    for pool in spec.pools:
        check_pool(pool)
    service = check_service_cidr(spec.service_cidr, vnet)
    check_dns_service_ip(spec.dns_service_ip, service)
    if spec.is_kubenet:
        check_pod_cidr(spec.pod_cidr, vnet, service)
    check_network_policy(spec.network_policy, mode_of(spec))
    for ranges, pools in _pools_by_subnet(spec, vnet):
        check_create(mode_of(spec), pools, ranges)


def check_cluster_upgrade(spec: ClusterSpec, vnet: VNet) -> None:
    """All rules for upgrading it: the VNet's subnets of today, and room for the surge node."""
    check_service_cidr(spec.service_cidr, vnet)
    for ranges, pools in _pools_by_subnet(spec, vnet):
        check_upgrade(mode_of(spec), pools, ranges)


def mode_of(spec: ClusterSpec) -> Mode:
    """How its pods get their addresses."""
    return ip_modes.KUBENET if spec.is_kubenet else ip_modes.NODE_SUBNET


def check_network_policy(policy: str, mode: Mode) -> None:
    """policy: one of NETWORK_POLICIES, or "" for none."""
    if policy == "azure" and mode is ip_modes.KUBENET:
        raise InvalidInputError(
            "NetworkPolicy azure is not supported for network plugin kubenet",
            code="NetworkPolicyAzureNotSupportedForKubenet",
            target="networkProfile.networkPolicy",
        )


def _pools_by_subnet(spec: ClusterSpec, vnet: VNet) -> list[tuple[Ranges, list[Pool]]]:
    """Each subnet with the pools that take their addresses from it."""
    names = dict.fromkeys(spec.subnet_of(one) for one in spec.pools)
    pods = IPv4Network(spec.pod_cidr) if spec.is_kubenet else None
    return [
        (
            Ranges(vnet.subnet(name), pod_cidr=pods),
            [one for one in spec.pools if spec.subnet_of(one) == name],
        )
        for name in names
    ]


def check_cluster_name(name: str) -> None:
    if not _CLUSTER_NAME.fullmatch(name):
        raise invalid_parameter(
            "resourceName",
            f"'{name}' is not 1 to 63 letters, digits, _ and -, a letter or digit at both ends",
        )


def check_service_cidr(text: str, vnet: VNet) -> IPv4Network:
    """Longer than /12, outside the reserved ranges, disjoint from every subnet and the VNet."""
    target = "networkProfile.serviceCIDR"
    service = parse_cidr(text, target)
    if service.prefixlen <= 12:
        message = f"The specified service CIDR {text} must be smaller than /12."
        raise InvalidInputError(message, code="InvalidParameter", target=target)
    existing = [*(("subnet", one.prefix) for one in vnet.subnets)]
    existing += [("virtual network", one) for one in vnet.prefixes]
    for kind, prefix in existing:
        if service.overlaps(IPv4Network(prefix)):
            raise InvalidInputError(
                f"The specified service CIDR {text} is conflicted with an existing {kind} "
                f"CIDR {prefix}",
                code="ServiceCidrOverlapExistingSubnetsCidr",
                target=target,
            )
    _check_reserved(service, "service CIDR", target)
    return service


def check_dns_service_ip(text: str, service: IPv4Network) -> None:
    """Inside the service CIDR, and neither its network, first, nor last address."""
    target = "networkProfile.dnsServiceIP"
    address = parse_ip(text, target)
    if address not in service:
        raise InvalidInputError(
            f"The DNS service IP {text} is out of the range defined by service CIDR {service}.",
            code="DnsServiceIpOutOfServiceCidr",
            target=target,
        )
    first = service.network_address + 1
    taken = {
        service.network_address: "its network address",
        first: "its first address, which the kubernetes service takes",
        service.broadcast_address: "its broadcast address",
    }
    if address in taken:
        raise InvalidInputError(
            f"The DNS service IP {text} is invalid for service CIDR {service}: it is "
            f"{taken[address]}; {service.network_address + 10} is usual.",
            code="InvalidDnsServiceIp",
            target=target,
        )


def check_pod_cidr(text: str, vnet: VNet, service: IPv4Network | None) -> IPv4Network:
    """Overlay's and kubenet's: outside the reserved ranges, disjoint from VNet and services."""
    pods = parse_cidr(text, POD_CIDR_TARGET)
    for prefix in vnet.prefixes:
        if pods.overlaps(IPv4Network(prefix)):
            raise InvalidInputError(
                f"NetworkProfile CIDR {pods} overlaps with reserved VNET CIDR {prefix}",
                code="NetworkProfileCIDROverlapVNET",
                target=POD_CIDR_TARGET,
            )
    if service is not None and pods.overlaps(service):
        message = f"The pod CIDR {pods} overlaps the service CIDR {service}; they must be disjoint."
        raise InvalidInputError(message, target=POD_CIDR_TARGET)
    _check_reserved(pods, "pod CIDR", POD_CIDR_TARGET)
    return pods
