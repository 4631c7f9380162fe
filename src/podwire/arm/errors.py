"""What the endpoint refuses, as Azure writes it: a status, a code, a text, a target.

Must not know of HTTP servers, stores or labs. The shape of a body is the one that `az` prints as
`(Code) Message / Code: / Message: / Target:`. Source: Azure Resource Manager, "Common API details:
error responses"; the texts are those that users paste in issue threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from podwire.model.errors import InvalidInputError, PodwireError


class ArmError(PodwireError):
    """A refusal. status: HTTP's, 4xx; details: further refusals, each (code, message)."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        target: str = "",
        details: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.target = target
        self.details = tuple(details)

    def __str__(self) -> str:
        return f"({self.code}) {super().__str__()}"

    @property
    def message(self) -> str:
        return super().__str__()

    def body(self) -> dict[str, Any]:
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.target:
            error["target"] = self.target
        if self.details:
            error["details"] = [{"code": code, "message": text} for code, text in self.details]
        return {"error": error}


def as_arm_error(error: PodwireError) -> ArmError:
    """Whatever the lab says, as Azure would."""
    if isinstance(error, ArmError):
        return error
    text = str(error)
    if isinstance(error, InvalidInputError):
        text = text.removeprefix(f"({error.code}) ")
        return ArmError(400, error.code or "InvalidParameter", text, error.target)
    return ArmError(409, "OperationNotAllowed", text)


def not_offered(what: str, target: str = "") -> ArmError:
    """Azure has it and the lab has not: said plainly, never accepted and forgotten.

    what: the thing, and after a semicolon what to take instead.
    """
    return ArmError(400, "FeatureNotSupported", f"The lab does not offer {what}.", target)


def group_not_found(group: str) -> ArmError:
    return ArmError(404, "ResourceGroupNotFound", f"Resource group '{group}' could not be found.")


def resource_not_found(kind: str, name: str, group: str) -> ArmError:
    """kind: as in Microsoft.Network/virtualNetworks; name: all of its names, joined by /."""
    return ArmError(
        404,
        "ResourceNotFound",
        f"The Resource '{kind}/{name}' under resource group '{group}' was not found. For more "
        "details please go to https://aka.ms/ARMResourceNotFoundFix",
    )


def child_not_found(resource_id: str) -> ArmError:
    """What a resource provider itself says of a part of one of its resources."""
    return ArmError(404, "NotFound", f"Resource {resource_id} not found.")


def another_operation(operation: str) -> ArmError:
    """The network provider's answer while a resource, or one that it is part of, changes."""
    return ArmError(
        409,
        "AnotherOperationInProgress",
        "Another operation on this or dependent resource is in progress. To retrieve status of "
        f"the operation use uri: {operation}",
    )


def operation_not_allowed(what: str, state: str) -> ArmError:
    """The container service's answer while a cluster changes."""
    return ArmError(
        409,
        "OperationNotAllowed",
        f"Operation is not allowed: another operation ({state}) is in progress on {what}. "
        "Please wait for it to finish before starting a new operation. See "
        "https://aka.ms/aks-pending-operation for more details",
    )
