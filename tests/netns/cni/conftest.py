from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from .node import Node, build


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    assert os.geteuid() == 0, "these tests make network namespaces: run them as root"
    with ExitStack() as stack:
        yield build(tmp_path, stack)


@pytest.fixture(scope="session")
def reference_plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of Debian's containernetworking-plugins, unpacked and not installed."""
    place = tmp_path_factory.mktemp("plugins")
    subprocess.run(
        ["apt-get", "download", "-qq", "containernetworking-plugins"], cwd=place, check=True
    )
    (package,) = place.glob("containernetworking-plugins_*.deb")
    subprocess.run(["dpkg", "-x", str(package), str(place)], check=True)
    return place / "usr/lib/cni"
