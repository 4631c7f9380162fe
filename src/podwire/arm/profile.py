"""The `az` profile of a lab: logged in, to this lab and nothing else, asking nobody else.

`AZURE_CONFIG_DIR` points at it. With it the real azure-cli works without `az login` and looks up
no name but localhost: telemetry is off, and the daily check for a newer az has "been done".
Source: azure-cli-core (cloud.py, _profile.py, util.py).
"""

from __future__ import annotations

import configparser
import io
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import certifi

from podwire.arm.files import ArmFiles
from podwire.arm.tokens import CLIENT, TENANT
from podwire.cluster.files import write_file

CLOUD = "Podwire"
_ACCOUNT = "azureProfile.json"
_NEVER = "2099-01-01 00:00:00.000000"


@dataclass(frozen=True, slots=True)
class Profile:
    """base: https://localhost:PORT; secret: the lab's client's."""

    files: ArmFiles
    base: str
    subscription: str
    secret: str

    def write(self) -> None:
        """All of its files, private; what az added beside them stays."""
        directory = self.files.profile
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o700)
        contents = {
            "clouds.config": self._clouds(),
            "config": _ini(_CONFIG),
            "bundle.pem": _bundle(self.files.authority),
        }
        for name, content in contents.items():
            write_file(directory / name, content.encode(), mode=0o600)
        login = {
            _ACCOUNT: self._account(),
            "service_principal_entries.json": [
                {"client_id": CLIENT, "tenant": TENANT, "client_secret": self.secret}
            ],
        }
        write_file(self.files.login, json.dumps(login).encode(), mode=0o600)
        log_in(self.files)

    def _clouds(self) -> str:
        section = {"profile": "latest", "subscription": self.subscription}
        section["endpoint_active_directory"] = f"{self.base}/adfs"
        for name in (
            "management",
            "resource_manager",
            "active_directory_resource_id",
            "active_directory_graph_resource_id",
            "microsoft_graph_resource_id",
        ):
            section[f"endpoint_{name}"] = self.base
        return _ini({CLOUD: section})

    def _account(self) -> dict[str, Any]:
        subscription = {
            "id": self.subscription,
            "name": CLOUD,
            "state": "Enabled",
            "user": {"name": CLIENT, "type": "servicePrincipal"},
            "isDefault": True,
            "tenantId": TENANT,
            "homeTenantId": TENANT,
            "environmentName": CLOUD,
            "managedByTenants": [],
        }
        return {"installationId": self.subscription, "subscriptions": [subscription]}


_CONFIG = {
    "cloud": {"name": CLOUD},
    "core": {
        "collect_telemetry": "false",
        "encrypt_token_cache": "false",
        "first_run": "no",
        "instance_discovery": "false",
        "survey_message": "false",
    },
    "auto-upgrade": {"enable": "no"},
}


def log_in(files: ArmFiles) -> None:
    """Write what `az logout`, `az account clear` and a failed `az login` take away."""
    for name, content in json.loads(files.login.read_text()).items():
        write_file(files.profile / name, json.dumps(content).encode(), mode=0o600)


def logged_in(files: ArmFiles) -> bool:
    """az writes its account's file with a byte order mark."""
    text = (files.profile / _ACCOUNT).read_text(encoding="utf-8-sig")
    return bool(json.loads(text).get("subscriptions"))


def note_version(files: ArmFiles) -> None:
    """Tell the profile which az is in PATH: of another one it would ask the network at once."""
    version = installed_version()
    if version is None:
        return
    path = files.profile / "versionCheck.json"
    names = ("azure-cli", "core", "telemetry")
    versions = {name: {"local": version, "pypi": version} for name in names}
    content = {"versions": versions, "update_time": _NEVER, "check_time": _NEVER}
    write_file(path, json.dumps(content).encode(), mode=0o600)


def installed_version() -> str | None:
    """Of the az in PATH, read from its distribution's name; None when there is none."""
    command = shutil.which("az")
    if command is None:
        return None
    roots = [Path(command).resolve().parent.parent, Path("/opt/az")]
    found = (
        path
        for root in roots
        for path in root.glob("lib*/python3*/site-packages/azure_cli-*.dist-info")
    )
    first = next(found, None)
    return first.name.removeprefix("azure_cli-").removesuffix(".dist-info") if first else None


def _bundle(authority: Path) -> str:
    return Path(certifi.where()).read_text() + "\n" + authority.read_text()


def _ini(sections: dict[str, dict[str, str]]) -> str:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_dict(sections)
    text = io.StringIO()
    parser.write(text)
    return text.getvalue()
