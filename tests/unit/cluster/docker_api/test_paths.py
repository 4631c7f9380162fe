"""Links below a root are followed as a process with that root follows them."""

from __future__ import annotations

from pathlib import Path

import pytest

from podwire.cluster.docker_api.paths import resolve_in_root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "var").mkdir(parents=True)
    (root / "run/deep").mkdir(parents=True)
    (root / "var/run").symlink_to("/run")
    (root / "run/up").symlink_to("../var")
    (root / "out").symlink_to("../../../../etc/passwd")
    (root / "loop").symlink_to("loop")
    return root


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/var/run/docker.sock", "run/docker.sock"),
        ("/var/run/up/run/deep", "run/deep"),
        ("/out", "etc/passwd"),
        ("/../../run", "run"),
        ("/run/none/../deep", "run/deep"),
        ("/", ""),
    ],
)
def test_it_stays_inside(root: Path, path: str, found: str) -> None:
    assert resolve_in_root(root, path) == root / found


def test_a_loop(root: Path) -> None:
    with pytest.raises(OSError, match="symbolic links"):
        resolve_in_root(root, "/loop")


def test_the_machines_own_root() -> None:
    assert resolve_in_root(Path("/"), "/proc/1/stat") == Path("/proc/1/stat")
