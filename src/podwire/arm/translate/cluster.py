"""Managed clusters: Azure's body completed, read as the lab's ClusterSpec, and made from one. Pure.

A body is completed once, when it is PUT (`completed`): from then on everything that Azure shows is
in it. Addresses, names and limits are the rules' business; here only what the lab has not is
refused (`check_offered`). Source: Microsoft.ContainerService/managedClusters, its defaults.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace

from podwire.arm.ids import parse, resource_id
from podwire.arm.store import Body
from podwire.arm.tokens import TENANT
from podwire.arm.translate.pools import pool_value, profile_of, stays
from podwire.arm.translate.vnet import VNETS
from podwire.model.aks_rules import DEFAULT_POD_CIDR
from podwire.model.cluster import AZURE, KUBENET, ClusterSpec
from podwire.model.vnet import Subnet, VNet, resource_key

CLUSTERS = "Microsoft.ContainerService/managedClusters"
_NAMESPACE = uuid.UUID("6f1d3f2c-5c3b-4a55-8f43-6a1c3b9d3a10")
NETWORK_DEFAULTS: Body = {
    "networkPlugin": KUBENET,
    "loadBalancerSku": "standard",
    "loadBalancerProfile": {"managedOutboundIPs": {"count": 1}, "effectiveOutboundIPs": []},
    "serviceCidr": "10.0.0.0/16",
    "dnsServiceIP": "10.0.0.10",
    "outboundType": "loadBalancer",
    "ipFamilies": ["IPv4"],
}
_OWN_VNET, _OWN_SUBNET = "10.224.0.0/12", "10.224.0.0/16"


def identity(what: str) -> str:
    """A GUID that is always the same for the same thing."""
    return str(uuid.uuid5(_NAMESPACE, what.lower()))


def spec_of(body: Body) -> ClusterSpec:
    """What the lab shall run, of a completed body."""
    properties, network = body["properties"], body["properties"]["networkProfile"]
    target = parse(body["id"])
    profiles = [one for one in properties["agentPoolProfiles"] if stays(one)]
    first = profiles[0]["vnetSubnetID"]
    vnet, subnet = subnet_names(first)
    plugin = network["networkPlugin"].lower()
    spec = ClusterSpec(
        name=target.name,
        resource_group=target.group,
        location=body["location"],
        vnet=vnet,
        subnet=subnet,
        service_cidr=network["serviceCidr"],
        dns_service_ip=network["dnsServiceIP"],
        pools=tuple(pool_value(one, _other(one, first)) for one in profiles),
        network_plugin=plugin,
        network_policy=network.get("networkPolicy", "").replace("none", ""),
        pod_cidr=network.get("podCidr", "") if plugin == KUBENET else "",
        dns_prefix=properties["dnsPrefix"],
        version=wanted_version(properties),
    )
    named = properties["nodeResourceGroup"]
    usual = named.lower() == spec.node_resource_group.lower()
    return spec if usual else replace(spec, node_group=named)


def wanted_version(properties: Body) -> str:
    """As the lab writes it, v1.20.2; "" for whatever it has."""
    text = str(properties.get("kubernetesVersion", "")).removeprefix("v")
    return f"v{text}" if text.count(".") == 2 else ""


def subnet_names(subnet_id: str) -> tuple[str, str]:
    """The key of the VNet, and the subnet's name."""
    target = parse(subnet_id)
    return resource_key(target.group, target.names[0]), target.names[-1]


def _other(profile: Body, first: str) -> str:
    """The pool's subnet when it is not the cluster's, which is the first pool's."""
    mine = profile["vnetSubnetID"]
    return "" if mine.lower() == first.lower() else parse(mine).name


def own_vnet(body: Body) -> VNet | None:
    """The VNet that a cluster gets that was given none; None for the others."""
    properties = body["properties"]
    target = parse(properties["agentPoolProfiles"][0]["vnetSubnetID"])
    if target.group.lower() != properties["nodeResourceGroup"].lower():
        return None
    return VNet(target.names[0], target.group, (_OWN_VNET,), (Subnet("aks-subnet", _OWN_SUBNET),))


def completed(body: Body, old: Body | None, version: str) -> Body:
    """A PUT's body as it is stored: what was sent, over what is stored, over Azure's defaults.

    version: of Kubernetes as the lab has it, 1.20.2 or "".
    """
    given = body.get("properties", {})
    before = old["properties"] if old else {}
    network = _network({**before.get("networkProfile", {}), **given.get("networkProfile", {})})
    target = parse(body["id"])
    draft = _bare_spec(body, given, before, network)
    properties = {
        **_defaults(body, draft),
        **before,
        **given,
        "networkProfile": network,
        "nodeResourceGroup": draft.node_resource_group,
        "fqdn": draft.api_fqdn,
        "dnsPrefix": draft.dns_prefix,
    }
    properties["kubernetesVersion"] = (
        given.get("kubernetesVersion") or before.get("kubernetesVersion") or version
    )
    properties.setdefault("currentKubernetesVersion", properties["kubernetesVersion"])
    profiles = given.get("agentPoolProfiles") or before.get("agentPoolProfiles") or []
    stored = {one["name"]: one for one in before.get("agentPoolProfiles", [])}
    own = resource_id(
        target.subscription,
        draft.node_resource_group,
        f"{VNETS}/subnets",
        f"aks-vnet-{draft.digits}",
        "aks-subnet",
    )
    properties["agentPoolProfiles"] = [
        profile_of(
            one,
            stored.get(one.get("name", "")),
            plugin=network["networkPlugin"],
            version=properties["kubernetesVersion"],
            subnet=_first_subnet(profiles) or own,
            first=at == 0,
        )
        for at, one in enumerate(profiles)
    ]
    return {
        **(old or {}),
        **body,
        "sku": body.get("sku") or (old or {}).get("sku") or {"name": "Base", "tier": "Free"},
        "identity": _identity(body),
        "properties": properties,
    }


