"""Microsoft.Resources/deployments: templates, which the lab does not run.

`az network lb create` and `az vm create` send one. It is refused as a deployment that failed, not
at once: `az` prints the error of an operation, and falls over one that answers the PUT.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from podwire.arm.desk import Answer, Ask, page
from podwire.arm.errors import ArmError, not_offered
from podwire.arm.kinds.base import Kind
from podwire.arm.operations import Deed
from podwire.arm.shapes import Shape
from podwire.arm.store import Body, OperationRow

_WAY_OUT = (
    "templates, so nothing that is deployed by one (machines, load balancers of one's own); "
    "a cluster makes its machines, and a Service of type LoadBalancer its load balancer"
)


class Deployments(Kind):
    name = "Microsoft.Resources/deployments"
    actions: ClassVar[Mapping[str, Shape]] = {"validate": {}, "whatif": {}}

    @property
    def deeds(self) -> Mapping[str, Deed]:
        return {f"{self.name}/write": Deed(_refuse, _settled)}

    def put(self, ask: Ask) -> Answer:
        self.desk.check_group(ask.target)
        path, name = ask.target.path, ask.target.name
        begun = self.desk.operations.begin(path, f"{self.name}/write")
        properties = {"provisioningState": "Accepted"}
        body = {"id": path, "name": name, "type": self.name, "properties": properties}
        return Answer(201, body, self.desk.begun(ask, begun))

    def act(self, ask: Ask) -> Answer:
        raise not_offered(_WAY_OUT)

    def get(self, ask: Ask) -> Answer:
        raise ArmError(
            404, "DeploymentNotFound", f"Deployment '{ask.target.name}' could not be found."
        )

    def listing(self, ask: Ask) -> Answer:
        return page([])


async def _refuse(operation: OperationRow) -> Body | None:
    raise not_offered(_WAY_OUT)


def _settled(operation: OperationRow, error: ArmError | None) -> None:
    """Nothing is stored of it."""
