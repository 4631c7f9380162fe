"""The profile that `az` is given, and what is left of it after `az logout`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from podwire.arm.files import ArmFiles
from podwire.arm.profile import Profile, log_in, logged_in
from podwire.model.layout import LabLayout


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ArmFiles:
    monkeypatch.setattr(LabLayout, "state", tmp_path)
    files = ArmFiles(LabLayout("profile"))
    files.authority.parent.mkdir(parents=True)
    files.authority.write_text("the authority\n")
    Profile(files, "https://localhost:8443", "a-subscription", "hush").write()
    return files


def test_it_is_logged_in_and_private(files: ArmFiles) -> None:
    assert logged_in(files)
    secrets = [files.profile / "service_principal_entries.json", files.login]
    assert all("hush" in one.read_text() for one in secrets)
    assert {one.stat().st_mode & 0o777 for one in secrets} == {0o600}


def test_a_logout_is_undone_and_settings_stay(files: ArmFiles) -> None:
    account, entries = (
        files.profile / name for name in ("azureProfile.json", "service_principal_entries.json")
    )
    before = account.read_text(), entries.read_text()
    (files.profile / "config").write_text("[defaults]\ngroup = NetworkLab\n")
    empty = {"installationId": "a-subscription", "subscriptions": []}
    account.write_text(json.dumps(empty), encoding="utf-8-sig")
    entries.write_text("[]")
    assert not logged_in(files)
    log_in(files)
    assert logged_in(files)
    assert (account.read_text(), entries.read_text()) == before
    assert "NetworkLab" in (files.profile / "config").read_text()
