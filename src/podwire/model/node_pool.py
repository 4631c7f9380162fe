"""A node pool as a value: how many nodes, how many pods on each, how it grows and is upgraded.

Source: AKS agent pool profile (count, minCount, maxCount, maxPods, upgradeSettings.maxSurge).
It knows nothing of addresses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from podwire.model.errors import invalid_parameter

SYSTEM, USER = "System", "User"
"""Modes: a system pool has at least one node, a user pool may be empty."""
DEFAULT_VM_SIZE = "Standard_DS2_v2"
_SURGE = re.compile(r"(\d{1,4})(%?)")


@dataclass(frozen=True, slots=True)
class Surge:
    """How many nodes an upgrade adds at once: a number, or a percentage of the pool."""

    amount: int = 1
    percent: bool = False

    @classmethod
    def parse(cls, text: str) -> Surge:
        """From "2" or "33%". Raises InvalidInputError, also beyond 100%."""
        found = _SURGE.fullmatch(text)
        if not found or (found[2] and int(found[1]) > 100):
            raise invalid_parameter(
                "agentPoolProfile.upgrade.maxSurge",
                f"max surge {text!r} is neither a number of nodes as in 2, nor a percentage of "
                "the pool as in 33%, 100% at most",
            )
        return cls(int(found[1]), bool(found[2]))

    def nodes(self, count: int) -> int:
        """Of a pool of `count` nodes. A fraction is rounded up; never more than there are nodes."""
        wanted = -(-count * self.amount // 100) if self.percent else self.amount
        return min(wanted, count)

    def __str__(self) -> str:
        return f"{self.amount}%" if self.percent else str(self.amount)


@dataclass(frozen=True, slots=True)
class Pool:
    """min_count, max_count: the autoscaler's bounds, both None without it.

    subnet: the name of its subnet, "" for the cluster's; mode: System or User.
    """

    name: str
    count: int
    max_pods: int
    surge: Surge = Surge()
    min_count: int | None = None
    max_count: int | None = None
    subnet: str = ""
    vm_size: str = DEFAULT_VM_SIZE
    mode: str = SYSTEM

    @property
    def largest(self) -> int:
        return self.count if self.max_count is None else self.max_count

    @property
    def surge_nodes(self) -> int:
        return self.surge.nodes(self.count)

    def at_maximum(self) -> Pool:
        """As the autoscaler may make it."""
        return self.resized(self.largest)

    def resized(self, count: int) -> Pool:
        return replace(self, count=count, min_count=None, max_count=None)
