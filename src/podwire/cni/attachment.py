"""One interface of one container, as a runtime names it to plugins.

Source: CNI specification 1.1.0, section 2 (CNI_* variables).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from podwire.model.cni import check_container_id, check_ifname


@dataclass(frozen=True, slots=True)
class Attachment:
    """One interface of one container. args: CNI_ARGS; capabilities: name to runtimeConfig value."""

    container_id: str
    netns: str
    ifname: str = "eth0"
    args: str = ""
    capabilities: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises CniError 4: the names become a file's too."""
        check_container_id(self.container_id)
        check_ifname(self.ifname)
