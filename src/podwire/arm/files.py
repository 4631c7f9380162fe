"""Where the endpoint keeps its things in a lab's directories. No I/O here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from podwire.model.layout import LabLayout


@dataclass(frozen=True, slots=True)
class ArmFiles:
    lab: LabLayout

    @property
    def directory(self) -> Path:
        return self.lab.state / "arm"

    @property
    def store(self) -> Path:
        return self.directory / "arm.sqlite"

    @property
    def pki(self) -> Path:
        """The endpoint's own authority and certificate."""
        return self.directory / "pki"

    @property
    def authority(self) -> Path:
        return self.pki / "arm-ca.crt"

    @property
    def profile(self) -> Path:
        """AZURE_CONFIG_DIR: the logged-in profile that `az` is given."""
        return self.lab.state / "az"

    @property
    def login(self) -> Path:
        """What makes the profile a logged-in one; `az logout` reaches only the profile."""
        return self.directory / "az-login.json"

    @property
    def bundle(self) -> Path:
        """REQUESTS_CA_BUNDLE: the public authorities, and the endpoint's."""
        return self.profile / "bundle.pem"

    @property
    def log(self) -> Path:
        return self.lab.log("arm")
