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
    (_is("networkPluginMode", "overlay"), "the overlay mode of Azure CNI", "networkPluginMode"),
    (_is("networkPlugin", "none"), "clusters without a network plugin", "networkPlugin"),
    (_is("networkDataplane", "cilium"), "the Cilium data plane", "networkDataplane"),
    (_is("networkPolicy", "cilium"), "Cilium network policies", "networkPolicy"),
    (lambda one: len(one.get("ipFamilies", [])) > 1, "dual-stack clusters", "ipFamilies"),
    (
        _is("outboundType", "managednatgateway", "userassignednatgateway"),
        "NAT gateways",
        "outboundType",
    ),
)
_POOL: tuple[tuple[_Test, str, str], ...] = (
    (_is("osType", "windows"), "Windows node pools", "osType"),
    (_has("podSubnetID"), "pod subnets (dynamic allocation)", "podSubnetID"),
    (_has("enableAutoScaling"), "the cluster autoscaler", "enableAutoScaling"),
    (_has("enableNodePublicIP"), "public IPs of nodes", "enableNodePublicIP"),
    (_is("type", "availabilityset"), "availability sets", "type"),
    (_is("scaleSetPriority", "spot"), "spot node pools", "scaleSetPriority"),
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
        yield "private clusters", "apiServerAccessProfile.enablePrivateCluster"
    if access.get("authorizedIPRanges"):
        yield "authorized IP ranges", "apiServerAccessProfile.authorizedIPRanges"
    if properties.get("aadProfile"):
        yield "Azure AD integration", "aadProfile"
    for name, addon in properties.get("addonProfiles", {}).items():
        if isinstance(addon, dict) and addon.get("enabled"):
            yield f"the add-on {name}", f"addonProfiles.{name}"
