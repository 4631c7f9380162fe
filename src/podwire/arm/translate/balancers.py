"""The load balancers of a cluster's Services and their public addresses, as Azure shows them. Pure.

Source: Microsoft.Network/loadBalancers and publicIPAddresses (Standard SKU), as AKS makes them.
"""

from __future__ import annotations

from collections.abc import Mapping

from podwire.arm.store import Body
from podwire.arm.translate.machines import Names
from podwire.model.load_balancer import Frontend, LoadBalancer, Probe, Rule

BALANCERS = "Microsoft.Network/loadBalancers"
PUBLIC_ADDRESSES = "Microsoft.Network/publicIPAddresses"
_SKU = {"name": "Standard", "tier": "Regional"}


def balancer_body(names: Names, lb: LoadBalancer, reserved: Mapping[str, str]) -> Body:
    """reserved: the ids of public IPs of a user's own, by address."""
    lb_id = names.of(BALANCERS, lb.name)
    pool = f"{lb_id}/backendAddressPools/kubernetes"
    return {
        "id": lb_id,
        "name": lb.name,
        "type": BALANCERS,
        "location": names.spec.location,
        "tags": names.tags(),
        "sku": _SKU,
        "properties": {
            "provisioningState": "Succeeded",
            "frontendIPConfigurations": [
                _frontend(names, lb_id, one, reserved) for one in lb.frontends
            ],
            "backendAddressPools": [_pool(pool, lb)],
            "loadBalancingRules": [_rule(lb_id, pool, one) for one in lb.rules],
            "probes": [_probe(lb_id, one) for one in lb.probes],
            "inboundNatRules": [],
            "outboundRules": [],
        },
    }


def address_bodies(names: Names, lb: LoadBalancer, reserved: Mapping[str, str]) -> list[Body]:
    """Of its public frontends, reserved ones aside."""
    return [
        {
            "id": names.of(PUBLIC_ADDRESSES, _address_name(one)),
            "name": _address_name(one),
            "type": PUBLIC_ADDRESSES,
            "location": names.spec.location,
            "tags": names.tags(),
            "sku": _SKU,
            "properties": {
                "provisioningState": "Succeeded",
                "ipAddress": one.address,
                "publicIPAddressVersion": "IPv4",
                "publicIPAllocationMethod": "Static",
                "idleTimeoutInMinutes": 4,
                "ipConfiguration": {
                    "id": f"{names.of(BALANCERS, lb.name)}/frontendIPConfigurations/{one.name}"
                },
            },
        }
        for one in lb.frontends
        if one.public and one.address not in reserved
    ]


def _address_name(frontend: Frontend) -> str:
    return f"kubernetes-{frontend.name}"


def _frontend(names: Names, lb_id: str, frontend: Frontend, reserved: Mapping[str, str]) -> Body:
    if frontend.public:
        address = reserved.get(frontend.address) or names.of(
            PUBLIC_ADDRESSES, _address_name(frontend)
        )
        return _part(
            lb_id, "frontendIPConfigurations", frontend.name, publicIPAddress={"id": address}
        )
    return _part(
        lb_id,
        "frontendIPConfigurations",
        frontend.name,
        privateIPAddress=frontend.address,
        privateIPAllocationMethod="Dynamic",
        subnet={"id": f"{names.vnet_id}/subnets/{frontend.subnet}"},
    )


def _pool(pool_id: str, lb: LoadBalancer) -> Body:
    addresses = [{"name": one, "properties": {"ipAddress": one}} for one in lb.backends]
    lb_id, _, name = pool_id.rsplit("/", 2)
    return _part(lb_id, "backendAddressPools", name, loadBalancerBackendAddresses=addresses)


def _rule(lb_id: str, pool: str, rule: Rule) -> Body:
    properties: Body = {
        "frontendIPConfiguration": {"id": f"{lb_id}/frontendIPConfigurations/{rule.frontend}"},
        "backendAddressPool": {"id": pool},
        "protocol": rule.protocol.capitalize(),
        "frontendPort": rule.frontend_port,
        "backendPort": rule.backend_port,
        "enableFloatingIP": rule.floating,
        "idleTimeoutInMinutes": rule.idle_minutes,
        "loadDistribution": rule.persistence,
    }
    if rule.probe:
        properties["probe"] = {"id": f"{lb_id}/probes/{rule.probe}"}
    return _part(lb_id, "loadBalancingRules", rule.name, **properties)


def _probe(lb_id: str, probe: Probe) -> Body:
    properties: Body = {
        "protocol": probe.protocol.capitalize(),
        "port": probe.port,
        "intervalInSeconds": int(probe.interval),
        "numberOfProbes": probe.threshold,
    }
    if probe.protocol != "tcp":
        properties["requestPath"] = probe.path
    return _part(lb_id, "probes", probe.name, **properties)


def _part(lb_id: str, word: str, name: str, **properties: object) -> Body:
    return {
        "id": f"{lb_id}/{word}/{name}",
        "name": name,
        "type": f"{BALANCERS}/{word}",
        "properties": {"provisioningState": "Succeeded", **properties},
    }
