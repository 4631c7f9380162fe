"""Microsoft.Compute: the nodes' scale sets and their instances.

They are the cluster's own; what a user does here is what AKS lets one do: set the extension that
lets somebody in (VMAccessForLinux), bring it to the instances, run commands.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from podwire.arm.desk import Answer, Ask, Desk, page
from podwire.arm.errors import ArmError, not_offered, resource_not_found
from podwire.arm.ids import parse
from podwire.arm.kinds.base import Kind
from podwire.arm.operations import Deed
from podwire.arm.render import NodeGroups
from podwire.arm.shapes import TAGS, Shape
from podwire.arm.store import Body, OperationRow
from podwire.arm.translate.machines import MACHINE_NICS, MACHINES, SCALE_SETS, instance_view
from podwire.cluster.vm_access_settings import VmAccess

EXTENSION: Shape = {
    "name": str,
    "properties": {
        "publisher": str,
        "type": str,
        "typeHandlerVersion": str,
        "autoUpgradeMinorVersion": bool,
        "settings": dict,
        "protectedSettings": dict,
        "forceUpdateTag": str,
    },
}
_ACCESS = "vmaccessforlinux"
_INSTANCES: Shape = {"instanceIds": [str]}
_POWER = ("deallocate", "poweroff", "restart", "start", "reimage", "redeploy")


class ComputeKind(Kind):
    """What is in node resource groups."""

    def __init__(self, desk: Desk, nodes: NodeGroups) -> None:
        super().__init__(desk)
        self.nodes = nodes

    def cluster(self, path: str) -> Any:
        """The facts of the cluster that something belongs to. Raises ArmError (404)."""
        target = parse(path)
        facts = self.nodes.cluster_of(target.group)
        if facts is None:
            self.desk.check_group(target)
            raise resource_not_found(target.kind, "/".join(target.names), target.group)
        return facts

    def pool(self, path: str) -> tuple[str, str]:
        """The cluster's key and the pool's name of a scale set or of what is below it."""
        facts = self.cluster(path)
        wanted = parse(path).names[0].lower()
        for one in facts.spec.pools:
            if facts.spec.scale_set(one.name).lower() == wanted:
                return facts.spec.key, one.name
        raise resource_not_found(SCALE_SETS, wanted, parse(path).group)


class ScaleSets(ComputeKind):
    name = SCALE_SETS
    shape: ClassVar[Shape] = {
        "location": str,
        "tags": TAGS,
        "sku": {"name": str, "capacity": int},
        "properties": {
            "virtualMachineProfile": {"extensionProfile": {"extensions": [EXTENSION]}},
        },
    }
    actions: ClassVar[Mapping[str, Shape]] = {
        "manualupgrade": _INSTANCES,
        "delete": _INSTANCES,
        **dict.fromkeys(_POWER, _INSTANCES),
    }

    @property
    def deeds(self) -> Mapping[str, Deed]:
        return {
            f"{self.name}/write": Deed(_nothing, _settled),
            f"{self.name}/manualupgrade": Deed(self._upgrade, _settled),
        }

    def put(self, ask: Ask) -> Answer:
        """The whole model, of which the extensions are what can be changed."""
        row = self.desk.found(ask.target)
        self.desk.check_conditions(ask, row)
        capacity = ask.body.get("sku", {}).get("capacity", row.body["sku"]["capacity"])
        if capacity != row.body["sku"]["capacity"]:
            raise _managed("scale the node pool", row.body["name"])
        profile = ask.body.get("properties", {}).get("virtualMachineProfile", {})
        if "extensionProfile" in profile:
            given = profile["extensionProfile"].get("extensions", [])
            self._set(row.body["id"], given)
        fresh = self.desk.found(ask.target)
        begun = self.desk.operations.begin(row.key, f"{self.name}/write")
        return Answer(200, self.shown(fresh), self.desk.begun(ask, begun))

    def _set(self, scale_set: str, given: list[Body]) -> None:
        """One that comes without its protected settings, as `az` sends back what it has read,
        keeps those that it had."""
        had = {one["name"].lower(): one for one in self.nodes.extensions(scale_set)}
        merged = [merged_extension(one, had) for one in given]
        if merged != list(had.values()):
            for one in merged:
                wish_of(one)
            self.nodes.put_extensions(scale_set, merged)

    def act(self, ask: Ask) -> Answer:
        row = self.desk.found(ask.target)
        word = ask.action
        if word != "manualupgrade":
            raise not_offered(f"'{word}' for single instances; use az aks for the whole pool")
        self._check_instances(ask)
        begun = self.desk.operations.begin(row.key, f"{self.name}/{word}", ask.body)
        return Answer(202, None, self.desk.located(ask, begun))

    def _check_instances(self, ask: Ask) -> None:
        """Every instance that is named is there."""
        _, pool = self.pool(ask.target.path)
        have = {
            str(one.instance) for one in self.cluster(ask.target.path).nodes if one.pool == pool
        }
        for one in ask.body.get("instanceIds", []):
            if one != "*" and one not in have:
                raise ArmError(
                    400,
                    "InvalidParameter",
                    f"The provided instanceId {one} is not an active Virtual Machine Scale Set VM "
                    "instanceId.",
                    "instanceIds",
                )

    async def _upgrade(self, operation: OperationRow) -> Body | None:
        key, pool = self.pool(operation.resource)
        named = operation.input.get("instanceIds", ["*"])
        instances = None if "*" in named else tuple(int(one) for one in named)
        for one in self.nodes.extensions(operation.resource):
            await self.desk.lab.grant_access(key, pool, wish_of(one), instances)
        self.nodes.put_applied(operation.resource, instances)
        return None


class Machines(ComputeKind):
    """Instances of scale sets."""

    name = MACHINES
    actions: ClassVar[Mapping[str, Shape]] = {
        "runcommand": {"commandId": str, "script": [str], "parameters": [{"name": str}]},
        "instanceview": {},
        **{word: {} for word in _POWER},
    }

    @property
    def deeds(self) -> Mapping[str, Deed]:
        return {f"{self.name}/runCommand": Deed(self._run, _settled, again=False)}

    def listing(self, ask: Ask) -> Answer:
        """Of one scale set; `$expand=instanceView` adds how each is."""
        self.pool(ask.target.path.rpartition("/")[0])
        prefix = f"{ask.target.path.lower()}/"
        rows = self.desk.listed(self.name, ask.target.group)
        return page(self.shown(row) for row in rows if row.key.startswith(prefix))

    def get(self, ask: Ask) -> Answer:
        if ask.target.name and ask.query.get("$expand", "").lower() == "instanceview":
            body = dict(super().get(ask).body or {})
            view = instance_view(self._node(ask.target.path))
            return Answer(200, {**body, "properties": {**body["properties"], "instanceView": view}})
        return super().get(ask)

    def act(self, ask: Ask) -> Answer:
        row = self.desk.found(ask.target)
        if ask.action != "runcommand":
            raise not_offered(f"'{ask.action}' for single instances")
        if ask.body.get("commandId", "").lower() != "runshellscript":
            raise ArmError(
                400,
                "NotFound",
                f"The entity was not found: command '{ask.body.get('commandId', '')}'; the lab's "
                "nodes have RunShellScript.",
            )
        begun = self.desk.operations.begin(row.key, f"{self.name}/runCommand", ask.body)
        return Answer(202, None, self.desk.located(ask, begun))

    async def _run(self, operation: OperationRow) -> Body | None:
        given = operation.input
        lines = [_assignment(one) for one in given.get("parameters", [])]
        script = "\n".join([*lines, *given.get("script", [])])
        result = await self.desk.lab.run_on_node(self._node(operation.resource).name, script)
        message = f"Enable succeeded: \n[stdout]\n{result.output}\n[stderr]\n"
        status = {
            "code": "ProvisioningState/succeeded",
            "level": "Info",
            "displayStatus": "Provisioning succeeded",
            "message": message,
        }
        return {"value": [status]}

    def _node(self, path: str) -> Any:
        _, pool = self.pool(path)
        number = parse(path).names[1]
        for one in self.cluster(path).nodes:
            if one.pool == pool and str(one.instance) == number:
                return one
        raise resource_not_found(MACHINES, "/".join(parse(path).names), parse(path).group)


class InstanceViews(ComputeKind):
    """GET .../virtualMachines/0/instanceView, of which Azure says that it is a resource."""

    name = f"{MACHINES}/instanceView"

    def listing(self, ask: Ask) -> Answer:
        path = ask.target.path.rpartition("/")[0]
        _, pool = self.pool(path)
        number = parse(path).names[1]
        for one in self.cluster(path).nodes:
            if one.pool == pool and str(one.instance) == number:
                return Answer(200, instance_view(one))
        raise resource_not_found(MACHINES, "/".join(parse(path).names), parse(path).group)


class ScaleSetViews(ComputeKind):
    """GET .../virtualMachineScaleSets/NAME/instanceView: how many instances there are."""

    name = f"{SCALE_SETS}/instanceView"

    def listing(self, ask: Ask) -> Answer:
        path = ask.target.path.rpartition("/")[0]
        _, pool = self.pool(path)
        count = sum(one.pool == pool for one in self.cluster(path).nodes)
        settled = "ProvisioningState/succeeded"
        status = {"code": settled, "level": "Info", "displayStatus": "Provisioning succeeded"}
        summary = {"statusesSummary": [{"code": settled, "count": count}]}
        return Answer(200, {"virtualMachine": summary, "statuses": [status]})


class MachineNics(ComputeKind):
    """The NICs below instances, and below scale sets: what `az vmss nic` asks for."""

    name = MACHINE_NICS

    def listing(self, ask: Ask) -> Answer:
        return page(self.shown(row) for row in self._rows(ask.target.path.rpartition("/")[0]))

    def _rows(self, above: str) -> list[Any]:
        self.pool(above)
        rows = self.desk.listed(self.name, parse(above).group)
        return [row for row in rows if row.key.startswith(f"{above.lower()}/")]


class ScaleSetNics(MachineNics):
    name = f"{SCALE_SETS}/networkInterfaces"
    actions: ClassVar[Mapping[str, Shape]] = {}

    def _rows(self, above: str) -> list[Any]:
        self.pool(above)
        rows = self.desk.listed(MACHINE_NICS, parse(above).group)
        return [row for row in rows if row.key.startswith(f"{above.lower()}/")]


def merged_extension(given: Body, had: Mapping[str, Body]) -> Body:
    """What is stored of an extension. Raises ArmError for one that no node has."""
    properties = given.get("properties", {})
    kind = properties.get("type", "")
    if kind.lower() != _ACCESS:
        raise not_offered(f"the extension {kind or given.get('name', '')!r}", "extensionProfile")
    old = had.get(given.get("name", "").lower(), {}).get("properties", {})
    if "protectedSettings" not in properties and "protectedSettings" in old:
        properties = {**properties, "protectedSettings": old["protectedSettings"]}
    return {**given, "name": given.get("name", kind), "properties": properties}


def wish_of(extension: Body) -> VmAccess:
    """What the extension asks for. Raises InvalidInputError; no message holds a password."""
    properties = extension["properties"]
    asked = {**properties.get("settings", {}), **properties.get("protectedSettings", {})}
    return VmAccess.of(asked)


def _assignment(parameter: Body) -> str:
    """name=value for the script, as the run command gives them to it."""
    name, value = str(parameter.get("name", "")), str(parameter.get("value", ""))
    if not name.isidentifier():
        raise ArmError(400, "InvalidParameter", f"{name!r} is no name of a variable.", "parameters")
    quoted = value.replace("'", "'\\''")
    return f"{name}='{quoted}'"


def _managed(instead: str, name: str) -> ArmError:
    return ArmError(
        409,
        "OperationNotAllowed",
        f"Scale set {name} is managed by its cluster; {instead} instead.",
    )


async def _nothing(operation: OperationRow) -> Body | None:
    return None


def _settled(operation: OperationRow, error: ArmError | None) -> None:
    """Nothing is stored of it."""
