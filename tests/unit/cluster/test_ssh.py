"""What sshd is given on a node, as a value."""

from __future__ import annotations

from pathlib import Path

import pytest

from podwire.cluster import ssh
from podwire.cluster.node_root import File, Link
from podwire.model.errors import UnavailableError


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("usr/sbin/sshd", "usr/lib/openssh/sshd-session", "usr/lib/x86_64-linux-gnu/l.so"):
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).touch()
    return tmp_path / "tree"


def test_sshd_runs_out_of_the_tree_with_the_libraries_there(tree: Path, tmp_path: Path) -> None:
    steps = ssh.sshd_steps(tree, tmp_path / "node")
    files = {one.path: one for one in steps if isinstance(one, File)}
    script = files["/usr/local/sbin/sshd"]
    assert f"LD_LIBRARY_PATH={tree}/usr/lib/x86_64-linux-gnu:" in script.text
    assert f'exec {tree}/usr/sbin/sshd "$@"' in script.text
    assert script.mode == 0o755
    helper = "usr/lib/openssh/sshd-session"
    assert Link(f"/{helper}", f"{tree}/{helper}") in steps


def test_host_keys_are_the_nodes_own_and_stay(tree: Path, tmp_path: Path) -> None:
    first, again, other = (ssh.sshd_steps(tree, tmp_path / name) for name in ("a", "a", "b"))
    assert first == again
    assert first != other
    keys = [one for one in first if isinstance(one, File) and one.path.endswith("_key")]
    assert [one.mode for one in keys] == [0o600, 0o600]


def test_a_tree_without_sshd_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=f"sshd is missing below {tmp_path}"):
        ssh.sshd_steps(tmp_path, tmp_path / "node")
