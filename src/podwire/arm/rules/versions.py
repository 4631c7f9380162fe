"""Kubernetes versions: which can be asked for, which follow which. Pure.

Source: AKS "Supported Kubernetes versions" (an upgrade goes one minor version at a time; a node
pool is at most as new as its control plane), and the texts that users met.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from podwire.arm.errors import ArmError

_VERSION = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?")
_OLDEST_POOL = 2
"""How many minor versions a node pool may lag behind."""
_SEE_LIST = (
    "which is not supported in this region. Please use [az aks get-versions] command to get the "
    "supported version list in this region. For more information, please check "
    "https://aka.ms/supported-version-list"
)


def parts(text: str) -> tuple[int, ...]:
    """1.20.2 is (1, 20, 2) and 1.20 is (1, 20); () when it is no version."""
    found = _VERSION.fullmatch(text)
    return tuple(int(one) for one in found.groups() if one is not None) if found else ()


def plain(text: str) -> str:
    return text.removeprefix("v")


def check_known(cluster: str, version: str, available: Sequence[str]) -> None:
    """version: "" for the default; available: none when that is not known."""
    if version and not _known(version, available):
        raise ArmError(
            400,
            "K8sVersionNotSupported",
            f"Managed cluster {cluster} is on version {plain(version)} {_SEE_LIST}",
        )


def check_upgrade(before: str, after: str, available: Sequence[str]) -> None:
    """From one version to the same, or to a later one of this minor version or the next."""
    if not after or not before or _is(before, after):
        return
    later = [one for one in available if _follows(before, one)]
    if _follows(before, after) and (not available or _known(after, later)):
        return
    listed = " ".join(plain(one) for one in sorted(later, key=parts, reverse=True))
    raise ArmError(
        400,
        "OperationNotAllowed",
        f"Upgrading Kubernetes version {plain(before)} to {plain(after)} is not allowed. "
        f"Available upgrades: [{listed}]. Please see https://aka.ms/aks-supported-k8s-ver for "
        "version details.",
    )


def check_pool(pool: str, cluster: str, available: Sequence[str]) -> None:
    """A node pool's version beside its control plane's; "" for the control plane's."""
    if not pool:
        return
    if not _known(pool, available):
        raise ArmError(
            400,
            "AgentPoolK8sVersionNotSupported",
            f"Version {plain(pool)} {_SEE_LIST.removeprefix('which ')}",
        )
    if not cluster:
        return
    (_, node, *_), (_, control, *_) = parts(pool), parts(cluster)
    if node > control:
        raise _incompatible(
            pool,
            cluster,
            "Minor version of node pool cannot be bigger than control plane's version.",
        )
    if node < control - _OLDEST_POOL:
        raise _incompatible(
            pool,
            cluster,
            f"Minor version of node pool cannot be more than {_OLDEST_POOL} versions less than "
            "control plane's version.",
        )


def _incompatible(pool: str, cluster: str, why: str) -> ArmError:
    (_, node, *_), (_, control, *_) = parts(pool), parts(cluster)
    return ArmError(
        400,
        "NodePoolMcVersionIncompatible",
        f"Node pool version {plain(pool)} and control plane version {plain(cluster)} are "
        f"incompatible. {why} Minor version of node pool is {node} and control plane is "
        f"{control}. For more information, please check https://aka.ms/version-skew-policy",
    )


def _known(version: str, available: Sequence[str]) -> bool:
    return bool(parts(version)) and (not available or any(_is(one, version) for one in available))


def _is(version: str, wanted: str) -> bool:
    """Wanted 1.20 is every 1.20.x."""
    asked = parts(wanted)
    return bool(asked) and parts(version)[: len(asked)] == asked


def _follows(before: str, after: str) -> bool:
    old, new = parts(before), parts(after)
    return len(new) > 1 and old < new and old[0] == new[0] and new[1] - old[1] <= 1
