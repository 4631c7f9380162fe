"""The one tree of exceptions. Every message names the thing, the value and the way out."""

from __future__ import annotations


class PodwireError(Exception):
    """Root of all errors that Podwire raises on purpose; its text is shown to people as it is."""


class InvalidInputError(PodwireError):
    """A value given by a person or a client is refused before anything is built.

    code, target: Azure's error code and target where Azure has one (facts: AKS rules), else "".
    """

    def __init__(self, message: str, *, code: str = "", target: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.target = target

    def __str__(self) -> str:
        text = super().__str__()
        return f"({self.code}) {text}" if self.code else text


def invalid_parameter(parameter: str, details: str) -> InvalidInputError:
    """AKS's way to refuse one. parameter: as in agentPoolProfile.name, the target as well."""
    return InvalidInputError(
        f"The value of parameter {parameter} is invalid. Error details: {details}. Please see "
        "https://aka.ms/aks-naming-rules for more details.",
        code="InvalidParameter",
        target=parameter,
    )


class KernelError(PodwireError):
    """The kernel refused an operation. errno: its number, 0 when there is none."""

    def __init__(self, message: str, *, errno: int = 0) -> None:
        super().__init__(message)
        self.errno = errno


class ProcessError(PodwireError):
    """A program that Podwire runs could not be started, or ended when it should not have."""


class UnavailableError(PodwireError):
    """Something outside (a download, a registry, a server) does not answer now."""


class ApiError(PodwireError):
    """The Kubernetes API refused a request. status: HTTP's; reason: as in NotFound, or ""."""

    def __init__(self, message: str, *, status: int, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
