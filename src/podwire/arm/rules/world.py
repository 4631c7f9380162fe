"""What the rules ask about everything else that there is. The endpoint's store answers it.

It must stay a reading: nothing here changes a resource.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

Body = Mapping[str, Any]
"""A resource as JSON: id, name, location, tags, properties, as its client sent or will read it."""


class World(Protocol):
    """Ids compare without regard to case; types are lower case, as in microsoft.network/..."""

    def get(self, resource_id: str) -> Body | None:
        """The resource or resource group of that id."""

    def children(self, parent_id: str, kind: str) -> Sequence[Body]:
        """Those of a type directly below a resource: a VNet's subnets, a cluster's agent pools."""

    def all(self, kind: str) -> Sequence[Body]:
        """Every resource of a type, of all resource groups, node resource groups included."""

    def used(self, subnet_id: str) -> Sequence[tuple[str, int]]:
        """Who holds addresses of a subnet, and how many: (id of NIC, scale set or frontend, n)."""

    def versions(self) -> Sequence[str]:
        """The Kubernetes versions that can be had, as in 1.20.2; none when that is not known."""
