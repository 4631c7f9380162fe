"""What of a VNet may not change while NICs are in it. Source: Azure's errors for such requests."""

from __future__ import annotations

from collections.abc import Iterable

from podwire.model.errors import InvalidInputError
from podwire.model.vnet import Nic, VNet


def check_change(old: VNet, new: VNet, nics: Iterable[Nic]) -> None:
    """Raises InvalidInputError when `new` is another VNet, or a NIC would lose its subnet."""
    if old.key != new.key:
        raise InvalidInputError(f"VNet {old.key} cannot become VNet {new.key}; make that one anew")
    for nic in nics:
        if old.subnet_of(nic) is not None and new.subnet_of(nic) is None:
            raise _in_use(new, nic)


def _in_use(new: VNet, nic: Nic) -> InvalidInputError:
    subnet = nic.subnet
    if any(one.name == subnet.name for one in new.subnets):
        return InvalidInputError(
            f"IpPrefix {subnet.prefix} on Subnet {subnet.name} has active allocations and cannot "
            f"be deleted; NIC {nic.name} is in it",
            code="InUsePrefixCannotBeDeleted",
        )
    return InvalidInputError(
        f"Subnet {subnet.name} is in use by {nic.name} and cannot be deleted. In order to delete "
        "the subnet, delete all the resources within the subnet.",
        code="InUseSubnetCannotBeDeleted",
    )
