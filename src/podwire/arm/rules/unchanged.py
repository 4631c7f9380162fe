"""Properties that are for life: a PUT may leave them out or repeat them, not change them. Pure.

Source: AKS documentation ("can't be changed after the cluster is created") and the text that users
met, "Changing property 'networkProfile.networkPlugin' is not allowed."
"""

from __future__ import annotations

from collections.abc import Mapping

from podwire.arm.errors import ArmError
from podwire.arm.rules.fields import at, same
from podwire.arm.rules.world import Body

OF_CLUSTERS = {
    "properties.networkProfile.networkPlugin": "networkProfile.networkPlugin",
    "properties.networkProfile.networkPluginMode": "networkProfile.networkPluginMode",
    "properties.networkProfile.networkPolicy": "networkProfile.networkPolicy",
    "properties.networkProfile.podCidr": "networkProfile.podCIDR",
    "properties.networkProfile.serviceCidr": "networkProfile.serviceCIDR",
    "properties.networkProfile.dnsServiceIP": "networkProfile.dnsServiceIP",
    "properties.dnsPrefix": "dnsPrefix",
    "properties.nodeResourceGroup": "nodeResourceGroup",
}
"""Where it is in the body: what Azure calls it, in the text and as the target."""
OF_POOLS = {
    "vmSize": "agentPoolProfile.vmSize",
    "maxPods": "agentPoolProfile.maxPods",
    "vnetSubnetID": "agentPoolProfile.vnetSubnetID",
    "osType": "agentPoolProfile.osType",
    "type": "agentPoolProfile.type",
}
_NOTHING = (None, "", "none")


def check(properties: Mapping[str, str], old: Body, new: Body) -> None:
    """properties: OF_CLUSTERS, or OF_POOLS for flat profiles."""
    for path, name in properties.items():
        before, after = at(old, path), at(new, path)
        if after in (None, "", 0) or _same(before, after):
            continue
        raise ArmError(
            400,
            "PropertyChangeNotAllowed",
            f"Changing property '{name}' is not allowed.",
            name,
        )


def _same(before: object, after: object) -> bool:
    if before in _NOTHING and after in _NOTHING:
        return True
    if isinstance(before, str) and isinstance(after, str):
        return same(before, after)
    return before == after
