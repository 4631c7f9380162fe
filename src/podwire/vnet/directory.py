"""Who is on the VNet: which host owns which NIC, address and name.

The lab writes it; the wire server, IMDS and DNS read it on each request, so that a change is seen
at once. Must not know how the NICs are wired.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from podwire.model.errors import InvalidInputError
from podwire.model.vnet import Nic

NO_SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
_INSTANCE_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Host:
    """A virtual machine (or what plays one) and its NIC. name: the host name."""

    name: str
    nic: Nic
    resource_group: str = ""
    location: str = "local"
    subscription: str = NO_SUBSCRIPTION

    @property
    def scale_set(self) -> str:
        """The scale set that the name tells, as in aks-nodepool1-12345678-vmss000000; else ""."""
        prefix = self.name[:-_INSTANCE_DIGITS]
        return prefix if prefix.endswith("vmss") else ""

    @property
    def vm_id(self) -> str:
        """A UUID that stays the same as long as the machine keeps its name and place."""
        where = f"{self.subscription}/{self.resource_group}/{self.name}"
        return str(uuid.uuid5(uuid.NAMESPACE_URL, where))


class NicDirectory:
    """The hosts of one VNet, by name and by each of their addresses."""

    def __init__(self, subscription: str = NO_SUBSCRIPTION) -> None:
        self.subscription = subscription
        self._hosts: dict[str, Host] = {}
        self._owners: dict[str, Host] = {}

    def add(
        self, host_name: str, nic: Nic, *, resource_group: str = "", location: str = "local"
    ) -> Host:
        """Enter the host, in the place of one of the same name.

        Raises InvalidInputError when another host has one of the addresses; nothing changes then.
        """
        host = Host(host_name.lower(), nic, resource_group, location, self.subscription)
        for address in nic.addresses:
            owner = self._owners.get(address)
            if owner is not None and owner.name != host.name:
                raise InvalidInputError(
                    f"address {address} of {host.name} belongs to {owner.name}; take another one"
                )
        self.remove(host.name)
        self._hosts[host.name] = host
        self._owners.update(dict.fromkeys(nic.addresses, host))
        return host

    def remove(self, host_name: str) -> None:
        """Forget the host; unknown: nothing."""
        host = self._hosts.pop(host_name.lower(), None)
        if host is not None:
            for address in host.nic.addresses:
                del self._owners[address]

    def by_address(self, ip: str) -> Host | None:
        """The host whose NIC has `ip` as its primary or a secondary address."""
        return self._owners.get(ip)

    def by_name(self, host_name: str) -> Host | None:
        """In any case of letters, as DNS has it."""
        return self._hosts.get(host_name.lower())

    def __iter__(self) -> Iterator[Host]:
        return iter(tuple(self._hosts.values()))

    def __len__(self) -> int:
        return len(self._hosts)
