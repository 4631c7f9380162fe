"""What is POSTed below a managed cluster: credentials, commands, power.

`az aks command invoke` sends its files as a zip in base64; what comes out of it is bounded.
"""

from __future__ import annotations

import base64
import binascii
import io
import zipfile
from collections.abc import Mapping
from typing import ClassVar

import yaml

from podwire.arm.desk import RETRY_AFTER, Answer, Ask
from podwire.arm.errors import ArmError, operation_not_allowed
from podwire.arm.ids import parse
from podwire.arm.kinds.base import Kind
from podwire.arm.kinds.clusters import Clusters, key_of
from podwire.arm.operations import Deed
from podwire.arm.shapes import Shape
from podwire.arm.store import FAILED, RUNNING, Body, OperationRow
from podwire.arm.translate.cluster import CLUSTERS
from podwire.model.errors import invalid_parameter
from podwire.model.vnet import resource_key

_FILES_LIMIT = 8 * 1024 * 1024
"""Bytes of all files of a command together, unpacked."""
_ASIDE = "commands of "
"""Before the key of a cluster: a command keeps nobody from changing the cluster."""
_CREDENTIALS = {
    "listclusterusercredential": "clusterUser",
    "listclusteradmincredential": "clusterAdmin",
    "listclustermonitoringusercredential": "clusterMonitoringUser",
}


class ManagedClusters(Clusters):
    actions: ClassVar[Mapping[str, Shape]] = {
        **Clusters.actions,
        **{word: {} for word in _CREDENTIALS},
        "runcommand": {"command": str, "context": str, "clusterToken": str},
    }

    @property
    def deeds(self) -> Mapping[str, Deed]:
        return {
            **super().deeds,
            f"{self.name}/runCommand": Deed(self._run, _settled, again=False),
        }

    def act(self, ask: Ask) -> Answer:
        word = ask.action
        if word in _CREDENTIALS:
            return self._credential(ask, _CREDENTIALS[word])
        if word == "runcommand":
            return self._command(ask)
        return super().act(ask)

    def _credential(self, ask: Ask, kind: str) -> Answer:
        """A kubeconfig whose user is called as AKS calls it; for one cluster always the same."""
        row = self.desk.found(ask.target)
        key = key_of(row.body)
        facts = self.desk.lab.clusters().get(key)
        if facts is None or not facts.api:
            raise operation_not_allowed(row.body["name"], facts.state if facts else "Failed")
        config = renamed(self.desk.lab.kubeconfig(key), kind)
        content = base64.b64encode(yaml.safe_dump(config, sort_keys=False).encode()).decode()
        return Answer(200, {"kubeconfigs": [{"name": kind, "value": content}]})

    def _command(self, ask: Ask) -> Answer:
        row = self.desk.found(ask.target)
        if not ask.body.get("command"):
            raise invalid_parameter("command", "it is missing")
        unpacked(ask.body.get("context", ""))
        self.check_writable(ask.target, row)
        given = {name: ask.body.get(name, "") for name in ("command", "context")}
        commands = f"{row.body['id']}/commandResults"
        begun = self.desk.operations.begin(_ASIDE + row.key, f"{self.name}/runCommand", given)
        where = f"{ask.base}{commands}/{begun.id}?api-version={ask.query['api-version']}"
        return Answer(202, None, {"Location": where, "Retry-After": RETRY_AFTER})

    async def _run(self, operation: OperationRow) -> Body | None:
        target = parse(operation.resource.removeprefix(_ASIDE))
        files = unpacked(operation.input.get("context", ""))
        key = resource_key(target.group, target.names[0])
        result = await self.desk.lab.run_in_cluster(key, operation.input["command"], files)
        return {"exitCode": result.exit_code, "logs": result.output}


class CommandResults(Kind):
    """What became of a command: 202 while it runs."""

    name = f"{CLUSTERS}/commandResults"

    def get(self, ask: Ask) -> Answer:
        row = self.desk.store.operation(ask.target.name)
        if row is None or row.resource != _ASIDE + ask.target.parent.lower():
            message = f"Command '{ask.target.name}' could not be found."
            raise ArmError(404, "NotFound", message)
        body: Body = {"id": row.id, "properties": {"startedAt": row.started}}
        if row.status == RUNNING:
            where = f"{ask.base}{ask.target.path}?api-version={ask.query['api-version']}"
            body["properties"]["provisioningState"] = "Running"
            return Answer(202, body, {"Location": where, "Retry-After": RETRY_AFTER})
        outcome = row.outcome or {}
        body["properties"] |= {
            "finishedAt": row.ended,
            "provisioningState": row.status,
            **outcome.get("properties", {}),
        }
        if row.status == FAILED:
            body["properties"]["reason"] = outcome["error"]["message"]
        return Answer(200, body)


def renamed(config: Body, kind: str) -> Body:
    """The user's kubeconfig for another kind of user: `az` tells an admin's by the name."""
    text = yaml.safe_dump(config)
    changed: Body = yaml.safe_load(text.replace("clusterUser_", f"{kind}_"))
    return changed


def unpacked(context: str) -> dict[str, bytes]:
    """The files of a zip in base64, by path. Raises ArmError when it is none, or too large."""
    if not context:
        return {}
    try:
        archive = zipfile.ZipFile(
            io.BytesIO(base64.b64decode("".join(context.split()), validate=True))
        )
        entries = [one for one in archive.infolist() if not one.is_dir()]
        if sum(one.file_size for one in entries) > _FILES_LIMIT:
            raise invalid_parameter("context", f"its files are larger than {_FILES_LIMIT} bytes")
        return {one.filename: archive.read(one) for one in entries}
    except (binascii.Error, ValueError, zipfile.BadZipFile, RuntimeError, OSError) as error:
        raise invalid_parameter("context", f"it is no zip file in base64: {error}") from error


def _settled(operation: OperationRow, error: ArmError | None) -> None:
    """Nothing is stored of it."""
