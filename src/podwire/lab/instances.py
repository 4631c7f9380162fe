"""Which machines a node pool has: instance numbers that are never used twice. Pure.

Source: Azure's uniform scale sets (a new instance has the next number; scaling in removes those
with the highest).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Instances:
    """numbers: of those that shall be, rising; next: the one that comes next."""

    numbers: tuple[int, ...] = ()
    next: int = 0

    def resized(self, count: int) -> Instances:
        """With `count` instances: more with new numbers, fewer without the highest."""
        if count <= len(self.numbers):
            return replace(self, numbers=self.numbers[:count])
        return self.grown(count - len(self.numbers))

    def grown(self, more: int) -> Instances:
        fresh = tuple(range(self.next, self.next + more))
        return Instances((*self.numbers, *fresh), self.next + more)

    def without(self, gone: Collection[int]) -> Instances:
        return replace(self, numbers=tuple(one for one in self.numbers if one not in gone))
