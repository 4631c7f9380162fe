"""CNI's versions, error codes, and the error that a plugin prints. No I/O.

Source: CNI specification 1.1.0.
"""

from __future__ import annotations

from typing import Any

from podwire.model.errors import PodwireError

SUPPORTED = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
DEFAULT_VERSION = "0.2.0"
"""What a configuration without cniVersion means."""

# Codes of the specification.
INCOMPATIBLE_VERSION = 1
UNSUPPORTED_FIELD = 2
UNKNOWN_CONTAINER = 3
INVALID_ENVIRONMENT = 4
IO_FAILURE = 5
DECODE_FAILURE = 6
INVALID_CONFIG = 7
TRY_AGAIN = 11
NOT_AVAILABLE = 50
"""STATUS: the plugin cannot serve an ADD now."""
LIMITED = 51
"""STATUS: nor that, and the containers that are there may have limited connectivity."""
# Codes of this plugin.
FAILED = 100
"""The call failed; nothing of it is left. Azure CNI uses it for every failure."""
NO_ADDRESS = 101
"""Every address of the pool is held."""
NO_UPLINK = 102
"""The node's own network card cannot be told."""
KERNEL_REFUSED = 103
"""A kernel object could not be made."""
CHECK_FAILED = 104
"""CHECK: the kernel is not as the wiring wants it."""
DELEGATE_FAILED = 105
"""Another IPAM plugin failed or cannot be found."""
INTERNAL = 999
"""A defect of the plugin itself, caught at the process boundary."""


class CniError(PodwireError):
    """What a plugin prints when it fails: code, msg and details of the specification."""

    def __init__(self, code: int, msg: str, details: str = "") -> None:
        super().__init__(msg)
        self.code = code
        self.msg = msg
        self.details = details

    def to_json(self, version: str) -> dict[str, Any]:
        known = version if version in SUPPORTED else SUPPORTED[-1]
        out: dict[str, Any] = {"cniVersion": known, "code": self.code, "msg": self.msg}
        if self.details:
            out["details"] = self.details
        return out


def check_version(version: str) -> str:
    """Raises CniError 1 unless `version` is supported."""
    if version not in SUPPORTED:
        raise CniError(
            INCOMPATIBLE_VERSION,
            f"cniVersion {version!r} is not supported; this plugin knows {', '.join(SUPPORTED)}",
        )
    return version
