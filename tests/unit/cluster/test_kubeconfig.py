import base64
import stat

import pytest
import yaml

from podwire.cluster.kubeconfig import kubeconfig, to_yaml, write_kubeconfig
from podwire.cluster.pki import Credential


@pytest.fixture
def credential(tmp_path):
    files = [tmp_path / one for one in ("c.crt", "c.key", "ca.crt")]
    for file in files:
        file.write_bytes(file.name.encode())
    return Credential(*files)


def test_embedded_holds_the_certificates_themselves(credential):
    made = kubeconfig("https://172.31.0.4:443", credential, user="kubelet")
    cluster, user = made["clusters"][0]["cluster"], made["users"][0]["user"]
    assert cluster["server"] == "https://172.31.0.4:443"
    assert base64.b64decode(cluster["certificate-authority-data"]) == b"ca.crt"
    assert base64.b64decode(user["client-certificate-data"]) == b"c.crt"
    assert base64.b64decode(user["client-key-data"]) == b"c.key"


def test_not_embedded_holds_paths(credential):
    made = kubeconfig("https://172.31.0.4:443", credential, user="scheduler", embed=False)
    assert made["clusters"][0]["cluster"]["certificate-authority"] == str(credential.ca)
    assert made["users"][0]["user"] == {
        "client-certificate": str(credential.certificate),
        "client-key": str(credential.key),
    }


def test_current_context_joins_cluster_and_user(credential):
    made = kubeconfig("https://h:1", credential, user="me", name="mine")
    assert made["current-context"] == "mine"
    assert made["contexts"] == [{"name": "mine", "context": {"cluster": "mine", "user": "me"}}]
    assert [made["clusters"][0]["name"], made["users"][0]["name"]] == ["mine", "me"]


def test_yaml_keeps_order_long_text_and_other_scripts():
    document = {"z": "x" * 300 + " " + "y" * 300, "a": "Köln"}
    text = to_yaml(document)
    assert list(yaml.safe_load(text)) == ["z", "a"]
    assert yaml.safe_load(text) == document
    assert len(text.splitlines()) == 2


def test_written_for_the_owner_alone(credential, tmp_path):
    path = tmp_path / "k"
    write_kubeconfig(path, kubeconfig("https://h:1", credential, user="me"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert yaml.safe_load(path.read_bytes())["kind"] == "Config"
