"""Agent pools: profiles in the body of their cluster, with ids of their own.

Whatever is asked of one is an operation of the cluster, for one at a time changes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from podwire.arm.desk import Answer, Ask, Desk, page
from podwire.arm.errors import child_not_found, resource_not_found
from podwire.arm.ids import Target
from podwire.arm.kinds.base import Kind, not_allowed
from podwire.arm.kinds.clusters import PROFILE, Clusters
from podwire.arm.kinds.stored import with_state
from podwire.arm.operations import Deed
from podwire.arm.shapes import Shape
from podwire.arm.store import Body, OperationRow, Row
from podwire.arm.translate.cluster import CLUSTERS
from podwire.arm.translate.offered import check_pool_offered
from podwire.arm.translate.pools import pool_body, profile_of


class AgentPools(Kind):
    name = f"{CLUSTERS}/agentPools"
    shape: ClassVar[Shape] = {"name": str, "properties": {**PROFILE}}
    actions: ClassVar[Mapping[str, Shape]] = {"upgradenodeimageversion": {}, "abort": {}}

    def __init__(self, desk: Desk, clusters: Clusters) -> None:
        super().__init__(desk)
        self.clusters = clusters

    @property
    def deeds(self) -> Mapping[str, Deed]:
        return {f"{self.name}/upgrade": Deed(self._upgrade, self.clusters.settle_put)}

    def get(self, ask: Ask) -> Answer:
        row = self._row(ask.target)
        return Answer(200, self._shown(row, self._found(row, ask.target)), {"ETag": row.etag})

    def listing(self, ask: Ask) -> Answer:
        row = self._row(ask.target)
        return page(self._shown(row, one) for one in self._profiles(row))

    def _shown(self, row: Row, profile: Body) -> Body:
        body = pool_body(profile, row.body["id"])
        return {**body, "properties": {**body["properties"], "eTag": row.etag}}

    def put(self, ask: Ask) -> Answer:
        row = self._row(ask.target)
        old = self._named(row, ask.target.name)
        self.desk.check_conditions(ask, row if old else None)
        sent = {**ask.body, "properties": _clean(ask.body.get("properties", {}))}
        old_body = pool_body(old, row.body["id"]) if old else None
        self.desk.rules.check_put(self.name, ask.target.path, old_body, sent)
        self.clusters.check_writable(ask.target, row)
        check_pool_offered(sent["properties"])
        profile = self._profile(row, old, sent, ask.target.name)
        upgrade = old is not None and old["orchestratorVersion"] != profile["orchestratorVersion"]
        given = {"upgrade": [profile["name"]] if upgrade else []}
        answer = self._written(ask, row, old, profile, given)
        fresh = self._row(ask.target)
        shown = self._shown(fresh, self._found(fresh, ask.target))
        return Answer(200 if old else 201, shown, answer.headers)

    def _profile(self, row: Row, old: Body | None, sent: Body, name: str) -> Body:
        properties = row.body["properties"]
        profile = profile_of(
            {**sent["properties"], "name": old["name"] if old else name},
            old,
            plugin=properties["networkProfile"]["networkPlugin"],
            version=properties["kubernetesVersion"],
            subnet=properties["agentPoolProfiles"][0]["vnetSubnetID"],
            first=False,
        )
        return {**profile, "provisioningState": _state(old, profile)}

    def _written(self, ask: Ask, row: Row, old: Body | None, profile: Body, given: Body) -> Answer:
        profiles = self._profiles(row)
        if old is None:
            profiles = [*profiles, profile]
        else:
            profiles = [profile if one is old else one for one in profiles]
        properties = {**row.body["properties"], "agentPoolProfiles": profiles}
        return self.clusters.written(ask, {**row.body, "properties": properties}, row, given)

    def delete(self, ask: Ask) -> Answer:
        row = self._row(ask.target)
        old = self._named(row, ask.target.name)
        if old is None:
            return Answer(204)
        self.desk.check_conditions(ask, row)
        self.desk.rules.check_delete(self.name, ask.target.path, pool_body(old, row.body["id"]))
        self.clusters.check_writable(ask.target, row)
        leaving = {**old, "provisioningState": "Deleting"}
        answer = self._written(ask, row, old, leaving, {})
        return Answer(202, None, {**answer.headers, "Location": _results(answer)})

    def act(self, ask: Ask) -> Answer:
        """upgradeNodeImageVersion: every node is replaced by a fresh one."""
        if ask.action != "upgradenodeimageversion":
            raise not_allowed(ask)
        row = self._row(ask.target)
        old = self._found(row, ask.target)
        self.desk.rules.check_upgrade(row.body["id"])
        self.clusters.check_writable(ask.target, row)
        profiles = [
            {**one, "provisioningState": "UpgradingNodeImageVersion"} if one is old else one
            for one in self._profiles(row)
        ]
        properties = {**row.body["properties"], "agentPoolProfiles": profiles}
        body = with_state({**row.body, "properties": properties}, "Updating")
        fresh = self.desk.store.put(CLUSTERS, body)
        begun = self.desk.operations.begin(
            row.key, f"{self.name}/upgrade", {"pool": old["name"], "upgrade": [old["name"]]}
        )
        shown = self._shown(fresh, self._found(fresh, ask.target))
        return Answer(202, shown, self.desk.located(ask, begun))

    async def _upgrade(self, operation: OperationRow) -> Body | None:
        row = self.desk.store.get(operation.resource)
        if row is not None:
            await self.clusters.replace_nodes(row.body, operation.input["upgrade"])
        return None

    def _row(self, target: Target) -> Row:
        row = self.desk.store.get(target.parent)
        if row is None:
            self.desk.check_group(target)
            raise resource_not_found(CLUSTERS, target.names[0], target.group)
        shown = self.clusters.shown(row)
        return Row(row.key, row.kind, {k: v for k, v in shown.items() if k != "etag"}, row.etag)

    def _profiles(self, row: Row) -> list[Body]:
        profiles: list[Body] = row.body["properties"]["agentPoolProfiles"]
        return profiles

    def _named(self, row: Row, name: str) -> Body | None:
        wanted = name.lower()
        return next((one for one in self._profiles(row) if one["name"].lower() == wanted), None)

    def _found(self, row: Row, target: Target) -> Body:
        profile = self._named(row, target.name)
        if profile is None:
            raise child_not_found(target.path)
        return profile


class UpgradeProfiles(Kind):
    """.../upgradeProfiles/default of a cluster or of a pool, and what a pool can be upgraded to.

    name: of the three kinds, given when it is made.
    """

    def __init__(self, desk: Desk, name: str, pools: AgentPools) -> None:
        super().__init__(desk)
        self.name = name  # type: ignore[misc]
        self.pools = pools

    def get(self, ask: Ask) -> Answer:
        if ask.target.name.lower() != "default":
            raise child_not_found(ask.target.path)
        above = ask.target.path.rsplit("/", 2)[0]
        if self.name.lower().startswith(AgentPools.name.lower()):
            return self._of_pool(ask, above)
        row = self.desk.store.get(above)
        if row is None:
            raise resource_not_found(CLUSTERS, ask.target.names[0], ask.target.group)
        properties = row.body["properties"]
        version = properties["currentKubernetesVersion"] or properties["kubernetesVersion"]
        upgrades = _newer(version, self.desk.versions())
        plane = {"kubernetesVersion": version, "osType": "Linux", "upgrades": upgrades}
        pools = [
            {"name": one["name"], "kubernetesVersion": version, "osType": "Linux", "upgrades": []}
            for one in properties["agentPoolProfiles"]
        ]
        found = {"controlPlaneProfile": {**plane, "name": "master"}, "agentPoolProfiles": pools}
        return Answer(200, _profile_body(ask, self.name, found))

    def _of_pool(self, ask: Ask, above: str) -> Answer:
        parent = above.rsplit("/", 2)[0]
        row = self.desk.store.get(parent)
        if row is None:
            raise resource_not_found(CLUSTERS, ask.target.names[0], ask.target.group)
        wanted = ask.target.names[1].lower()
        for one in row.body["properties"]["agentPoolProfiles"]:
            if one["name"].lower() == wanted:
                version = one["orchestratorVersion"]
                found = {
                    "kubernetesVersion": version,
                    "osType": "Linux",
                    "upgrades": _newer(version, self.desk.versions()),
                    "latestNodeImageVersion": one["nodeImageVersion"],
                }
                return Answer(200, _profile_body(ask, self.name, found))
        raise child_not_found(above)

    def listing(self, ask: Ask) -> Answer:
        """.../availableAgentPoolVersions."""
        versions = self.desk.versions()
        found = [
            {"kubernetesVersion": one, "default": at == len(versions) - 1, "isPreview": False}
            for at, one in enumerate(versions)
        ]
        return Answer(200, _profile_body(ask, self.name, {"agentPoolVersions": found}))


def _profile_body(ask: Ask, kind: str, properties: Body) -> Body:
    return {
        "id": ask.target.path,
        "name": ask.target.name if not ask.target.tail else "default",
        "type": kind,
        "properties": properties,
    }


def _newer(version: str, known: list[str]) -> list[Body]:
    here = known.index(version) + 1 if version in known else len(known)
    return [{"kubernetesVersion": one, "isPreview": False} for one in known[here:]]


def _clean(properties: Body) -> Body:
    """What `az` sends back of what it has read, and nobody may set."""
    read_only = ("provisioningState", "eTag", "currentOrchestratorVersion", "powerState")
    return {name: value for name, value in properties.items() if name not in read_only}


def _state(old: Body | None, new: Body) -> str:
    if old is None:
        return "Creating"
    if old["orchestratorVersion"] != new["orchestratorVersion"]:
        return "Upgrading"
    return "Scaling" if old["count"] != new["count"] else "Updating"


def _results(answer: Answer) -> str:
    return answer.headers["Azure-AsyncOperation"].replace("/operations/", "/operationresults/")
