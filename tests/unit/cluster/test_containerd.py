"""containerd's configuration, and what is put on a node for it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from podwire.cluster.containerd import CNI_PLUGINS, containerd_config, containerd_steps
from podwire.cluster.node_root import File, Link
from podwire.model.errors import UnavailableError

CRI = "io.containerd.grpc.v1.cri"
REGISTRY = f"""
[plugins."{CRI}".registry.mirrors."docker.io"]
  endpoint = ["http://172.31.0.4:5000"]
"""


def _packages(tmp_path: Path) -> Path:
    bins = ("containerd", "containerd-shim-runc-v2", "ctr")
    programs = [f"usr/bin/{one}" for one in bins] + ["usr/sbin/runc"]
    for one in (*programs, *(f"usr/lib/cni/{name}" for name in CNI_PLUGINS)):
        path = tmp_path / one
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def test_the_configuration_is_for_cgroupfs_and_a_machine_without_resource_rights() -> None:
    config = tomllib.loads(containerd_config())
    cri = config["plugins"][CRI]
    assert config["version"] == 2
    assert cri["restrict_oom_score_adj"] is True
    assert cri["cni"]["conf_dir"] == "/etc/cni/net.d"
    assert cri["containerd"]["runtimes"]["runc"]["options"]["SystemdCgroup"] is False
    assert cri["sandbox_image"] == "mcr.microsoft.com/oss/kubernetes/pause:1.3.1"
    assert "registry" not in cri


def test_registry_tables_are_added_and_the_rest_stays() -> None:
    plain, mirrored = containerd_config(), containerd_config(REGISTRY, "pause:9")
    cri = tomllib.loads(mirrored)["plugins"][CRI]
    mirror = cri["registry"]["mirrors"]["docker.io"]
    assert mirror == {"endpoint": ["http://172.31.0.4:5000"]}
    assert cri["cni"] == tomllib.loads(plain)["plugins"][CRI]["cni"]
    assert cri["sandbox_image"] == "pause:9"


def test_programs_and_plugins_are_links_to_the_unpacked_tree(tmp_path: Path) -> None:
    tree = _packages(tmp_path)
    steps = containerd_steps(tree, REGISTRY)
    assert Link("/usr/local/bin/runc", str(tree / "usr/sbin/runc")) in steps
    assert Link("/usr/local/bin/containerd", str(tree / "usr/bin/containerd")) in steps
    assert Link("/opt/cni/bin/loopback", str(tree / "usr/lib/cni/loopback")) in steps
    (config,) = (one for one in steps if isinstance(one, File))
    assert config.path == "/etc/containerd/config.toml"
    assert "172.31.0.4:5000" in config.text


@pytest.mark.parametrize("name", ["usr/sbin/runc", "usr/lib/cni/loopback"])
def test_an_incomplete_tree_is_named(tmp_path: Path, name: str) -> None:
    tree = _packages(tmp_path)
    (tree / name).unlink()
    with pytest.raises(UnavailableError, match=Path(name).name):
        containerd_steps(tree)
