"""CIDRs as the network provider takes them. Pure; which ranges there may be is in model/."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from podwire.arm.errors import ArmError


def check_prefix(text: str, resource_id: str) -> IPv4Network:
    """A prefix of the resource of that id. Raises when it is no CIDR, or host bits are set."""
    try:
        network = IPv4Network(text, strict=False)
    except ValueError:
        network = None
    if network is None or "/" not in text:
        raise ArmError(
            400,
            "InvalidAddressPrefixFormat",
            f"Address prefix {text} of resource {resource_id} is not formatted correctly. It "
            "should follow CIDR notation, for example 10.0.0.0/24.",
        )
    if str(network.network_address) != text.partition("/")[0]:
        raise ArmError(
            400,
            "InvalidCIDRNotation",
            f"The address prefix {text} in resource {resource_id} has an invalid CIDR notation. "
            f"For the given prefix length, the address prefix should be {network}.",
        )
    return network


def check_address(text: str, what: str, code: str) -> IPv4Address:
    """what: names it in the refusal, as in "Private static IP address"."""
    try:
        return IPv4Address(text)
    except ValueError:
        raise ArmError(400, code, f"{what} {text} is not a valid IPv4 address.") from None
