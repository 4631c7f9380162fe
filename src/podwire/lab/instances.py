"""Which machines a node pool has: instance numbers that are never used twice. Pure.

Source: Azure's uniform scale sets (a new instance has the next number; scaling in removes those
with the highest).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Instances:
    """numbers: of those that shall be, rising; next: the one that comes next; renewed: those of
    them that an upgrade which is under way, or has failed, has replaced already."""

    numbers: tuple[int, ...] = ()
    next: int = 0
    renewed: tuple[int, ...] = ()

    def resized(self, count: int) -> Instances:
        """With `count` instances: more with new numbers, fewer without the highest."""
        if count <= len(self.numbers):
            return self.without(self.numbers[count:])
        return self.grown(count - len(self.numbers))

    def grown(self, more: int) -> Instances:
        fresh = tuple(range(self.next, self.next + more))
        return replace(self, numbers=(*self.numbers, *fresh), next=self.next + more)

    def without(self, gone: Collection[int]) -> Instances:
        kept, renewed = (
            tuple(one for one in numbers if one not in gone)
            for numbers in (self.numbers, self.renewed)
        )
        return replace(self, numbers=kept, renewed=renewed)

    def with_renewed(self, numbers: Collection[int]) -> Instances:
        """These have been replaced as well."""
        return replace(self, renewed=(*self.renewed, *numbers))
