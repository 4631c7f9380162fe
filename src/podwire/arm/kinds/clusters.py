"""Microsoft.ContainerService/managedClusters: what is PUT is built, in an operation.

A cluster's body is what was asked for with Azure's defaults; how it is comes from the lab when it
is shown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar

from podwire.arm.desk import Answer, Ask
from podwire.arm.errors import ArmError, operation_not_allowed
from podwire.arm.ids import Target, group_id, parse
from podwire.arm.kinds.stored import Stored, with_state
from podwire.arm.operations import Deed
from podwire.arm.shapes import TAGS, Shape
from podwire.arm.store import Body, OperationRow, Row
from podwire.arm.translate.cluster import CLUSTERS, completed, own_vnet, spec_of
from podwire.arm.translate.machines import Names
from podwire.arm.translate.offered import check_offered
from podwire.arm.translate.pools import stays
from podwire.model.vnet import resource_key

PROFILE: Shape = {
    "name": str,
    "count": int,
    "vmSize": str,
    "maxPods": int,
    "osType": str,
    "osSKU": str,
    "type": str,
    "mode": str,
    "vnetSubnetID": str,
    "podSubnetID": str,
    "orchestratorVersion": str,
    "enableAutoScaling": bool,
    "minCount": int,
    "maxCount": int,
    "availabilityZones": [str],
    "nodeLabels": dict,
    "nodeTaints": [str],
    "upgradeSettings": dict,
    "powerState": {"code": str},
}
_CHANGING = {
    "creating": "Creating",
    "updating": "Updating",
    "stopping": "Stopping",
    "starting": "Starting",
    "deleting": "Deleting",
}
"""The lab's word for what goes on, and Azure's."""


class Clusters(Stored):
    name = CLUSTERS
    shape: ClassVar[Shape] = {
        "location": str,
        "tags": TAGS,
        "identity": dict,
        "sku": dict,
        "properties": {
            "kubernetesVersion": str,
            "dnsPrefix": str,
            "fqdnSubdomain": str,
            "nodeResourceGroup": str,
            "enableRBAC": bool,
            "disableLocalAccounts": bool,
            "agentPoolProfiles": [PROFILE],
            "apiServerAccessProfile": {"enablePrivateCluster": bool, "authorizedIPRanges": [str]},
            "addonProfiles": dict,
            "linuxProfile": dict,
            "windowsProfile": dict,
            "aadProfile": dict,
            "networkProfile": {
                "networkPlugin": str,
                "networkPluginMode": str,
                "networkPolicy": str,
                "networkDataplane": str,
                "podCidr": str,
                "podCidrs": [str],
                "serviceCidr": str,
                "serviceCidrs": [str],
                "dnsServiceIP": str,
                "dockerBridgeCidr": str,
                "loadBalancerSku": str,
                "outboundType": str,
                "ipFamilies": [str],
            },
        },
    }
    actions: ClassVar[Mapping[str, Shape]] = {"stop": {}, "start": {}}

    @property
    def deeds(self) -> Mapping[str, Deed]:
        return {
            **super().deeds,
            f"{self.name}/stop": Deed(self._stop, self._settle_power),
            f"{self.name}/start": Deed(self._start, self._settle_power),
        }

    def shown(self, row: Row) -> Body:
        """With the power state of its machines, and what the lab does with it unasked."""
        body = row.body
        facts = self.desk.lab.clusters().get(key_of(body))
        if facts is not None and self.desk.operations.busy(row.key) is None:
            body = _as_it_is(body, facts)
        return {**body, "etag": row.etag, "eTag": row.etag}

    def check_writable(self, target: Target, row: Row | None) -> None:
        if busy := self.desk.operations.busy(target.path):
            raise operation_not_allowed(target.names[0], _words(busy))
        facts = self.desk.lab.clusters().get(resource_key(target.group, target.names[0]))
        if facts is not None and facts.state in _CHANGING:
            raise operation_not_allowed(target.names[0], _CHANGING[facts.state])

    def completed(self, ask: Ask, body: Body, old: Body | None) -> Body:
        """Its power is not a wish: a client sends back what it has read of it."""
        check_offered(body)
        made = completed(body, old, self.version())
        power = old["properties"]["powerState"]["code"] if old else "Running"
        return {"tags": {}, **_with_power(made, power)}

    def version(self) -> str:
        """Of Kubernetes, as a new cluster gets it; "" when that is not known yet."""
        known = self.desk.versions()
        return known[-1] if known else ""

    def put(self, ask: Ask) -> Answer:
        old = self.desk.store.get(ask.target.path)
        self.desk.check_conditions(ask, old)
        body = self.whole(ask, old)
        self.check_writable(ask.target, old)
        given = {"upgrade": _upgraded(old.body, body)} if old else {}
        return self.written(ask, body, old, given)

    def act(self, ask: Ask) -> Answer:
        row = self.desk.found(ask.target)
        self.check_writable(ask.target, row)
        word = ask.action
        self.desk.store.put(self.name, with_state(row.body, f"{_POWER[word]}"))
        begun = self.desk.operations.begin(row.key, f"{self.name}/{word}")
        return Answer(202, None, self.desk.located(ask, begun))

    async def settled(self, key: str) -> None:
        """Wait until the lab does nothing with the cluster: one whose nodes are to be replaced is
        built first by a daemon that starts."""
        while (facts := self.desk.lab.clusters().get(key)) is not None:
            if facts.state not in _CHANGING:
                return
            await asyncio.sleep(0.1)

    async def _follow(self, operation: OperationRow) -> Body | None:
        row = self.desk.store.get(operation.resource)
        if row is None:
            return None
        spec = spec_of(row.body)
        if (vnet := own_vnet(row.body)) is not None and vnet.key not in self.desk.lab.vnets():
            await self.desk.lab.put_vnet(vnet)
        await self.desk.lab.put_cluster(spec, self.desk.emit)
        await self.replace_nodes(row.body, operation.input.get("upgrade", []))
        return None

    async def replace_nodes(self, body: Body, pools: list[str]) -> None:
        """Every node of these pools by a new one, surge nodes first."""
        spec = spec_of(body)
        for pool in pools:
            await self.settled(spec.key)
            await self.desk.lab.upgrade_pool(spec.key, pool, self.desk.emit, spec.version)

    async def remove(self, body: Body) -> None:
        await self.desk.lab.delete_cluster(key_of(body), self.desk.emit)
        if (vnet := own_vnet(body)) is not None:
            await self.desk.lab.delete_vnet(vnet.key)
        group = group_id(self.desk.subscription, body["properties"]["nodeResourceGroup"])
        for row in self.desk.store.below(group):
            self.desk.store.delete(row.key)
        self.desk.store.delete_secrets_below(group)

    async def _stop(self, operation: OperationRow) -> Body | None:
        await self.desk.lab.stop_cluster(_lab_key(operation), self.desk.emit)
        return None

    async def _start(self, operation: OperationRow) -> Body | None:
        await self.desk.lab.start_cluster(_lab_key(operation), self.desk.emit)
        return None

    def settle_put(self, operation: OperationRow, error: ArmError | None) -> None:
        row = self.desk.store.get(operation.resource)
        if row is None:
            return
        state = "Failed" if error else "Succeeded"
        properties = dict(row.body["properties"])
        profiles = properties["agentPoolProfiles"]
        properties["agentPoolProfiles"] = [
            {**one, "provisioningState": state} for one in profiles if error or stays(one)
        ]
        if not error:
            self._forget_pools(row.body, [one["name"] for one in profiles if not stays(one)])
            properties = self._versions(properties)
        body = {**row.body, "properties": properties}
        self.desk.store.put(self.name, with_state(body, state))

    def _forget_pools(self, body: Body, pools: list[str]) -> None:
        """What was set at their scale sets goes with them: keys, passwords."""
        names = Names(spec_of(body), self.desk.subscription, None)
        for one in pools:
            self.desk.store.delete_secrets_below(names.scale_set(one))

    def _versions(self, properties: Body) -> Body:
        """What runs now is what was asked for."""
        version = properties["kubernetesVersion"] or self.version()
        profiles = [
            {
                **one,
                "orchestratorVersion": one["orchestratorVersion"] or version,
                "currentOrchestratorVersion": one["orchestratorVersion"] or version,
            }
            for one in properties["agentPoolProfiles"]
        ]
        return {
            **properties,
            "kubernetesVersion": version,
            "currentKubernetesVersion": version,
            "agentPoolProfiles": profiles,
        }

    def _settle_power(self, operation: OperationRow, error: ArmError | None) -> None:
        row = self.desk.store.get(operation.resource)
        if row is None:
            return
        body = with_state(row.body, "Failed" if error else "Succeeded")
        if error is None:
            body = _with_power(body, "Stopped" if _words(operation) == "stop" else "Running")
        self.desk.store.put(self.name, body)


_POWER = {"stop": "Stopping", "start": "Starting"}


def _with_power(body: Body, code: str) -> Body:
    return {**body, "properties": {**body["properties"], "powerState": {"code": code}}}


def key_of(body: Body) -> str:
    """The lab's key of a cluster."""
    return resource_key(body["id"].split("/")[4], body["name"])


