"""What Azure has for clusters and the lab has not: refused by name, never taken and forgotten.

Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from podwire.arm.errors import not_offered
from podwire.arm.store import Body

_Test = Callable[[Body], bool]


def _is(name: str, *values: str) -> _Test:
    return lambda body: str(body.get(name, "")).lower() in values


def _has(name: str) -> _Test:
    return lambda body: bool(body.get(name))


_NETWORK: tuple[tuple[_Test, str, str], ...] = (
    (
        _is("networkPluginMode", "overlay"),
        "the overlay mode of Azure CNI; kubenet has a pod CIDR too",
        "networkPluginMode",
    ),
    (
        _is("networkPlugin", "none"),
        "clusters without a network plugin; take azure or kubenet",
        "networkPlugin",
    ),
    (_is("networkDataplane", "cilium"), "the Cilium data plane; take azure", "networkDataplane"),
    (
        _is("networkPolicy", "cilium"),
        "Cilium network policies; take azure or calico",
        "networkPolicy",
    ),
    (
        lambda one: len(one.get("ipFamilies", [])) > 1,
        "dual-stack clusters; take IPv4 alone",
        "ipFamilies",
    ),
    (
        _is("outboundType", "managednatgateway", "userassignednatgateway"),
        "NAT gateways; take loadBalancer or userDefinedRouting",
        "outboundType",
    ),
)
_POOL: tuple[tuple[_Test, str, str], ...] = (
    (_is("osType", "windows"), "Windows node pools; take Linux", "osType"),
    (
        _has("podSubnetID"),
        "pod subnets (dynamic allocation); podwire plan counts them",
        "podSubnetID",
    ),
    (
        _has("enableAutoScaling"),
        "the cluster autoscaler; az aks nodepool scale does it by hand",
        "enableAutoScaling",
    ),
    (
        _has("enableNodePublicIP"),
        "public IPs of nodes; kubectl ssh-jump reaches them",
        "enableNodePublicIP",
    ),
    (_is("type", "availabilityset"), "availability sets; take VirtualMachineScaleSets", "type"),
    (_is("scaleSetPriority", "spot"), "spot node pools; take priority Regular", "scaleSetPriority"),
)


def check_offered(body: Body) -> None:
    """Of a managed cluster. Raises ArmError (FeatureNotSupported)."""
    properties = body.get("properties", {})
    for test, what, name in _NETWORK:
        if test(properties.get("networkProfile", {})):
            raise not_offered(what, f"networkProfile.{name}")
    for profile in properties.get("agentPoolProfiles", []):
        check_pool_offered(profile)
    for what, target in _features(properties):
        raise not_offered(what, target)


def check_pool_offered(profile: Body) -> None:
    """Of an agent pool, flat. Raises ArmError (FeatureNotSupported)."""
    for test, what, name in _POOL:
        if test(profile):
            raise not_offered(what, f"agentPoolProfile.{name}")


def _features(properties: Body) -> Iterator[tuple[str, str]]:
    access = properties.get("apiServerAccessProfile", {})
    if access.get("enablePrivateCluster"):
        yield (
            "private clusters; the API server is on loopback anyway",
            "apiServerAccessProfile.enablePrivateCluster",
        )
    if access.get("authorizedIPRanges"):
        yield (
            "authorized IP ranges; the API server is on loopback alone",
            "apiServerAccessProfile.authorizedIPRanges",
        )
    if properties.get("aadProfile"):
        yield "Azure AD integration; the kubeconfig logs in by certificate", "aadProfile"
    for name, addon in properties.get("addonProfiles", {}).items():
        if isinstance(addon, dict) and addon.get("enabled"):
            yield f"the add-on {name}; kubectl can apply what it would", f"addonProfiles.{name}"
