"""podwire replay on a real lab: every line of a birth explained, every command that it shows runs;
the same out of a support bundle, which holds no secret of the lab's."""

from __future__ import annotations

import io
import json
import re
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import PODWIRE, LabHarness, refused, run


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabHarness]:
    made = LabHarness("e2e-replay", tmp_path_factory.mktemp("home"))
    try:
        made.podwire("up", "--cluster", "azurecni-cluster", "--nodes", "1")
        yield made
    finally:
        made.podwire("down")


@pytest.fixture(scope="module")
def bundle(lab: LabHarness, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "ours.tar.gz"
    lab.podwire("support-bundle", "--out", str(path))
    return path


def pods(lab: LabHarness) -> list[str]:
    """NAMESPACE/NAME of each that runs with an address of its own."""
    items = lab.get("pods", "-A", "--field-selector=status.phase=Running")["items"]
    metas = [one["metadata"] for one in items if not one["spec"].get("hostNetwork")]
    assert metas
    return [f"{one['namespace']}/{one['name']}" for one in metas]


def test_each_line_is_explained_and_each_command_runs(lab: LabHarness) -> None:
    for pod in pods(lab):
        told = json.loads(lab.podwire("replay", "--pod", pod, "-o", "json"))
        assert [one["line"] for one in told["steps"] if not one["meaning"]] == []
        assert told["took"] > 0
        commands = dict.fromkeys(one["show"] for one in told["steps"] if one["show"])
        on_node = [one for one in commands if not one.startswith(("kubectl", "resolvectl"))]
        script = "set -e -o pipefail\n" + "\n".join(f"{one} >/dev/null" for one in on_node)
        lab.on_node(told["node"], script.replace("podwire ", f"{PODWIRE} "))


def test_the_same_out_of_a_bundle_and_not_of_a_snapshot(lab: LabHarness, bundle: Path) -> None:
    pod = pods(lab)[0]
    live = json.loads(lab.podwire("replay", "--pod", pod, "-o", "json"))
    sent = run(PODWIRE, "replay", "--from", str(bundle), "--pod", pod, "-o", "json", env=lab.env)
    assert json.loads(sent)["steps"] == live["steps"]
    saved = bundle.with_name("now.json")
    lab.podwire("snapshot", "-o", str(saved))
    said = refused(PODWIRE, "replay", "--from", str(saved), "--pod", pod, env=lab.env)
    assert "support-bundle" in said


def test_no_secret_of_the_lab_is_in_its_bundle(lab: LabHarness, bundle: Path) -> None:
    """Each line of each private key, each token and client key of its kubeconfigs."""
    state = Path("/var/lib/podwire") / lab.name
    found = subprocess.run(
        ["grep", "-rlE", "PRIVATE KEY|client-key-data|token:", str(state), str(lab.home)],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split("\n")
    secrets = {
        one
        for path in filter(None, found)
        for text in [Path(path).read_text(errors="replace")]
        for block in re.findall(r"BEGIN [A-Z ]*PRIVATE KEY-----(.*?)-----END", text, re.DOTALL)
        + re.findall(r"(?:client-key-data|token): *(\S+)", text)
        for one in block.split()
        if len(one) > 20
    }
    assert len(secrets) > 20, found
    with tarfile.open(fileobj=io.BytesIO(bundle.read_bytes())) as archive:
        for entry in archive.getmembers():
            file = archive.extractfile(entry)
            text = file.read().decode() if file else ""
            assert not [one for one in secrets if one in text], entry.name