def _lab_key(operation: OperationRow) -> str:
    target = parse(operation.resource)
    return resource_key(target.group, target.names[0])


def _words(operation: OperationRow) -> str:
    return operation.action.rpartition("/")[2]


def _upgraded(old: Body, new: Body) -> list[str]:
    """The pools whose nodes must be replaced: those whose version is another now."""
    before = {one["name"]: one for one in old["properties"]["agentPoolProfiles"]}
    whole = old["properties"]["kubernetesVersion"] != new["properties"]["kubernetesVersion"]
    return [
        one["name"]
        for one in new["properties"]["agentPoolProfiles"]
        if (had := before.get(one["name"])) is not None
        and (whole or had["orchestratorVersion"] != one["orchestratorVersion"])
    ]


def _as_it_is(body: Body, facts: Any) -> Body:
    power = "Stopped" if facts.state in ("stopped", "stopping") else "Running"
    state = body["properties"]["provisioningState"]
    if facts.state in _CHANGING:
        state = _CHANGING[facts.state]
    elif facts.state == "failed":
        state = "Failed"
    profiles = [
        {**one, "powerState": {"code": power}} for one in body["properties"]["agentPoolProfiles"]
    ]
    version = facts.version.removeprefix("v")
    properties = {
        **body["properties"],
        "provisioningState": state,
        "powerState": {"code": power},
        "agentPoolProfiles": profiles,
    }
    if version and not properties["currentKubernetesVersion"]:
        properties |= {"currentKubernetesVersion": version, "kubernetesVersion": version}
    return {**body, "properties": properties}
