from __future__ import annotations

import json
from pathlib import Path

import pytest

from podwire.cni.attachment import Attachment
from podwire.cni.libcni import kept

ID = "4a09" * 16
# As containerd 1.6 writes it; shortened.
CACHED = {
    "kind": "cniCacheV1",
    "containerId": ID,
    "ifName": "eth0",
    "networkName": "azure",
    "cniArgs": [["IgnoreUnknown", "1"], ["K8S_POD_NAME", "web"]],
    "capabilityArgs": {"dns": {"Servers": ["10.200.0.10"]}},
    "result": {
        "cniVersion": "0.3.0",
        "interfaces": [{"name": "azv1"}, {"name": "eth0", "sandbox": "/run/netns/cni-1"}],
        "ips": [{"version": "4", "address": "10.220.2.5/24"}],
    },
}


def test_an_attachment_of_another_runtime_is_found_by_its_id(tmp_path: Path) -> None:
    (tmp_path / f"azure-{ID}-eth0").write_text(json.dumps(CACHED))
    found = kept("azure", Attachment(ID, ""), (str(tmp_path / "none"), str(tmp_path)))
    assert found is not None
    args = "IgnoreUnknown=1;K8S_POD_NAME=web"
    capabilities = CACHED["capabilityArgs"]
    assert found[0] == Attachment(ID, "/run/netns/cni-1", "eth0", args, capabilities)
    assert found[1]["ips"][0]["address"] == "10.220.2.5/24"
    assert kept("other", Attachment(ID, ""), (str(tmp_path),)) is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"result": 1}', json.dumps({"result": {}})])
def test_what_cannot_be_read_is_as_if_it_were_not_there(tmp_path: Path, text: str) -> None:
    (tmp_path / f"azure-{ID}-eth0").write_text(text)
    assert kept("azure", Attachment(ID, ""), (str(tmp_path),)) is None