def _bare_spec(body: Body, given: Body, before: Body, network: Body) -> ClusterSpec:
    """As much of the spec as names follow from."""
    target = parse(body["id"])
    prefix = given.get("dnsPrefix") or before.get("dnsPrefix") or _dns_prefix(target.name)
    return ClusterSpec(
        name=target.name,
        resource_group=target.group,
        location=body["location"],
        vnet="",
        subnet="",
        service_cidr=network["serviceCidr"],
        dns_service_ip=network["dnsServiceIP"],
        dns_prefix=prefix,
        node_group=before.get("nodeResourceGroup") or given.get("nodeResourceGroup", ""),
    )


def _dns_prefix(name: str) -> str:
    return f"{name.lower().replace('_', '-')[:48].strip('-')}-dns"


def _first_subnet(profiles: Sequence[Body]) -> str:
    return next((one["vnetSubnetID"] for one in profiles if one.get("vnetSubnetID")), "")


def _network(given: Body) -> Body:
    network = {**NETWORK_DEFAULTS, **given}
    if network["networkPlugin"].lower() == KUBENET:
        network = {"podCidr": DEFAULT_POD_CIDR, **network}
        network["podCidrs"] = [network["podCidr"]]
    network["serviceCidrs"] = [network["serviceCidr"]]
    network["networkPlugin"] = network["networkPlugin"].lower()
    return network


def _defaults(body: Body, spec: ClusterSpec) -> Body:
    group = f"/subscriptions/{parse(body['id']).subscription}/resourcegroups"
    kubelet = (
        f"{group}/{spec.node_resource_group}/providers/Microsoft.ManagedIdentity/"
        f"userAssignedIdentities/{spec.name}-agentpool"
    )
    return {
        "powerState": {"code": "Running"},
        "enableRBAC": True,
        "disableLocalAccounts": False,
        "maxAgentPools": 100,
        "supportPlan": "KubernetesOfficial",
        "azurePortalFQDN": spec.api_fqdn.replace(".hcp.", ".portal.hcp."),
        "resourceUID": identity(f"{body['id']} uid").replace("-", "")[:24],
        "servicePrincipalProfile": {"clientId": "msi"},
        "identityProfile": {
            "kubeletidentity": {
                "resourceId": kubelet,
                "clientId": identity(f"{body['id']} kubelet client"),
                "objectId": identity(f"{body['id']} kubelet object"),
            }
        },
        "addonProfiles": {},
        "autoUpgradeProfile": {"nodeOSUpgradeChannel": "None"},
        "oidcIssuerProfile": {"enabled": False},
        "securityProfile": {},
        "storageProfile": {},
        "workloadAutoScalerProfile": {},
    }


def _identity(body: Body) -> Body:
    kind = (body.get("identity") or {}).get("type", "SystemAssigned")
    return {"type": kind, "principalId": identity(body["id"]), "tenantId": TENANT}


def cluster_body(spec: ClusterSpec, subscription: str, subnet_id: str, version: str) -> Body:
    """A cluster that the lab has and nobody has PUT: as if it had been.

    subnet_id: the cluster's; version: of Kubernetes, 1.20.2 or "".
    """
    network: Body = {
        "networkPlugin": spec.network_plugin,
        "serviceCidr": spec.service_cidr,
        "dnsServiceIP": spec.dns_service_ip,
    }
    if spec.network_policy:
        network["networkPolicy"] = spec.network_policy
    if spec.network_plugin != AZURE:
        network["podCidr"] = spec.pod_cidr
    vnet_id = subnet_id.rsplit("/", 1)[0]
    body = {
        "id": resource_id(subscription, spec.resource_group, CLUSTERS, spec.name),
        "name": spec.name,
        "type": CLUSTERS,
        "location": spec.location,
        "tags": {},
        "properties": {
            "provisioningState": "Succeeded",
            "dnsPrefix": spec.dns_prefix,
            "nodeResourceGroup": spec.node_resource_group,
            "networkProfile": network,
            "agentPoolProfiles": [
                {
                    "name": one.name,
                    "count": one.count,
                    "maxPods": one.max_pods,
                    "mode": one.mode,
                    "vmSize": one.vm_size,
                    "vnetSubnetID": f"{vnet_id}/{spec.subnet_of(one)}",
                    "upgradeSettings": {"maxSurge": str(one.surge)},
                }
                for one in spec.pools
            ],
        },
    }
    made = completed(body, None, version)
    made["properties"]["fqdn"] = spec.api_fqdn
    return made
