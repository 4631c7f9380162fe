"""What libcni keeps of an ADD: so that an attachment of containerd's, CRI-O's or podman's can be
checked by name. Read only.

Source: containernetworking/cni, libcni/api.go (results/NETWORK-CONTAINER-IFNAME, cniCacheV1).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from podwire.cni.attachment import Attachment

CACHES = ("/var/lib/cni/results", "/var/lib/cni/cache/results")


def kept(
    network: str, attachment: Attachment, caches: Iterable[str] = CACHES
) -> tuple[Attachment, dict[str, Any]] | None:
    """The attachment with all that was said at its ADD, and its result."""
    for directory in caches:
        name = f"{network}-{attachment.container_id}-{attachment.ifname}"
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            with open(os.path.join(directory, name), "rb") as file:
                raw = json.load(file)
            return _attachment(raw), dict(raw["result"])
    return None


def _attachment(raw: dict[str, Any]) -> Attachment:
    links = raw["result"].get("interfaces") or ()
    return Attachment(
        raw["containerId"],
        next((one["sandbox"] for one in links if one.get("sandbox")), ""),
        raw["ifName"],
        ";".join(f"{name}={value}" for name, value in raw.get("cniArgs") or ()),
        raw.get("capabilityArgs") or {},
    )
